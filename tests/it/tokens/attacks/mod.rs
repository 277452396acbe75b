//! Attacks on tokens, by topic.
//!
//! Whoever forges here holds the secret and signs what it likes, so that a token is refused for its one flaw
//! and not for its signature. Beside each stands its twin, which lacks the flaw and must be accepted. Both
//! go through every door: `VerifyToken`, the caller's own credential, and `ConnectUser`.

mod claims;
mod credentials;
mod dates;
mod encoding;
mod epochs;
mod form;
mod header;
mod keys;
mod kinds;
mod signature;

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::harness::{Caller, Credentials, TestServer, fields_of, pb, reason_of, told, user};

/// Claims that nothing is against, once [`Forge::of`] has stored their user.
const ADA: &str = r#"{"user_id":"ada"}"#;

/// Signs any text with the secret of an app.
pub(super) struct Forge(Credentials);

impl Forge {
    /// With the secret of the server's app, where there is now a user `ada`.
    pub(super) async fn of(server: &TestServer) -> Self {
        server.upsert(vec![user("ada")]).await;
        Self(server.credentials().clone())
    }

    /// A header that nothing is against.
    fn header(&self) -> String {
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#, self.0.kid)
    }

    /// A token of this header and these claims, which need not be JSON.
    pub(super) fn token(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign(&format!("{}.{}", encode(header), encode(claims)))
    }

    /// A token of these claims.
    pub(super) fn claims(&self, claims: impl AsRef<[u8]>) -> String {
        self.token(self.header(), claims)
    }

    /// `signed`, and its signature behind it.
    fn sign(&self, signed: &str) -> String {
        format!("{signed}.{}", hmac(Algorithm::HS256, self.0.secret.as_bytes(), signed.as_bytes()))
    }
}

/// What a token says, whoever signed it.
pub(super) fn claims_of(token: &str) -> serde_json::Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// The HMAC of `message` as a token carries it.
fn hmac(algorithm: Algorithm, key: &[u8], message: &[u8]) -> String {
    jsonwebtoken::crypto::sign(message, &EncodingKey::from_secret(key), algorithm).unwrap()
}

/// A token that must be refused, and its twin, which must not.
struct Attack {
    what: String,
    forged: String,
    twin: String,
    reason: &'static str,
    /// What the text must say, once the signature is good.
    naming: Option<String>,
    is_credential: bool,
}

/// What is wrong up to and including the signature is one answer, in one text.
fn attack(what: impl Into<String>, forged: String, twin: &str) -> Attack {
    let reason = "TOKEN_INVALID";
    Attack { what: what.into(), forged, twin: twin.to_owned(), reason, naming: None, is_credential: true }
}

