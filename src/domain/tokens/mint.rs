//! Minting user and call tokens.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::claims::{APP_EPOCH, Here, MAX_BYTES, MINTED_AT, REGISTERED, USER_EPOCH};
use super::proof::{PROOF, prove};
use crate::domain::apps::ring::Key;
use crate::domain::vault::Vault;
use crate::domain::{Call, Domain, Error};
use crate::model::clock::Timestamp;
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::model::revocation::RevocationMarks;
use crate::model::settings::{AppSettings, MAX_TOKEN_VALIDITY_SECONDS};
use crate::model::violation::Violations;
use crate::storage::StoreError;
use crate::storage::tokens::{self, AppStanding};

/// Validity of a token where none is asked for.
const DEFAULT_VALIDITY: Duration = Duration::from_hours(1);
/// The longest validity that can be asked for.
pub const MAX_VALIDITY: Duration = Duration::from_secs(MAX_TOKEN_VALIDITY_SECONDS as u64);
/// The most that further claims may weigh as JSON, in bytes.
pub const MAX_CLAIMS: usize = 4 * 1024;

/// A token to be minted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct CreateToken {
    pub user: UserId,
    /// Makes it a call token.
    pub grant: Option<CallGrant>,
    /// `None`: an hour, or less where the app allows no more.
    pub validity: Option<Duration>,
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
        if let Some(role) = command.grant.as_ref().and_then(|grant| grant.role.as_deref())
            && !self.is_call_role(app, role, call.deadline).await?
        {
            return Err(Error::state("role", Reason::RoleNotFound));
        }

        // The epochs are read from the database, so that a token minted after a revocation is not hit by it.
        let db = self.read(call.deadline).await?;
        let bearer = tokens::find_bearer(&db, app, &command.user).await?;
        let bearer = bearer.ok_or_else(|| Error::state("user_id", Reason::UserNotFound))?;
        if let Some(reason) = bearer.barred {
            return Err(Error::state("user_id", reason));
        }
        let standing = tokens::get_app_standing(&db, app).await?;

        sign(&self.vault, key, &bearer.marks, &standing, command, self.now())
    }
}

/// Signs the token that `command` asks for, under the auth epochs that the database has: `user` are the marks
/// of its user.
pub(in crate::domain) fn sign(
    vault: &Vault,
    key: &Key,
    user: &RevocationMarks,
    app: &AppStanding,
    command: CreateToken,
    now: Timestamp,
) -> Result<Minted, Error> {
    let longest = app.settings.max_token_validity();
    let validity = command.validity.unwrap_or(DEFAULT_VALIDITY.min(longest));
    if validity > longest {
        let rule = format!("must be at most {} seconds in this app", longest.as_secs());
        return Err(Error::invalid("validity", &rule));
    }
    let expires_at = now.plus(validity).whole_seconds();
    let field = if command.grant.is_some() { "call_cids" } else { "claims" };
    // The clock may have been set back since a revocation of what was issued before a time.
    let at = [user.minted_before, app.marks.minted_before].into_iter().flatten().fold(now, Timestamp::max);
    let here = Here { user_epoch: user.epoch, app_epoch: app.marks.epoch, at };
    let proof = prove(vault, key.app, &command.user, here);
    let mut claims = claims(command, &app.settings, here, expires_at);
    claims.insert(PROOF.into(), proof.into());

    let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
    let token = jsonwebtoken::encode(&header, &claims, &key.signing)
        .map_err(|err| StoreError::Internal(format!("a token could not be signed: {err}")))?;
    if token.len() > MAX_BYTES {
        let mut bad = Violations::new();
        bad.add_too_large(field, format!("would make the token longer than {MAX_BYTES} bytes"));
        bad.into_result(())?;
    }
    Ok(Minted { token, expires_at })
}

/// What the token says, but for the proof.
fn claims(
    command: CreateToken,
    settings: &AppSettings,
    here: Here,
    expires_at: Timestamp,
) -> Map<String, Value> {
    let CreateToken { user, grant, validity: _, claims } = command;
    let mut claims = claims;
    claims.insert("user_id".into(), user.as_str().into());
    claims.insert("sub".into(), user.as_str().into());
    claims.insert("iat".into(), here.at.seconds().into());
    claims.insert("exp".into(), expires_at.seconds().into());
    claims.insert("jti".into(), Uuid::new_v4().to_string().into());
    claims.insert(USER_EPOCH.into(), here.user_epoch.into());
    claims.insert(APP_EPOCH.into(), here.app_epoch.into());
    claims.insert(MINTED_AT.into(), here.at.micros().into());
    for (claim, name) in [("iss", &settings.token_issuer), ("aud", &settings.token_audience)] {
        if !name.is_empty() {
            claims.insert(claim.into(), name.as_str().into());
        }
    }
    if let Some(CallGrant { calls, role }) = grant {
        claims.insert("call_cids".into(), calls.into());
        claims.extend(role.map(|role| ("role".into(), role.into())));
    }
    claims
}
