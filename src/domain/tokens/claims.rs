//! The claims of a token, and what of one can be judged without the database (RFC 7519, RFC 8725).
//!
//! The library judges the signature and nothing else. What it would let pass is refused here: headers with
//! names that are not on a list, dates that are no integers, names that stand twice, another alphabet.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::proof::{PROOF, is_proof};
use super::refusal::Refusal;
use super::unique_map::UniqueMap;
use crate::domain::apps::ring::Key;
use crate::domain::vault::Vault;
use crate::model::call::Cid;
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId, parse_word};
use crate::model::json;
use crate::model::reason::Reason;
use crate::model::revocation::Mint;
use crate::model::settings::AppSettings;

/// The longest token looked at, in bytes.
pub(super) const MAX_BYTES: usize = 8 * 1024;
/// Of HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;

/// The claim that carries the user's auth epoch in tokens minted here.
pub(super) const USER_EPOCH: &str = "usher_user_epoch";
/// The claim that carries the app's auth epoch in tokens minted here.
pub(super) const APP_EPOCH: &str = "usher_app_epoch";
/// The claim that carries the time of minting here, in microseconds since the epoch.
pub(super) const MINTED_AT: &str = "usher_minted_at";
/// What only tokens minted here carry, all of it.
const HERE: [&str; 3] = [USER_EPOCH, APP_EPOCH, MINTED_AT];

const NOT_AN_OBJECT: &str = "must be one JSON object in UTF-8";
const NAMED_TWICE: &str = "must be a JSON object in which no name is given twice";

/// Claims with a meaning of their own, which callers cannot choose and `claims` does not repeat.
pub(super) const REGISTERED: [&str; 13] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "user_id",
    "server",
    "call_cids",
    "channel_cids",
    "role",
    "kid",
];

/// A token whose form is right and whose signature was not looked at yet.
///
/// Everything that is wrong up to the signature is one answer, so nothing here says what.
pub(super) struct Sealed<'a> {
    /// The key that the header names.
    pub(super) kid: Option<String>,
    /// Header and claims, as they were signed.
    signed: &'a str,
    signature: &'a str,
    claims: Vec<u8>,
}

/// The header of a token: these names and no others, each at most once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    typ: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    kid: Option<Cow<'a, str>>,
}

/// Text, where it is given; `null` is none.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Cow::deserialize(deserializer).map(Some)
}

impl Header<'_> {
    fn parse(json: &[u8]) -> Option<Header<'_>> {
        // The parser would take an array for the fields in order.
        let header: Header<'_> = json.starts_with(b"{").then(|| serde_json::from_slice(json).ok())??;
        let jwt = header.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        let known_key = header.kid.as_ref().is_none_or(|kid| is_kid(kid));
        // Keys here are HMAC keys. The header chooses nothing; it must only not say otherwise.
        (header.alg == "HS256" && jwt && known_key).then_some(header)
    }
}

impl<'a> Sealed<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        Self::taken_apart(token).ok_or(Refusal::UNSIGNED)
    }

    fn taken_apart(token: &'a str) -> Option<Self> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        // Strict: no padding, no foreign characters (a third dot among them), no stray bits at the end.
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let (header, claims) = (header?, claims?);
        URL_SAFE_NO_PAD.decode(signature).ok().filter(|signature| signature.len() == SIGNATURE_BYTES)?;
        let kid = Header::parse(&header)?.kid.map(Cow::into_owned);
        Some(Self { kid, signed, signature, claims })
    }

    /// Whether it was signed with `key`.
    pub(super) fn is_signed_with(&self, key: &DecodingKey) -> bool {
        let good =
            jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, Algorithm::HS256);
        good.unwrap_or(false)
    }

    /// What it says, once its signature was found to be by a key of `app`.
    pub(super) fn claims(&self, app: AppId, vault: &Vault) -> Result<Claims, Refusal> {
        let claims = serde_json::from_slice(&self.claims).map_err(|_| Refusal::of_claims(NOT_AN_OBJECT))?;
        let UniqueMap { members, twice } = claims;
        if let Some(name) = twice {
            // A name without a meaning here may be anything, so it is not repeated.
            let known = HERE.into_iter().chain(REGISTERED).find(|known| *known == name);
            let once = |name| Refusal::of_claim(name, "must be given once");
            return Err(known.map_or_else(|| Refusal::of_claims(NAMED_TWICE), once));
        }
        let proof = members.get(PROOF).and_then(Value::as_str).map(str::to_owned);
        let claims = Claims::parse(members)?;
        Ok(claims.proven(proof.as_deref().unwrap_or_default(), app, vault))
    }

    /// What it says, if it was signed with `key`.
    pub(super) fn open(&self, key: &Key, vault: &Vault) -> Result<Claims, Refusal> {
        if self.is_signed_with(&key.verifying) { self.claims(key.app, vault) } else { Err(Refusal::UNSIGNED) }
    }
}

