//! Judging a token for somebody else. Changes nothing.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Refusal;
use super::claims::{Bearer, Claims, Sealed};
use crate::domain::{Call, Domain, Error};
use crate::model::call::Cid;

/// What is to be said of a token.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Verdict {
    pub refusal: Option<Refusal>,
    pub user_id: Option<String>,
    pub server: bool,
    /// As stored with the user.
    pub role: Option<Arc<str>>,
    pub call_role: Option<String>,
    pub call_cids: Vec<Cid>,
    pub issued_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub claims: Map<String, Value>,
}

impl Domain {
    /// Judges `token` as one of the caller's app.
    pub async fn verify_token(&self, call: &Call, token: &str) -> Result<Verdict, Error> {
        let claims = match self.open_token(call, token).await? {
            Ok(claims) => claims,
            Err(refusal) => return Ok(Verdict { refusal: Some(refusal), ..Verdict::default() }),
        };
        let standing = self.standing(call.app(), &claims, call.deadline).await?;
        let (role, refusal) = match standing {
            Ok(passed) => (passed.role, None),
            Err(refusal) => (None, Some(refusal)),
        };
        let call_role = match claims.call_role {
            Some(role) => Some(self.call_role(call.app(), role, call.deadline).await?),
            None => None,
        };
        let (user_id, server) = match claims.bearer {
            Bearer::Server => (None, true),
            Bearer::User(id) => (Some(id.into()), false),
        };
        Ok(Verdict {
            refusal,
            user_id,
            server,
            role,
            call_role,
            call_cids: claims.call_cids,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            claims: claims.others,
        })
    }

    /// The claims of a token that some key of the caller's app has signed.
    pub(super) async fn open_token(
        &self,
        call: &Call,
        token: &str,
    ) -> Result<Result<Claims, Refusal>, Error> {
        if let Some(opened) = self.open_named(token, Some(call.app()), call.deadline).await? {
            return Ok(opened.map(|(_, claims)| claims));
        }
        let sealed = match Sealed::parse(token) {
            Ok(sealed) => sealed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let keys = self.keys_of(call.app(), call.deadline).await?;
        let key = keys.iter().find(|key| sealed.is_signed_with(&key.verifying));
        Ok(key.ok_or(Refusal::UNSIGNED).and_then(|key| sealed.claims(key.app, &self.vault)))
    }
}
