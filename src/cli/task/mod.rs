//! `usher task`: one file for what streams, one for what asks once.

mod show;
mod view;
mod watch;

use clap::{Args, Subcommand};

use super::failure::Outcome;

pub(super) use watch::follow;

#[derive(Debug, Args)]
pub(super) struct Task {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Follows a task to its end. Exits with 0 where all went well, 3 where items failed, 4 where it was
    /// cancelled, 1 where it failed.
    Watch(watch::Watch),
    /// Lists tasks, newest first.
    List(show::List),
    /// Shows a task as it stands.
    Get(show::Get),
    /// Lists what became of each user of a task.
    Items(show::Items),
    /// Asks a task to end. What is done stays done.
    Cancel(show::Cancel),
    /// Takes up a failed task where it stopped.
    Retry(show::Retry),
}

impl Task {
    pub(super) async fn run(self) -> Outcome {
        match self.verb {
            Verb::Watch(watch) => watch.run().await,
            Verb::List(list) => list.run().await,
            Verb::Get(get) => get.run().await,
            Verb::Items(items) => items.run().await,
            Verb::Cancel(cancel) => cancel.run().await,
            Verb::Retry(retry) => retry.run().await,
        }
    }
}