/// What cannot be a key's name is not looked for.
fn is_kid(kid: &str) -> bool {
    (1..=64).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bearer {
    Server,
    User(UserId),
}

/// What only tokens minted here say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) user_epoch: i64,
    pub(super) app_epoch: i64,
    pub(super) at: Timestamp,
}

/// What a token says, in our types.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    pub(super) bearer: Bearer,
    pub(super) issued_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    not_before: Option<i64>,
    issuer: Option<String>,
    audience: Vec<String>,
    /// Of a token that says it was minted here.
    here: Option<Here>,
    /// And proved it.
    is_proven: bool,
    pub(super) call_cids: Vec<Cid>,
    /// What a call token makes of its user in its calls.
    pub(super) call_role: Option<String>,
    /// Every claim without a meaning of its own.
    pub(super) others: Map<String, Value>,
}

impl Claims {
    fn parse(mut claims: Map<String, Value>) -> Result<Self, Refusal> {
        let call_cids = call_cids(&claims)?;
        let bearer = bearer(&claims, !call_cids.is_empty())?;
        let issued_at = date(&claims, "iat")?;
        let parsed = Self {
            bearer,
            issued_at,
            expires_at: date(&claims, "exp")?,
            not_before: date(&claims, "nbf")?,
            issuer: claims.get("iss").and_then(Value::as_str).map(str::to_owned),
            audience: audience(&claims),
            here: here(&claims, issued_at)?,
            is_proven: false,
            // Other tokens may say any role: it is stored with the user.
            call_role: if call_cids.is_empty() { None } else { call_role(&claims)? },
            call_cids,
            others: Map::new(),
        };
        claims.retain(|name, _| !REGISTERED.contains(&name.as_str()) && !name.starts_with("usher_"));
        Ok(Self { others: presentable(claims), ..parsed })
    }

    /// The same, and whether `proof` proves that it was minted here, for `app`.
    fn proven(self, proof: &str, app: AppId, vault: &Vault) -> Self {
        let is_proven = match (&self.bearer, self.here) {
            (Bearer::User(user), Some(here)) => is_proof(vault, app, user, here, proof),
            _ => false,
        };
        Self { is_proven, ..self }
    }

    /// When it was minted, as far as the user's revocations are concerned.
    pub(super) fn user_mint(&self) -> Mint {
        let here = |here: Here| Mint::Here { epoch: here.user_epoch, at: here.at };
        self.here.map_or(Mint::Elsewhere(self.issued_at), here)
    }

    /// When it was minted, as far as the app's revocations are concerned.
    pub(super) fn app_mint(&self) -> Mint {
        let here = |here: Here| Mint::Here { epoch: here.app_epoch, at: here.at };
        self.here.map_or(Mint::Elsewhere(self.issued_at), here)
    }

    /// Judges the date that nothing is needed for but `now`.
    pub(super) fn judge(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.expires_at.is_some_and(|expires_at| expires_at <= now.seconds()) {
            return Err(Refusal::of_date(Reason::TokenExpired, "exp", "has passed"));
        }
        Ok(())
    }

    /// Judges what the app asks of tokens.
    pub(super) fn judge_by(&self, settings: &AppSettings, now: Timestamp) -> Result<(), Refusal> {
        let latest = now.plus(settings.token_leeway()).seconds();
        let lies_ahead = |date: Option<i64>| date.is_some_and(|date| date > latest);
        // Usher's clock may have been set back since it minted the token.
        let issued_at = self.issued_at.filter(|_| !self.is_proven);
        for (name, date) in [("nbf", self.not_before), ("iat", issued_at)] {
            if lies_ahead(date) {
                let rule = "lies further ahead than the app's `token_leeway`";
                return Err(Refusal::of_date(Reason::TokenNotYetValid, name, rule));
            }
        }
        if self.bearer == Bearer::Server {
            return Ok(());
        }
        let AppSettings { token_issuer: issuer, token_audience: audience, .. } = settings;
        if !issuer.is_empty() && self.issuer.as_ref() != Some(issuer) {
            return Err(Refusal::of_claim("iss", "must be the app's `token_issuer`"));
        }
        if !audience.is_empty() && !self.audience.contains(audience) {
            return Err(Refusal::of_claim("aud", "must be the app's `token_audience`, or hold it"));
        }
        Ok(())
    }
}

