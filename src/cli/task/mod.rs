//! `usher task`: one file for what streams, one for what asks once.

mod show;
mod view;
mod watch;

use clap::{Args, Subcommand};

use super::failure::Outcome;

pub(super) use watch::{Shown, follow, watch};

/// Each task that a command starts has a request id of its own; the first has the one that was given.
pub(super) fn request_id_of(given: &str, at: usize) -> String {
    if given.is_empty() || at == 0 { given.to_owned() } else { format!("{given}/{at}") }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_a_request_id_of_its_own() {
        assert_eq!(
            [("", 0), ("", 1), ("a", 0), ("a", 1)].map(|(given, at)| request_id_of(given, at)),
            ["", "", "a", "a/1"]
        );
    }
}
