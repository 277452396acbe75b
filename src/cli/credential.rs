//! What a caller proves itself with: a token it was given, or one minted here from an app's secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::failure::Failure;
use crate::model::clock::{Clock, SystemClock};
use crate::server::config::{Secret, read_secret};

/// How long a token lives that is minted for one call. A stream that takes longer ends with it, and is taken up
/// again with a new one.
const VALIDITY: Duration = Duration::from_mins(10);

/// An app's key and secret, by where they lie.
#[derive(Debug, Clone, Args)]
pub(super) struct KeyPair {
    /// Name of the app's key, as `usher app create` printed it.
    #[arg(long, env = "USHER_KEY", value_name = "KID")]
    pub(super) key: Option<String>,

    /// File that holds the secret of the key.
    #[arg(long, env = "USHER_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Data directory of `usher serve`, which holds a key of its first app; used if no key, secret or token is
    /// given.
    #[arg(long, env = "USHER_DATA_DIR", value_name = "DIR", default_value = "./usher-data")]
    data_dir: PathBuf,
}

impl KeyPair {
    /// Reads the key and its secret.
    pub(super) fn read(&self) -> Result<SigningKey, Failure> {
        match (&self.key, &self.secret_file) {
            (Some(key), Some(file)) => Ok(SigningKey { kid: key.clone(), secret: secret(file)? }),
            (Some(key), None) => Err(Failure::usage(format!(
                "--key {key} needs its secret: give the file that holds it with --secret-file"
            ))),
            (None, Some(file)) => Err(Failure::usage(format!(
                "the secret in {} needs the key it belongs to: give it with --key",
                file.display()
            ))),
            (None, None) => self.first_app(),
        }
    }

    /// The data directory, where key and secret are those of its first app.
    pub(super) fn of_first_app(&self) -> Option<&Path> {
        (self.key.is_none() && self.secret_file.is_none()).then_some(&self.data_dir)
    }

    fn first_app(&self) -> Result<SigningKey, Failure> {
        let (key, file) = (self.data_dir.join("default.key"), self.data_dir.join("default.secret"));
        if !key.exists() || !file.exists() {
            return Err(Failure::usage(format!(
                "nothing to prove who calls: {} does not hold default.key and default.secret. Do one of these:\n  \
                 give --data-dir, the data directory of `usher serve`\n  \
                 give --key and --secret-file, as `usher app create` printed them\n  \
                 give a server token by --token-file, or in USHER_TOKEN",
                self.data_dir.display()
            )));
        }
        Ok(SigningKey { kid: secret(&key)?.expose().to_owned(), secret: secret(&file)? })
    }
}

fn secret(file: &Path) -> Result<Secret, Failure> {
    let text = read_secret(file).map_err(|err| Failure::usage(err.to_string()))?;
    if text.is_empty() {
        return Err(Failure::usage(format!("{} is empty", file.display())));
    }
    Ok(Secret::from(text))
}

/// A key that signs server tokens.
#[derive(Debug, Clone)]
pub(super) struct SigningKey {
    kid: String,
    secret: Secret,
}

impl SigningKey {
    /// Mints a server token as of now, for good where `validity` is not given.
    pub(super) fn mint(&self, clock: &dyn Clock, validity: Option<Duration>) -> Result<String, Failure> {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.kid.clone());

        let now = clock.now();
        let mut claims = json!({"server": true, "iat": now.seconds()});
        if let (Some(validity), Some(claims)) = (validity, claims.as_object_mut()) {
            claims.insert("exp".to_owned(), now.plus(validity).seconds().into());
        }
        // The characters of the secret are the key, as they stand.
        let key = EncodingKey::from_secret(self.secret.expose().as_bytes());
        jsonwebtoken::encode(&header, &claims, &key)
            .map_err(|err| Failure::failed(format!("cannot mint a token: {err}")))
    }
}

/// What the caller was given to prove itself with.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A token, and the key of the app for tokens that do not name it.
    Token(Secret, Option<String>),
    /// The same, in a file.
    TokenFile(PathBuf, Option<String>),
    Pair(KeyPair),
}

impl Given {
    pub(super) fn read(&self) -> Result<Credential, Failure> {
        match self {
            Self::Token(token, key) => Credential::token(token, key.as_deref()),
            Self::TokenFile(file, key) => Credential::token(&secret(file)?, key.as_deref()),
            Self::Pair(pair) => pair.read().map(Credential::Mints),
        }
    }
}

/// Puts the proof into every call.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    Token { authorization: MetadataValue<Ascii>, api_key: Option<MetadataValue<Ascii>> },
    Mints(SigningKey),
}

impl Credential {
    fn token(token: &Secret, key: Option<&str>) -> Result<Self, Failure> {
        let api_key = key
            .map(|key| key.parse().map_err(|_| Failure::usage("--key holds characters that no key has")))
            .transpose()?;
        Ok(Self::Token { authorization: bearer(token.expose().trim())?, api_key })
    }

    /// Whether each call gets a token of its own.
    pub(super) const fn mints(&self) -> bool {
        matches!(self, Self::Mints(_))
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self::Token { authorization: MetadataValue::from_static("Bearer test"), api_key: None }
    }
}

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        match self {
            Self::Token { authorization, api_key } => {
                metadata.insert("authorization", authorization.clone());
                if let Some(key) = api_key {
                    metadata.insert("x-api-key", key.clone());
                }
            }
            Self::Mints(key) => {
                let token = key.mint(&SystemClock, Some(VALIDITY)).and_then(|token| bearer(&token));
                let token = token.map_err(|failure| Status::unauthenticated(failure.to_string()))?;
                metadata.insert("authorization", token);
            }
        }
        Ok(request)
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Failure> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
        .parse()
        .map_err(|_| Failure::usage("the token holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;
    use crate::model::clock::Timestamp;

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0)
        }
    }

    fn part(token: &str, at: usize) -> Value {
        let part = token.split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn key() -> SigningKey {
        SigningKey {
            kid: "k1".to_owned(),
            secret: Secret::from("0123456789abcdef0123456789abcdef".to_owned()),
        }
    }

    #[test]
    fn a_minted_token_holds_what_a_server_token_must_and_nothing_else() {
        let token = key().mint(&At(7_900_000), Some(Duration::from_mins(1))).unwrap();
        assert_eq!(part(&token, 0), json!({"alg": "HS256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(part(&token, 1), json!({"server": true, "iat": 7, "exp": 67}));
    }

    #[test]
    fn without_validity_a_token_does_not_expire() {
        let token = key().mint(&At(7_900_000), None).unwrap();
        assert_eq!(part(&token, 1), json!({"server": true, "iat": 7}));
    }

    #[test]
    fn the_key_is_the_characters_of_the_file_without_its_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("default.key"), "k1").unwrap();
        std::fs::write(dir.path().join("default.secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
        let pair = KeyPair { key: None, secret_file: None, data_dir: dir.path().to_owned() };
        let read = pair.read().unwrap().mint(&At(0), None).unwrap();
        assert_eq!(read, key().mint(&At(0), None).unwrap());
    }

    #[test]
    fn where_nothing_is_given_the_text_says_what_to_do() {
        let pair = KeyPair { key: None, secret_file: None, data_dir: "/nowhere".into() };
        let said = pair.read().unwrap_err().to_string();
        assert!(
            ["--data-dir", "--key and --secret-file", "USHER_TOKEN"].iter().all(|way| said.contains(way)),
            "{said}"
        );
    }
}
