//! `usher token`: server tokens are minted here, user tokens by the server, which knows the users.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connect::{Connection, unary};
use super::credential::KeyPair;
use super::failure::{Exit, Failure, Outcome};
use super::{json, output};
use crate::model::clock::SystemClock;
use crate::proto::v1;
use crate::server::text_file::{Source, read_text};

/// Bytes of a token that are read: more than any token has. The server refuses what is cut off.
const MAX_TOKEN: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Mints a server token, which may do everything in its app. Calls no server.
    Server(ServerToken),
    /// Asks the server to mint a token for a user.
    User(UserToken),
    /// Asks the server to verify a token. Exits with 1 if it is not valid.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct ServerToken {
    #[command(flatten)]
    pair: KeyPair,
    /// How long the token is valid, such as 1h or 30d. [default: until the key is retired]
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    validity: Option<Duration>,
}

#[derive(Debug, Args)]
struct UserToken {
    /// Id of the user.
    user_id: String,
    /// How long the token is valid, such as 5m or 1h. [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    validity: Option<Duration>,
    /// Further claims of the token, a JSON object.
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// Print a JSON object with `token` and `expires_at`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct Verify {
    /// The token; `-` reads it from standard input, so that other processes cannot see it.
    #[arg(value_name = "TOKEN|-")]
    candidate: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Token {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Server(server) => {
                output::line(server.pair.read()?.mint(&SystemClock, server.validity)?)?;
                Ok(Exit::Success)
            }
            Verb::User(user) => user.run().await,
            Verb::Verify(verify) => verify.run().await,
        }
    }
}

impl UserToken {
    async fn run(self) -> Outcome {
        let claims = self.claims.as_deref().map(|text| json::object("--claims", text)).transpose()?;
        let validity = self.validity.map(|validity| prost_types::Duration {
            seconds: i64::try_from(validity.as_secs()).unwrap_or(i64::MAX),
            nanos: 0,
        });
        let client = self.connection.open()?;
        let ids = [self.user_id.clone()];
        let request = v1::CreateUserTokenRequest { user_id: self.user_id, validity, claims };
        let answer = client
            .tokens()
            .create_user_token(unary(request))
            .await
            .map_err(|status| client.failure_about(&status, &ids))?;
        let v1::CreateUserTokenResponse { token, expires_at } = answer.into_inner();
        if self.json {
            output::json(&json!({"token": token, "expires_at": json::time(expires_at)}))?;
        } else {
            output::line(token)?;
        }
        Ok(Exit::Success)
    }
}

impl Verify {
    async fn run(self) -> Outcome {
        let token = match self.candidate.as_str() {
            "-" => read_text(Source::Stdin(MAX_TOKEN)).map_err(Failure::usage)?.trim().to_owned(),
            _ => self.candidate,
        };
        let client = self.connection.open()?;
        let request = v1::VerifyTokenRequest { token };
        let answer =
            client.tokens().verify_token(unary(request)).await.map_err(|status| client.failure(&status))?;

        let verdict = answer.into_inner();
        let valid = verdict.valid;
        if self.json {
            output::json(&as_json(verdict))?;
        } else {
            for line in as_lines(verdict) {
                output::line(line)?;
            }
        }
        Ok(if valid { Exit::Success } else { Exit::Failed })
    }
}

fn as_json(verdict: v1::VerifyTokenResponse) -> Value {
    json!({
        "valid": verdict.valid,
        "reason": verdict.reason,
        "message": verdict.message,
        "user_id": verdict.user_id,
        "server": verdict.server,
        "role": verdict.role,
        "call_cids": verdict.call_cids,
        "issued_at": json::time(verdict.issued_at),
        "expires_at": json::time(verdict.expires_at),
        "claims": verdict.claims.map(json::of_struct),
    })
}

/// A line for each field that says something.
fn as_lines(verdict: v1::VerifyTokenResponse) -> Vec<String> {
    let claims = verdict.claims.map(|claims| json::of_struct(claims).to_string()).filter(|text| text != "{}");
    let fields = [
        ("valid", Some(verdict.valid.to_string())),
        ("reason", Some(verdict.reason)),
        ("message", Some(verdict.message)),
        ("user_id", Some(verdict.user_id)),
        ("server", verdict.server.then(|| "true".to_owned())),
        ("role", Some(verdict.role)),
        ("call_cids", Some(verdict.call_cids.join(" "))),
        ("issued_at", json::time(verdict.issued_at)),
        ("expires_at", json::time(verdict.expires_at)),
        ("claims", claims),
    ];
    let told = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    told.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}")).collect()
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let validity =
        humantime::parse_duration(text).map_err(|err| format!("{err}; write it like 1h or 30d"))?;
    if validity.as_secs() == 0 || validity.subsec_nanos() != 0 {
        return Err("must be whole seconds, at least one".to_owned());
    }
    Ok(validity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_told_in_lines_that_say_something() {
        let verdict = v1::VerifyTokenResponse {
            reason: "TOKEN_EXPIRED".to_owned(),
            message: "the token has expired".to_owned(),
            user_id: "ada".to_owned(),
            expires_at: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        };
        let lines = [
            "valid: false",
            "reason: TOKEN_EXPIRED",
            "message: the token has expired",
            "user_id: ada",
            "expires_at: 1970-01-01T00:00:00Z",
        ];
        assert_eq!(as_lines(verdict), lines);
    }

    #[test]
    fn validity_is_whole_seconds() {
        assert_eq!(whole_seconds("90m"), Ok(Duration::from_mins(90)));
        assert!(whole_seconds("1500ms").is_err());
        assert!(whole_seconds("0s").is_err());
    }
}