impl Attack {
    /// It is told why.
    const fn because(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// Its signature is good, so the text names what is wrong with it.
    fn naming(mut self, named: impl Into<String>) -> Self {
        self.naming = Some(named.into());
        self
    }

    /// As a credential it is something else, and good.
    const fn within_requests_only(mut self) -> Self {
        self.is_credential = false;
        self
    }
}

/// Every door refuses each token and accepts its twin; all that went wrong is told at once.
async fn refused(server: &Caller, attacks: impl IntoIterator<Item = Attack>) {
    let nobody_signed = Refusals::of(server, "junk", true).await;
    let (mut wrong, mut twins, mut count) = (Vec::new(), HashSet::new(), 0);
    for Attack { what, forged, twin, reason, naming, is_credential } in attacks {
        count += 1;
        assert_ne!(forged, twin, "{what}");
        if twins.insert(twin.clone()) {
            let refusals = Refusals::of(server, &twin, is_credential).await;
            wrong.extend(refusals.all().map(|told| format!("the twin of {what:?}: {told}")));
        }
        let refusals = Refusals::of(server, &forged, is_credential).await;
        wrong.extend(refusals.unlike(reason).map(|told| format!("{what:?}: {told}")));
        if let Some(named) = naming {
            wrong.extend(refusals.not_naming(&named).map(|told| format!("{what:?}: {told}")));
        } else if reason == "TOKEN_INVALID" {
            wrong.extend(refusals.telling_more_than(&nobody_signed).map(|told| format!("{what:?}: {told}")));
        }
    }
    assert!(wrong.is_empty(), "{count} attacks, and these are not as they should be:\n{}", wrong.join("\n"));
}

/// How each door refuses a token; `None` where it was not knocked at, or where the token is good.
struct Refusals {
    doors: [(&'static str, Option<Result<(), Status>>); 3],
}

impl Refusals {
    async fn of(server: &Caller, token: &str, is_credential: bool) -> Self {
        let (verdict, is_server) = verify(server, token).await;
        let value = format!("Bearer {token}");
        // Some text cannot be sent as metadata, and ends are trimmed there.
        let can_be_sent =
            is_credential && value.parse::<AsciiMetadataValue>().is_ok() && token.trim() == token;
        let credential = if can_be_sent {
            let own = server.anonymous().with_header("authorization", &value);
            Some(knock(&own).await.map(drop))
        } else {
            None
        };
        // No user connects with a server token, or with nothing.
        let connected = if is_server || token.is_empty() { None } else { Some(connect(server, token).await) };
        Self {
            doors: [("VerifyToken", Some(verdict)), ("a credential", credential), ("ConnectUser", connected)],
        }
    }

    /// Doors that refuse.
    fn all(&self) -> impl Iterator<Item = String> {
        self.knocked()
            .filter_map(|(door, outcome)| Some(format!("{door} refuses: {:?}", outcome.as_ref().err()?)))
    }

    /// Doors that do not refuse for `reason`.
    fn unlike(&self, reason: &str) -> impl Iterator<Item = String> {
        self.knocked().filter_map(move |(door, outcome)| match outcome {
            Ok(()) => Some(format!("{door} accepts it")),
            Err(status) if status.code() == Code::Unauthenticated && reason_of(status) == reason => None,
            Err(status) => Some(format!("{door} refuses with {:?}/{}", status.code(), reason_of(status))),
        })
    }

    /// Doors whose text does not say `named`.
    fn not_naming(&self, named: &str) -> impl Iterator<Item = String> {
        self.knocked().filter_map(move |(door, outcome)| {
            let text = outcome.as_ref().err()?.message();
            (!text.contains(named)).then(|| format!("{door} does not name {named}: {text}"))
        })
    }

    /// Doors that refuse in other words, or with other details, than `other`'s.
    fn telling_more_than(&self, other: &Self) -> impl Iterator<Item = String> {
        let pairs = self.doors.iter().zip(&other.doors);
        pairs.filter_map(|((door, here), (_, there))| match (here, there) {
            (Some(Err(here)), Some(Err(there)))
                if (here.message(), here.details()) != (there.message(), there.details()) =>
            {
                Some(format!("{door} tells more: {:?} {:?}", here.message(), here.get_error_details()))
            }
            _ => None,
        })
    }

    fn knocked(&self) -> impl Iterator<Item = (&'static str, &Result<(), Status>)> {
        self.doors.iter().filter_map(|(door, outcome)| Some((*door, outcome.as_ref()?)))
    }
}

/// What `VerifyToken` answers as if it refused, with all that it tells of the token as text; and whether it is
/// a server token.
async fn verify(server: &Caller, token: &str) -> (Result<(), Status>, bool) {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    let verdict = match server.tokens().verify_token(request).await {
        Ok(verdict) => verdict.into_inner(),
        Err(status) => return (Err(Status::internal(format!("no answer: {status:?}"))), false),
    };
    assert_eq!(
        verdict.valid,
        verdict.reason.is_empty(),
        "a reason stands where it is not valid: {verdict:?}"
    );
    let is_server = verdict.server;
    let outcome = if verdict.valid {
        Ok(())
    } else {
        let reason = tonic_types::ErrorDetails::with_error_info(&verdict.reason, "usher", []);
        Err(Status::with_error_details(Code::Unauthenticated, format!("{verdict:?}"), reason))
    };
    (outcome, is_server)
}

/// A call that everybody may make, whoever it is.
async fn knock(caller: &Caller) -> Result<Response<pb::KeepAliveResponse>, Status> {
    caller.users().keep_alive(pb::KeepAliveRequest { session_ids: vec!["none".to_owned()] }).await
}

/// What `ConnectUser` answers to an edge. A refusal that does not name the field is none.
async fn connect(server: &Caller, token: &str) -> Result<(), Status> {
    let request = pb::ConnectUserRequest { token: token.to_owned(), anonymous: false };
    match server.users().connect_user(request).await {
        Err(status) if fields_of(&status) != ["token"] => Err(Status::internal(told(&status))),
        outcome => outcome.map(drop),
    }
}
