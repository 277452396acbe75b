//! Minting user and call tokens.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::claims::{APP_EPOCH, MAX_BYTES, MINTED_AT, REGISTERED, USER_EPOCH};
use crate::domain::{Call, Domain, Error};
use crate::model::clock::Timestamp;
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::model::violation::Violations;
use crate::storage::{StoreError, tokens};

/// Validity of a token where none is asked for.
pub const DEFAULT_VALIDITY: Duration = Duration::from_hours(1);
/// The longest validity that can be asked for.
pub const MAX_VALIDITY: Duration = Duration::from_hours(365 * 24);
/// The most that further claims may weigh as JSON, in bytes.
pub const MAX_CLAIMS: usize = 4 * 1024;

/// A token to be minted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct CreateToken {
    pub user: UserId,
    /// Makes it a call token.
    pub grant: Option<CallGrant>,
    pub validity: Duration,
    pub claims: Map<String, Value>,
}

/// What a call token grants.
#[derive(Debug, Clone)]
pub struct CallGrant {
    /// Which calls, each once.
    pub calls: Vec<String>,
    /// What its user is in them.
    pub role: Option<String>,
}

/// A token as minted.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Minted {
    pub token: String,
    pub expires_at: Timestamp,
}

/// Notes what is wrong with further claims.
pub fn check_claims(claims: &Map<String, Value>, bad: &mut Violations) {
    let taken = |name: &str| REGISTERED.contains(&name) || name.starts_with("usher_");
    for name in claims.keys().filter(|name| taken(name)) {
        bad.add(format!("claims.{name}"), "has a meaning of its own and cannot be chosen");
    }
    if serde_json::to_vec(claims).map_or(usize::MAX, |json| json.len()) > MAX_CLAIMS {
        bad.add_too_large("claims", format!("must be at most {MAX_CLAIMS} bytes as JSON"));
    }
}

impl Domain {
    /// Mints a token for a user that can use one.
    pub async fn create_token(&self, call: &Call, command: CreateToken) -> Result<Minted, Error> {
        let app = call.app();
        let keys = self.keys_of(app, call.deadline).await?;
        let key = keys.first().ok_or_else(|| StoreError::corrupt("an app without a key"))?;

        // The epochs are read from the database, so that a token minted after a revocation is not hit by it.
        let db = self.read(call.deadline).await?;
        let bearer = tokens::find_bearer(&db, app, &command.user).await?;
        let bearer = bearer.ok_or_else(|| Error::state("user_id", Reason::UserNotFound))?;
        if let Some(reason) = bearer.barred {
            return Err(Error::state("user_id", reason));
        }
        let app_marks = tokens::get_app_marks(&db, app).await?;

        let now = self.now();
        let issued_at = now.seconds();
        let expires_at = issued_at + i64::try_from(command.validity.as_secs()).unwrap_or(i64::MAX);
        let mut claims = command.claims;
        claims.insert("user_id".into(), command.user.as_str().into());
        claims.insert("sub".into(), command.user.as_str().into());
        claims.insert("iat".into(), issued_at.into());
        claims.insert("exp".into(), expires_at.into());
        claims.insert("jti".into(), Uuid::new_v4().to_string().into());
        claims.insert(USER_EPOCH.into(), bearer.marks.epoch.into());
        claims.insert(APP_EPOCH.into(), app_marks.epoch.into());
        claims.insert(MINTED_AT.into(), now.micros().into());
        if let Some(CallGrant { calls, role }) = command.grant {
            claims.insert("call_cids".into(), calls.into());
            claims.extend(role.map(|role| ("role".into(), role.into())));
        }

        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &key.signing)
            .map_err(|err| StoreError::Internal(format!("a token could not be signed: {err}")))?;
        debug_assert!(token.len() <= MAX_BYTES, "a token minted here can be verified here");
        let expires_at = Timestamp::from_parts(expires_at, 0).unwrap_or(Timestamp::MAX);
        Ok(Minted { token, expires_at })
    }
}
