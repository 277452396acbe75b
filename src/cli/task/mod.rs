//! `usher task`: one file for what streams, one for what asks once.

mod show;
mod view;
mod watch;

use clap::{Args, Subcommand};

use super::failure::Outcome;

pub(super) use watch::{follow, wait};

#[derive(Debug, Args)]
pub(super) struct Task {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watches a task until it ends. Exits with 0 if it completed, 3 if it completed with failed items, 4 if it
    /// was cancelled, 1 if it failed.
    Watch(watch::Watch),
    /// Lists tasks, newest first.
    List(show::List),
    /// Shows the present state of a task.
    Get(show::Get),
    /// Lists the outcome for each user of a task.
    Items(show::Items),
    /// Cancels a task. What it has done stays done.
    Cancel(show::Cancel),
    /// Resumes a failed task where it stopped.
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
