//! Page tokens: opaque, encrypted and authenticated, good only for the query they came from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Call, Domain, Error};

impl Domain {
    /// A token that leads on from `cursor` in the `query` of this caller.
    pub(super) fn page_token(&self, call: &Call, query: &str, cursor: &impl Serialize) -> String {
        let cursor = serde_json::to_vec(cursor).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(self.vault.seal(&self.binding(call, query), &cursor))
    }

    /// The cursor in `token`, if it is of this caller's same query.
    pub(super) fn open_page_token<C: DeserializeOwned>(
        &self,
        call: &Call,
        query: &str,
        token: &str,
    ) -> Result<C, Error> {
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::PageToken)?;
        let cursor = self.vault.open(&self.binding(call, query), &sealed).ok_or(Error::PageToken)?;
        serde_json::from_slice(&cursor).map_err(|_| Error::PageToken)
    }

    fn binding(&self, call: &Call, query: &str) -> Vec<u8> {
        let caller = format!("{:?}", call.caller);
        self.vault.hash([b"page".as_slice(), caller.as_bytes(), query.as_bytes()])
    }
}
