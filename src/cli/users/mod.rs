//! `usher users`: finding, reading and writing users, and their lifecycle.

mod bulk;
mod delete;
mod input;
mod lifecycle;
mod query;
mod read;
mod view;
mod whom;
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
    /// Lists the users that match a filter, all of them unless told otherwise.
    Query(query::Query),
    /// Shows users by id. Exits with 3 where there is no user of an id.
    Get(read::Get),
    /// Creates or replaces users from a file: a JSON array or JSON lines. For millions, see `usher import`.
    Upsert(write::Upsert),
    /// Changes parts of a user and leaves the rest as it is.
    Patch(write::Patch),
    /// Deletes users and what they made, as far as told. Shows what would be touched and asks first.
    Delete(delete::Delete),
    /// Brings back users who were deleted softly. Shows whom and asks first.
    Restore(lifecycle::Restore),
    /// Deactivates users. Shows whom and asks first.
    Deactivate(lifecycle::Deactivate),
    /// Reactivates users. Shows whom and asks first.
    Reactivate(lifecycle::Reactivate),
}

impl Users {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Query(query) => query.run().await,
            Verb::Get(get) => get.run().await,
            Verb::Upsert(upsert) => upsert.run().await,
            Verb::Patch(patch) => patch.run().await,
            Verb::Delete(delete) => delete.run().await,
            Verb::Restore(restore) => restore.run().await,
            Verb::Deactivate(deactivate) => deactivate.run().await,
            Verb::Reactivate(reactivate) => reactivate.run().await,
        }
    }
}
