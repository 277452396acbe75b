//! `usher master-key`: opens the database directly, with the server's settings.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::settings::Settings;
use crate::server::admin::{self, MasterKeyRotation};

#[derive(Debug, Args)]
pub(super) struct MasterKey {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Adds a new master key and seals every secret with it. Servers may go on running.
    ///
    /// The old master key goes on to open the database: on SQLite with the master key in the data directory,
    /// until the server starts again; otherwise until it is retired.
    Rotate(Rotate),
    /// Makes the configured master key the only one that opens the database. Run it with the new master key,
    /// once every replica has it.
    ///
    /// Sessions and page tokens sealed under the old one are refused from then on. Pseudonyms of erased users do
    /// not change: with an old master key, and a copy of the database from its time, they can still be compared
    /// with ids that are guessed. Destroy old master keys.
    Retire(Retire),
}

#[derive(Debug, Args)]
struct Rotate {
    /// File that holds the new master key, such as `openssl rand -hex 32` prints. Required, except on SQLite with
    /// the master key in the data directory, where a random one is made.
    #[arg(long, value_name = "FILE")]
    new_master_key_file: Option<PathBuf>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Retire {
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl MasterKey {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Rotate(rotate) => rotate.run().await,
            Verb::Retire(retire) => retire.run().await,
        }
    }
}

impl Rotate {
    async fn run(self) -> Outcome {
        let rotated = admin::rotate_master_key(&self.settings.0, self.new_master_key_file.as_deref()).await;
        let finished = match rotated.map_err(|err| Failure::start(&err))? {
            MasterKeyRotation::Done(file) => {
                output::note(format_args!(
                    "{} holds the new master key: keep a copy of it. The old one opens nothing any more once the \
                     server was started again",
                    file.display()
                ));
                true
            }
            MasterKeyRotation::Both => {
                output::note(
                    "the old and the new master key open the database now. Next:\n  \
                     1. restart every replica with the new one, one after the other\n  \
                     2. with the new one: usher master-key retire",
                );
                false
            }
        };
        if self.json {
            output::json(&json!({"finished": finished}))?;
        } else {
            output::line("the master key was rotated")?;
        }
        Ok(Exit::Success)
    }
}

impl Retire {
    async fn run(self) -> Outcome {
        let retired = admin::retire_master_keys(&self.settings.0).await;
        let retired = retired.map_err(|err| Failure::start(&err))?;
        if self.json {
            output::json(&json!({"retired": retired}))?;
        } else {
            output::line(format_args!("master keys retired: {retired}"))?;
        }
        Ok(Exit::Success)
    }
}
