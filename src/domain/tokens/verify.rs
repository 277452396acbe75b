//! Judging a token for somebody else. Changes nothing.

use serde_json::{Map, Value};

use super::claims::{self, Bearer, Claims};
use crate::domain::{Call, Domain, Error};
use crate::model::reason::Reason;

/// What is to be said of a token.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Verdict {
    pub reason: Option<Reason>,
    pub user_id: Option<String>,
    pub server: bool,
    pub role: Option<String>,
    pub call_cids: Vec<String>,
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
        let reason = claims.judge(self.now()).err().or(standing.as_ref().err().copied());
        let (user_id, server) = match &claims.bearer {
            Bearer::Server => (None, true),
            Bearer::User(id) => (Some(id.as_str().to_owned()), false),
        };
        Ok(Verdict {
            reason,
            user_id,
            server,
            role: claims.call_role.or(standing.ok().and_then(|passed| passed.role)),
            call_cids: claims.call_cids,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            claims: claims.others,
        })
    }

    /// The claims of a token that some key of the app has signed.
    async fn open_token(&self, call: &Call, token: &str) -> Result<Result<Claims, Reason>, Error> {
        let kid = match claims::kid_of(token) {
            Ok(kid) => kid,
            Err(reason) => return Ok(Err(reason)),
        };
        let keys = self.keys_of(call.app(), call.deadline).await?;
        let mut candidates = keys.iter().filter(|key| kid.as_ref().is_none_or(|kid| *kid == key.kid));
        Ok(candidates.find_map(|key| claims::open(token, &key.secret).ok()).ok_or(Reason::TokenInvalid))
    }
}
