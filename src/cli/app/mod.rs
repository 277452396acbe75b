//! `usher app`: creating and listing opens the database directly, since without an app there is no key to
//! call the API with; the rest calls the API.

mod keys;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{Exit, Failure, Outcome};
use super::settings::Settings;
use super::{output, text};
use crate::server::admin;
use crate::server::config::read_secret;

#[derive(Debug, Args)]
pub(super) struct App {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Creates an app, and prints its key and secret. The secret is shown this once only.
    Create(Create),
    /// Lists the apps and their keys.
    List(List),
    /// Makes a new key, which signs from now on, and prints it. The secret is shown this once only.
    RotateKey(keys::RotateKey),
    /// Lists the keys of the app.
    ListKeys(keys::ListKeys),
    /// Ends a key: what it has signed is refused within a second.
    RetireKey(keys::RetireKey),
}

#[derive(Debug, Args)]
struct Create {
    /// What to call the app.
    name: String,
    /// File that holds a secret of your own, of at least 32 random characters. Not given: one is made.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct List {
    /// Print a JSON object for each app, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl App {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Create(create) => create.run().await,
            Verb::List(list) => list.run().await,
            Verb::RotateKey(rotate) => rotate.run().await,
            Verb::ListKeys(list) => list.run().await,
            Verb::RetireKey(retire) => retire.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let own = self.secret_file.as_deref().map(read_secret).transpose();
        let own = own.map_err(|err| Failure::usage(err.to_string()))?;
        let app = admin::create_app(&self.settings.0, &self.name, own)
            .await
            .map_err(|err| Failure::failed(err.to_string()))?;
        if self.json {
            output::json(&json!({"name": self.name, "key": app.key, "secret": app.secret}))?;
        } else {
            output::line(format_args!("key: {}", app.key))?;
            output::line(format_args!("secret: {}", app.secret))?;
        }
        Ok(Exit::Success)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let apps =
            admin::list_apps(&self.settings.0).await.map_err(|err| Failure::failed(err.to_string()))?;
        if self.json {
            for app in apps {
                output::json(&json!({"name": app.name, "keys": app.keys, "created_at": app.created_at}))?;
            }
            return Ok(Exit::Success);
        }
        let rows: Vec<_> =
            apps.into_iter().map(|app| vec![app.name, app.created_at, app.keys.join(" ")]).collect();
        for line in text::table(&["NAME", "CREATED", "KEYS"], &rows) {
            output::line(line)?;
        }
        Ok(Exit::Success)
    }
}
