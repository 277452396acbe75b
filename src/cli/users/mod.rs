//! `usher users`: finding, reading and writing users.

mod input;
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
    /// Lists the users that match a filter, all of them unless told otherwise.
    Query(query::Query),
    /// Shows users by id. Exits with 3 where there is no user of an id.
    Get(read::Get),
    /// Creates or replaces users from a file: a JSON array or JSON lines. For millions, see `usher import`.
    Upsert(write::Upsert),
    /// Changes parts of a user and leaves the rest as it is.
    Patch(write::Patch),
}

impl Users {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Query(query) => query.run().await,
            Verb::Get(get) => get.run().await,
            Verb::Upsert(upsert) => upsert.run().await,
            Verb::Patch(patch) => patch.run().await,
        }
    }
}
