//! Who a caller is, by the token it sent.

use super::claims::{self, Bearer, Claims};
use crate::domain::{Caller, Domain, Error, Identity};
use crate::model::clock::Deadline;
use crate::model::id::AppId;
use crate::model::reason::Reason;

/// What a caller sent to show who it is.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token, without `Bearer`.
    pub token: Option<String>,
    /// The name of a key, for tokens that name none.
    pub api_key: Option<String>,
}

impl Domain {
    /// The caller that `credentials` prove.
    pub async fn authenticate(&self, credentials: &Credentials, deadline: Deadline) -> Result<Caller, Error> {
        let token = credentials.token.as_deref().ok_or(Error::CredentialsMissing)?;
        let kid = claims::kid_of(token).map_err(Error::Token)?;
        let key = match (&kid, &credentials.api_key) {
            // A kid nobody has is told no more than a wrong signature.
            (Some(kid), _) => self.key(kid, deadline).await?.ok_or(Error::Token(Reason::TokenInvalid))?,
            (None, Some(kid)) => self.key(kid, deadline).await?.ok_or(Error::ApiKeyUnknown)?,
            (None, None) => return Err(Error::ApiKeyUnknown),
        };
        let claims = claims::open(token, &key.secret).map_err(Error::Token)?;
        self.judge(key.app, &claims, deadline).await?.map_err(Error::Token)?;
        let identity = match claims.bearer {
            Bearer::Server => Identity::Server,
            Bearer::User(id) => Identity::User(id),
        };
        Ok(Caller { app: key.app, identity })
    }

    /// Judges everything about a token with a good signature.
    pub(super) async fn judge(
        &self,
        app: AppId,
        claims: &Claims,
        deadline: Deadline,
    ) -> Result<Result<(), Reason>, Error> {
        if let Err(reason) = claims.judge(self.now()) {
            return Ok(Err(reason));
        }
        Ok(self.standing(app, claims, deadline).await?.map(drop))
    }
}
