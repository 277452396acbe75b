//! Who a caller is, by the token it sent.

use super::claims::{Bearer, Sealed};
use crate::domain::{Caller, Domain, Error, Identity};
use crate::model::clock::Deadline;
use crate::model::reason::Reason;

/// What a caller sent to show who it is.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token, without `Bearer`.
    pub token: Option<String>,
    /// The name of a key, for tokens that name none.
    pub api_key: Option<String>,
    /// Wants to be nobody. A token beside it is judged all the same.
    pub anonymous: bool,
}

impl Domain {
    /// The caller that `credentials` prove.
    pub async fn authenticate(&self, credentials: &Credentials, deadline: Deadline) -> Result<Caller, Error> {
        let api_key = credentials.api_key.as_deref();
        let Some(token) = &credentials.token else {
            if !credentials.anonymous {
                return Err(Error::CredentialsMissing);
            }
            let kid = api_key.ok_or(Error::ApiKeyUnknown)?;
            let key = self.key(kid, deadline).await?.ok_or(Error::ApiKeyUnknown)?;
            return Ok(Caller { app: key.app, identity: Identity::Anonymous });
        };
        let (key, claims) = if let Some(opened) = self.open_named(token, None, deadline).await? {
            opened.map_err(Error::Token)?
        } else {
            let kid = api_key.ok_or(Error::ApiKeyUnknown)?;
            let key = self.key(kid, deadline).await?.ok_or(Error::ApiKeyUnknown)?;
            let claims = Sealed::parse(token).and_then(|sealed| sealed.open(&key, &self.vault));
            (key, claims.map_err(Error::Token)?)
        };
        let passed = self.standing(key.app, &claims, deadline).await?.map_err(Error::Token)?;
        let identity = match (claims.bearer, passed.role) {
            (Bearer::User(id), Some(role)) => Identity::User { id, role },
            (Bearer::User(_), None) => return Err(Error::Token(Reason::UserNotFound.into())),
            (Bearer::Server, _) => Identity::Server,
        };
        Ok(Caller { app: key.app, identity })
    }
}
