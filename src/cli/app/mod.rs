//! `usher app`: `create`, `new-key` and `list` open the database directly, since they serve callers who have no
//! key yet, or none any more; the others call the API.

mod keys;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{Exit, Failure, Outcome};
use super::settings::Settings;
use super::{output, text};
use crate::server::admin::{self, ShownKey};

#[derive(Debug, Args)]
pub(super) struct App {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Creates an app and prints its key and secret, which is shown only this once. Opens the database
    /// directly.
    Create(Create),
    /// Makes a new key for an app whose secrets are all lost, and prints it with its secret, which is shown only
    /// this once. Opens the database directly.
    ///
    /// The key signs from now on; running servers accept it within a second. The other keys of the app go on to
    /// verify: retire those that may have leaked with `usher app retire-key`.
    NewKey(NewKey),
    /// Lists the apps and the keys that verify. Opens the database directly.
    List(List),
    /// Makes a new key, which signs from now on, and prints it with its secret, which is shown only this once.
    RotateKey(keys::RotateKey),
    /// Lists the keys of the caller's app.
    ListKeys(keys::ListKeys),
    /// Retires a key: tokens that it has signed are refused within a second.
    RetireKey(keys::RetireKey),
}

#[derive(Debug, Args)]
struct Create {
    /// The name of the new app.
    name: String,
    #[command(flatten)]
    made: MadeKey,
}

#[derive(Debug, Args)]
struct NewKey {
    /// The name of the app, as `usher app list` shows it.
    name: String,
    #[command(flatten)]
    made: MadeKey,
}

/// A key that is made in the database itself, and how it is printed.
#[derive(Debug, Args)]
struct MadeKey {
    /// Name of the key: 1 to 64 characters of A-Z a-z 0-9 _ -, not used by any key of any app before. [default: a
    /// random one]
    #[arg(long, value_name = "KID")]
    kid: Option<String>,
    /// File that holds the secret of the key: 32 to 512 random characters. [default: a random one]
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
            Verb::NewKey(new_key) => new_key.run().await,
            Verb::List(list) => list.run().await,
            Verb::RotateKey(rotate) => rotate.run().await,
            Verb::ListKeys(list) => list.run().await,
            Verb::RetireKey(retire) => retire.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let Self { name, made: MadeKey { kid, secret_file, json, settings } } = self;
        let key = admin::create_app(&settings.0, &name, kid.as_deref(), secret_file.as_deref()).await;
        print(&name, &key.map_err(|err| Failure::start(&err))?, json)
    }
}

impl NewKey {
    async fn run(self) -> Outcome {
        let Self { name, made: MadeKey { kid, secret_file, json, settings } } = self;
        let key = admin::new_key(&settings.0, &name, kid.as_deref(), secret_file.as_deref()).await;
        print(&name, &key.map_err(|err| Failure::start(&err))?, json)
    }
}

fn print(name: &str, key: &ShownKey, as_json: bool) -> Outcome {
    if as_json {
        output::json(&json!({"name": name, "key": key.kid, "secret": key.secret}))?;
    } else {
        output::line(format_args!("key: {}", key.kid))?;
        output::line(format_args!("secret: {}", key.secret))?;
    }
    Ok(Exit::Success)
}

impl List {
    async fn run(self) -> Outcome {
        let apps = admin::list_apps(&self.settings.0).await.map_err(|err| Failure::start(&err))?;
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
