//! Judging a token for somebody else. Changes nothing.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::{Bearer, Claims, Sealed};
use crate::domain::{Call, Domain, Error};
use crate::model::call::Cid;
use crate::model::reason::Reason;

/// What is to be said of a token.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Verdict {
    pub reason: Option<Reason>,
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
            Err(reason) => return Ok(Verdict { reason: Some(reason), ..Verdict::default() }),
        };
        let standing = self.standing(call.app(), &claims, call.deadline).await?;
        let reason = standing.as_ref().err().copied();
        let (user_id, server) = match claims.bearer {
            Bearer::Server => (None, true),
            Bearer::User(id) => (Some(id.into()), false),
        };
        Ok(Verdict {
            reason,
            user_id,
            server,
            role: standing.ok().and_then(|passed| passed.role),
            call_role: claims.call_role,
            call_cids: claims.call_cids,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            claims: claims.others,
        })
    }

    /// The claims of a token that some key of the caller's app has signed.
    pub(super) async fn open_token(&self, call: &Call, token: &str) -> Result<Result<Claims, Reason>, Error> {
        if let Some(opened) = self.open_named(token, call.deadline).await? {
            // A key of another app and none at all look the same.
            return Ok(opened.and_then(|(key, claims)| {
                if key.app == call.app() { Ok(claims) } else { Err(Reason::TokenInvalid) }
            }));
        }
        let sealed = match Sealed::parse(token) {
            Ok(sealed) => sealed,
            Err(reason) => return Ok(Err(reason)),
        };
        let keys = self.keys_of(call.app(), call.deadline).await?;
        let key = keys.iter().find(|key| sealed.is_signed_with(&key.verifying));
        Ok(key.ok_or(Reason::TokenInvalid).and_then(|_| sealed.claims()))
    }
}
