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

use super::unique_map::UniqueMap;
use crate::model::call::Cid;
use crate::model::clock::Timestamp;
use crate::model::id::{UserId, parse_word};
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
    pub(super) fn parse(token: &'a str) -> Result<Self, Reason> {
        Self::taken_apart(token).ok_or(Reason::TokenInvalid)
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

    /// What it says, once its signature was found good.
    pub(super) fn claims(&self) -> Result<Claims, Reason> {
        let UniqueMap(claims) = serde_json::from_slice(&self.claims).map_err(|_| Reason::TokenInvalid)?;
        Claims::parse(claims).ok_or(Reason::TokenInvalid)
    }

    /// What it says, if it was signed with `key`.
    pub(super) fn open(&self, key: &DecodingKey) -> Result<Claims, Reason> {
        if self.is_signed_with(key) { self.claims() } else { Err(Reason::TokenInvalid) }
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
struct Here {
    user_epoch: i64,
    app_epoch: i64,
    at: Timestamp,
}

/// What a token says, in our types.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    pub(super) bearer: Bearer,
    pub(super) issued_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) not_before: Option<i64>,
    issuer: Option<String>,
    audience: Vec<String>,
    /// Of a token minted here.
    here: Option<Here>,
    pub(super) call_cids: Vec<Cid>,
    /// What a call token makes of its user in its calls.
    pub(super) call_role: Option<String>,
    /// Every claim without a meaning of its own.
    pub(super) others: Map<String, Value>,
}

impl Claims {
    fn parse(mut claims: Map<String, Value>) -> Option<Self> {
        let server = match claims.get("server") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return None,
        };
        let call_cids: Vec<Cid> = match claims.get("call_cids") {
            None => Vec::new(),
            Some(Value::Array(cids)) => {
                let cid = |cid: &Value| Cid::parse(cid.as_str()?).ok();
                cids.iter().map(cid).collect::<Option<_>>()?
            }
            Some(_) => return None,
        };
        // A token is of one kind: none passes as another.
        let bearer = match (server, claims.get("user_id")) {
            (true, None) if call_cids.is_empty() => Bearer::Server,
            (false, Some(Value::String(id))) => Bearer::User(UserId::parse(id.as_str()).ok()?),
            _ => return None,
        };
        let call_role = match claims.get("role") {
            // Of other tokens the role is nobody's business: it is stored with the user.
            Some(Value::String(role)) if !call_cids.is_empty() => Some(parse_word(role.clone()).ok()?),
            Some(_) if !call_cids.is_empty() => return None,
            _ => None,
        };
        let issued_at = date(&claims, "iat")?;
        let parsed = Self {
            bearer,
            issued_at,
            expires_at: date(&claims, "exp")?,
            not_before: date(&claims, "nbf")?,
            issuer: claims.get("iss").and_then(Value::as_str).map(str::to_owned),
            audience: audience(&claims),
            here: here(&claims, issued_at)?,
            call_role,
            call_cids,
            others: Map::new(),
        };
        claims.retain(|name, _| !REGISTERED.contains(&name.as_str()) && !name.starts_with("usher_"));
        Some(Self { others: presentable(claims), ..parsed })
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

    /// Judges the dates that nothing is needed for but `now`.
    pub(super) fn judge(&self, now: Timestamp) -> Result<(), Reason> {
        let now = now.seconds();
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Reason::TokenExpired);
        }
        let too_early = self.not_before.is_some_and(|not_before| not_before > now);
        if too_early { Err(Reason::TokenNotYetValid) } else { Ok(()) }
    }

    /// Judges what the app asks of tokens.
    pub(super) fn judge_by(&self, settings: &AppSettings, now: Timestamp) -> Result<(), Reason> {
        let latest = now.plus(settings.token_leeway()).seconds();
        if self.issued_at.is_some_and(|issued_at| issued_at > latest) {
            return Err(Reason::TokenNotYetValid);
        }
        let is_for_users = matches!(self.bearer, Bearer::User(_));
        let AppSettings { token_issuer: issuer, token_audience: audience, .. } = settings;
        let by = issuer.is_empty() || self.issuer.as_ref() == Some(issuer);
        let to = audience.is_empty() || self.audience.contains(audience);
        if is_for_users && !(by && to) { Err(Reason::TokenInvalid) } else { Ok(()) }
    }
}

/// Whom it is for: one, or several. Anything else is for nobody.
fn audience(claims: &Map<String, Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().filter_map(text).collect(),
        one => one.and_then(text).into_iter().collect(),
    }
}

/// `Some(None)` where the token was minted elsewhere, `None` where it says by half that it was minted here, or
/// of another time than `iat`, which is the one that is judged.
#[expect(clippy::option_option, reason = "absent and malformed are two things")]
fn here(claims: &Map<String, Value>, issued_at: Option<i64>) -> Option<Option<Here>> {
    let names = [USER_EPOCH, APP_EPOCH, MINTED_AT];
    if names.iter().all(|name| !claims.contains_key(*name)) {
        return Some(None);
    }
    let [user_epoch, app_epoch, at] = names.map(|name| integer(claims, name).flatten());
    let here = Here { user_epoch: user_epoch?, app_epoch: app_epoch?, at: Timestamp::from_micros(at?) };
    (issued_at == Some(here.at.seconds())).then_some(Some(here))
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

/// `Some(None)` where the claim is absent, `None` where it is no integer.
#[expect(clippy::option_option, reason = "absent and malformed are two things")]
fn integer(claims: &Map<String, Value>, name: &str) -> Option<Option<i64>> {
    match claims.get(name) {
        None => Some(None),
        Some(value) => value.as_i64().map(Some),
    }
}

/// A `NumericDate` (RFC 7519, 2) in whole seconds, within the years protobuf can carry.
#[expect(clippy::option_option, reason = "absent and malformed are two things")]
fn date(claims: &Map<String, Value>, name: &str) -> Option<Option<i64>> {
    match integer(claims, name)? {
        Some(seconds) if seconds < 0 || Timestamp::from_parts(seconds, 0).is_none() => None,
        date => Some(date),
    }
}
