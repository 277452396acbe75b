//! `usher app rotate-key`, `list-keys`, `retire-key`: the keys of the app that the caller belongs to.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::connect::{Connection, unary};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::{json as pb_json, output, text};
use crate::proto::v1;
use crate::server::admin;

#[derive(Debug, Args)]
pub(super) struct RotateKey {
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct ListKeys {
    /// Print a JSON object for each key, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct RetireKey {
    /// Name of the key.
    kid: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl RotateKey {
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let before = client.apps().list_keys(unary(v1::ListKeysRequest {})).await;
        let before = before.map_err(|status| client.failure(&status))?.into_inner().keys;
        let created = client.apps().create_key(unary(v1::CreateKeyRequest::default())).await;
        let v1::CreateKeyResponse { key, secret } =
            created.map_err(|status| client.failure(&status))?.into_inner();
        let kid = key.map(|key| key.kid).unwrap_or_default();

        // Printed first: if writing the files fails, the secret cannot be asked for again.
        if self.json {
            output::json(&json!({"key": kid, "secret": secret}))?;
        } else {
            output::line(format_args!("key: {kid}"))?;
            output::line(format_args!("secret: {secret}"))?;
        }
        if let Some(data_dir) = self.connection.data_dir() {
            let kept = admin::keep_default_key(data_dir, &kid, &secret);
            kept.map_err(|err| Failure::failed(format!("the key was made, but its files were not: {err}")))?;
            output::note(format_args!("{} holds them now", data_dir.join("default.secret").display()));
        }
        for old in before.into_iter().filter(|key| key.signing) {
            output::note(format_args!(
                "{} goes on to verify; once the tokens it signed have expired, run: usher app retire-key {}",
                old.kid, old.kid
            ));
        }
        Ok(Exit::Success)
    }
}

impl ListKeys {
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let listed = client.apps().list_keys(unary(v1::ListKeysRequest {})).await;
        let keys = listed.map_err(|status| client.failure(&status))?.into_inner().keys;
        if self.json {
            for key in &keys {
                output::json(&as_json(key))?;
            }
            return Ok(Exit::Success);
        }
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                let time = |time| pb_json::time(time).unwrap_or_default();
                vec![key.kid.clone(), state(key).to_owned(), time(key.created_at), time(key.retired_at)]
            })
            .collect();
        for line in text::table(&["KEY", "STATE", "CREATED", "RETIRED"], &rows) {
            output::line(line)?;
        }
        Ok(Exit::Success)
    }
}

impl RetireKey {
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let request = v1::RetireKeyRequest { kid: self.kid };
        let retired = client.apps().retire_key(unary(request)).await;
        let key = retired.map_err(|status| client.failure(&status))?.into_inner().key.unwrap_or_default();
        if self.json {
            output::json(&as_json(&key))?;
        } else {
            output::line(format_args!("retired {}", key.kid))?;
        }
        Ok(Exit::Success)
    }
}

fn state(key: &v1::AppKey) -> &'static str {
    match key {
        v1::AppKey { retired_at: Some(_), .. } => "retired",
        v1::AppKey { signing: true, .. } => "signs",
        _ => "verifies",
    }
}

fn as_json(key: &v1::AppKey) -> Value {
    json!({
        "kid": key.kid,
        "state": state(key),
        "created_at": pb_json::time(key.created_at),
        "retired_at": pb_json::time(key.retired_at),
    })
}
