//! Page tokens: opaque, encrypted and authenticated, good only for the query they came from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::vault::HASH;
use super::{Call, Domain, Error, Identity};

/// A page, and the token of the next one where there may be more.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next_page_token: Option<String>,
}

impl Domain {
    /// A token that leads on from `cursor` in the `query` of this caller.
    #[expect(clippy::expect_used, reason = "going on would hand out a token that leads nowhere")]
    pub(super) fn page_token(&self, call: &Call, query: &str, cursor: &impl Serialize) -> String {
        let cursor = serde_json::to_vec(cursor).expect("a cursor is texts and numbers");
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

    /// The cursor in `token`, where there is a token.
    pub(super) fn after<C: DeserializeOwned>(
        &self,
        call: &Call,
        query: &str,
        token: &str,
    ) -> Result<Option<C>, Error> {
        if token.is_empty() { Ok(None) } else { self.open_page_token(call, query, token).map(Some) }
    }

    /// Cuts `rows`, of which one more than `limit` was read, into a page.
    pub(super) fn page<T, C: Serialize>(
        &self,
        call: &Call,
        query: &str,
        mut rows: Vec<T>,
        limit: usize,
        cursor: impl Fn(&T) -> C,
    ) -> Page<T> {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_page_token = last.map(|last| self.page_token(call, query, &cursor(last)));
        Page { rows, next_page_token }
    }

    fn binding(&self, call: &Call, query: &str) -> [u8; HASH] {
        let caller = match &call.caller.identity {
            Identity::Server => format!("{} server", call.app().0),
            Identity::User { id, .. } => format!("{} user {id}", call.app().0),
            Identity::Anonymous => format!("{} nobody", call.app().0),
        };
        self.vault.hash([b"page".as_slice(), caller.as_bytes(), query.as_bytes()])
    }
}
