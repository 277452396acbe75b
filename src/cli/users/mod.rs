//! `usher users`: finding, reading and writing users, and their lifecycle.

mod bulk;
mod delete;
mod history;
mod input;
mod lifecycle;
mod query;
mod read;
mod view;
mod write;

use clap::{Args, Subcommand};

use super::failure::Outcome;

#[derive(Debug, Args)]
pub(super) struct Users {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the users that match a filter.
    Query(query::Query),
    /// Shows users by id. Exits with 3 if an id does not exist.
    Get(read::Get),
    /// Shows what happened to a user, who asked for it and why, the newest first.
    History(history::History),
    /// Creates or replaces users from a file: a JSON array or JSON lines. For many thousands, see `usher import`.
    Upsert(write::Upsert),
    /// Changes parts of a user and leaves the rest as it is.
    Patch(write::Patch),
    /// Deletes users and, as the options say, their content. Shows what would change and asks first. Exits with
    /// 3 if users failed.
    Delete(Box<delete::Delete>),
    /// Restores softly deleted users, with the content that their deletion marked. Shows what would change and
    /// asks first. Exits with 3 if users failed.
    Restore(lifecycle::Restore),
    /// Deactivates users. Shows what would change and asks first. Exits with 3 if users failed.
    Deactivate(lifecycle::Deactivate),
    /// Reactivates users. Shows what would change and asks first. Exits with 3 if users failed.
    Reactivate(lifecycle::Reactivate),
}

impl Users {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Query(query) => query.run().await,
            Verb::Get(get) => get.run().await,
            Verb::History(history) => history.run().await,
            Verb::Upsert(upsert) => upsert.run().await,
            Verb::Patch(patch) => patch.run().await,
            Verb::Delete(delete) => delete.run().await,
            Verb::Restore(restore) => restore.run().await,
            Verb::Deactivate(deactivate) => deactivate.run().await,
            Verb::Reactivate(reactivate) => reactivate.run().await,
        }
    }
}