/// Whose it is. A token is of one kind: none passes as another.
fn bearer(claims: &Map<String, Value>, is_for_calls: bool) -> Result<Bearer, Refusal> {
    const NOT_A_SERVER: &str = "must not be given together with `server` true";
    let server = match claims.get("server") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(Refusal::of_claim("server", "must be true or false, or be left out")),
    };
    match (server, claims.get("user_id")) {
        (true, Some(_)) => Err(Refusal::of_claim("user_id", NOT_A_SERVER)),
        (true, None) if is_for_calls => Err(Refusal::of_claim("call_cids", NOT_A_SERVER)),
        (true, None) => Ok(Bearer::Server),
        (false, None) => Err(Refusal::of_claim("user_id", "must be given, unless `server` is true")),
        (false, Some(id)) => {
            let id = id.as_str().and_then(|id| UserId::parse(id).ok());
            id.map(Bearer::User).ok_or_else(|| Refusal::of_claim("user_id", UserId::RULE))
        }
    }
}

fn call_cids(claims: &Map<String, Value>) -> Result<Vec<Cid>, Refusal> {
    let cid = |cid: &Value| Cid::parse(cid.as_str()?).ok();
    let cids = match claims.get("call_cids") {
        None => Some(Vec::new()),
        Some(Value::Array(cids)) => cids.iter().map(cid).collect(),
        Some(_) => None,
    };
    let rule = "must be a list of calls as type:id, both 1 to 64 characters of A-Z a-z 0-9 _ -";
    cids.ok_or_else(|| Refusal::of_claim("call_cids", rule))
}

fn call_role(claims: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let role = |role: &Value| parse_word(role.as_str().unwrap_or_default().to_owned());
    let role = claims.get("role").map(role).transpose();
    role.map_err(|rule| Refusal::of_claim("role", rule))
}

/// Whom it is for: one, or several. Anything else is for nobody.
fn audience(claims: &Map<String, Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().filter_map(text).collect(),
        one => one.and_then(text).into_iter().collect(),
    }
}

/// `None` where the token was minted elsewhere. Refused where it says by half that it was minted here, or at
/// another time than `iat`.
fn here(claims: &Map<String, Value>, issued_at: Option<i64>) -> Result<Option<Here>, Refusal> {
    if HERE.iter().all(|name| !claims.contains_key(*name)) {
        return Ok(None);
    }
    let number = |name| {
        let number = claims.get(name).and_then(Value::as_i64);
        number
            .ok_or_else(|| Refusal::of_claim(name, "must be as usher wrote it, next to the others of usher"))
    };
    let here = Here {
        user_epoch: number(USER_EPOCH)?,
        app_epoch: number(APP_EPOCH)?,
        at: Timestamp::from_micros(number(MINTED_AT)?),
    };
    if issued_at == Some(here.at.seconds()) {
        Ok(Some(here))
    } else {
        Err(Refusal::of_claim("iat", "must be the time in `usher_minted_at`"))
    }
}

/// Claims as an answer can hold them: what is nested too deep for clients is left out, and integers that
/// would lose digits become text.
fn presentable(claims: Map<String, Value>) -> Map<String, Value> {
    let shown = claims.into_iter().map(|(name, value)| (name, shown(value, json::MAX_DEPTH - 1)));
    shown.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn shown(value: Value, levels: usize) -> Option<Value> {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => None,
        Value::Array(members) => members.into_iter().map(|member| shown(member, levels - 1)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, member)| Some((name, shown(member, levels - 1)?)));
            members.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        Value::Number(number) if json::is_unsafe(&number) => Some(Value::String(number.to_string())),
        other => Some(other),
    }
}

/// A `NumericDate` (RFC 7519, 2) in whole seconds, within the years protobuf can carry.
fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Refusal> {
    let Some(date) = claims.get(name) else { return Ok(None) };
    let fits = |seconds: &i64| *seconds >= 0 && Timestamp::from_parts(*seconds, 0).is_some();
    let date = date.as_i64().filter(fits);
    let rule = "must be a whole number of seconds since 1970, not beyond the year 9999";
    date.map(Some).ok_or_else(|| Refusal::of_claim(name, rule))
}
