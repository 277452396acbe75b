//! What the commands on many users share: the preview of what would change, the question, the tasks, and
//! watching them until they end.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;
use tonic::Status;

use super::selection::Selection;
use crate::cli::connect::{Client, Connection};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::{output, task, text};
use crate::proto::v1;

/// The most users a task takes.
const TASK: usize = 10_000;

/// How a command goes about it.
#[derive(Debug, Args)]
pub(super) struct Bulk {
    #[command(flatten)]
    selection: Selection,
    /// Only show what would change.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it without showing what would change, and without asking.
    #[arg(long, short)]
    yes: bool,
    /// Id of the user on whose behalf it is done; kept with the task.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    by: String,
    /// Why it is done; kept with the task.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Name of the request: the same command with the same id does nothing twice.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    request_id: String,
    /// Print a JSON object for each change of a task, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What goes with every task.
pub(super) struct Order {
    pub(super) user_ids: Vec<String>,
    pub(super) created_by_id: String,
    pub(super) reason: String,
    pub(super) request_id: String,
}

/// What would change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Preview {
    /// Users who would change, who would stay as they are, and who cannot be changed.
    pub(super) users: u64,
    pub(super) unchanged: u64,
    pub(super) failed: u64,
    /// Their content, by what it is.
    pub(super) rows: Vec<(String, u64)>,
}

/// Something that is done to many users.
pub(super) trait Operation {
    /// What happens to the users: `deleted softly`.
    fn done(&self) -> String;

    /// Counts what would change.
    async fn preview(&self, client: &Client, ids: &[String]) -> Result<Preview, Failure>;

    /// Starts a task.
    async fn start(&self, client: &Client, order: Order) -> Result<Option<v1::Task>, Status>;
}

impl Bulk {
    /// Does `operation` to everybody concerned, once the caller agrees.
    pub(super) async fn run(self, operation: &impl Operation) -> Outcome {
        let asks = !self.yes && !self.dry_run;
        if asks && (self.selection.is_stdin() || !std::io::stdin().is_terminal()) {
            return Err(Failure::usage(
                "cannot ask, since standard input is not a terminal: \
                 give --yes to do it without a question, or --dry-run to see what would change",
            ));
        }
        let Self { selection, dry_run, by, reason, request_id, json, connection, .. } = self;
        let ids = selection.read()?;
        let client = connection.open()?;
        if asks || dry_run {
            let preview = preview(operation, &client, &ids).await?;
            if dry_run {
                return preview.print(&operation.done(), json);
            }
            preview.lines(&operation.done()).iter().for_each(output::note);
            if !agreed()? {
                output::note("nothing was changed");
                return Ok(Exit::Cancelled);
            }
        }
        let orders = ids.chunks(TASK).enumerate().map(|(at, ids)| Order {
            user_ids: ids.to_vec(),
            created_by_id: by.clone(),
            reason: reason.clone(),
            request_id: request_id_of(&request_id, at),
        });
        let tasks = start(operation, &client, orders.collect()).await?;
        follow(&client, &tasks, json).await
    }
}

/// Each task has a request id of its own; the first has the one that was given.
pub(in crate::cli) fn request_id_of(given: &str, at: usize) -> String {
    if given.is_empty() || at == 0 { given.to_owned() } else { format!("{given}/{at}") }
}

async fn preview(operation: &impl Operation, client: &Client, ids: &[String]) -> Result<Preview, Failure> {
    let mut sum = Preview::default();
    for ids in ids.chunks(TASK) {
        sum.add(operation.preview(client, ids).await?);
    }
    Ok(sum)
}

/// Starts all the tasks, so that everybody is concerned from now on.
async fn start(
    operation: &impl Operation,
    client: &Client,
    orders: Vec<Order>,
) -> Result<Vec<String>, Failure> {
    let mut tasks: Vec<String> = Vec::new();
    for order in orders {
        let ids = order.user_ids.clone();
        let started = operation.start(client, order).await.and_then(|task| {
            task.map(|task| task.task_id).ok_or_else(|| Status::internal("the answer holds no task"))
        });
        match started {
            Ok(id) => tasks.push(id),
            Err(status) if tasks.is_empty() => return Err(client.failure_about(&status, &ids)),
            Err(status) => {
                let hint = format!(
                    "hint: the first {} users are taken by tasks {}; the others are as they were",
                    text::count((tasks.len() * TASK) as u64),
                    tasks.join(", "),
                );
                return Err(client.failure_about(&status, &ids).and(&hint));
            }
        }
    }
    Ok(tasks)
}

/// Follows one after the other: they run at the same time, and each keeps its last state.
async fn follow(client: &Client, tasks: &[String], json: bool) -> Outcome {
    let mut worst = Exit::Success;
    for (at, id) in tasks.iter().enumerate() {
        if !json {
            let which =
                if tasks.len() > 1 { format!(" ({} of {})", at + 1, tasks.len()) } else { String::new() };
            output::note(format_args!("task {id}{which}"));
        }
        match task::follow(client.clone(), id.clone(), json).await? {
            Exit::Interrupted => {
                for id in tasks.iter().skip(at + 1) {
                    output::note(format_args!("so does task {id}"));
                }
                return Ok(Exit::Interrupted);
            }
            exit => worst = worse(worst, exit),
        }
    }
    Ok(worst)
}

/// Which of two ends counts.
pub(in crate::cli) fn worse(one: Exit, other: Exit) -> Exit {
    let order = [Exit::Failed, Exit::Cancelled, Exit::Partly];
    order.into_iter().find(|exit| *exit == one || *exit == other).unwrap_or(Exit::Success)
}

/// Asks on standard error, and reads the answer from the terminal.
fn agreed() -> Result<bool, Failure> {
    let lost = |err| Failure::failed(format!("cannot ask: {err}"));
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(b"Go on? [y/N] ").and_then(|()| stderr.flush()).map_err(lost)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(lost)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

impl Preview {
    fn add(&mut self, other: Self) {
        self.users += other.users;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
        for (what, count) in other.rows {
            match self.rows.iter_mut().find(|(known, _)| *known == what) {
                Some((_, sum)) => *sum += count,
                None => self.rows.push((what, count)),
            }
        }
    }

    /// Lines for people.
    fn lines(&self, done: &str) -> Vec<String> {
        let mut lines = vec![format!("would be {done}: {}", text::plural(self.users, "user"))];
        let others = [(self.unchanged, "would stay as they are"), (self.failed, "are unknown, or cannot be")];
        for (count, what) in others {
            if count > 0 {
                lines.push(format!("{what}: {}", text::plural(count, "user")));
            }
        }
        lines.extend(text::counts(&self.rows));
        lines
    }

    fn print(&self, done: &str, as_json: bool) -> Outcome {
        if as_json {
            let rows: serde_json::Map<_, _> =
                self.rows.iter().map(|(what, count)| (what.clone(), json!(count))).collect();
            output::json(&json!({
                "users": self.users,
                "users_unchanged": self.unchanged,
                "users_failed": self.failed,
                "rows": rows,
            }))?;
        } else {
            self.lines(done).iter().try_for_each(output::line)?;
        }
        Ok(Exit::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_of_several_tasks_add_up() {
        let rows = |count| vec![("messages".to_owned(), count)];
        let mut sum = Preview { users: 1, unchanged: 0, failed: 2, rows: rows(1_200) };
        sum.add(Preview { users: 1, unchanged: 1, failed: 0, rows: rows(5) });
        assert_eq!(
            sum.lines("deleted softly"),
            [
                "would be deleted softly: 2 users",
                "would stay as they are: 1 user",
                "are unknown, or cannot be: 2 users",
                "  messages      1,205"
            ]
        );
    }

    #[test]
    fn of_several_tasks_the_worst_end_counts() {
        let exits = [Exit::Success, Exit::Partly, Exit::Cancelled, Exit::Failed];
        for (at, one) in exits.into_iter().enumerate() {
            for (rank, other) in exits.into_iter().enumerate() {
                assert_eq!(worse(one, other), exits[at.max(rank)]);
            }
        }
    }

    #[test]
    fn each_task_has_a_request_id_of_its_own() {
        assert_eq!(
            ["", "a", "a"].map(|given| request_id_of(given, usize::from(given == "a"))),
            ["", "a/1", "a/1"]
        );
        assert_eq!(request_id_of("a", 0), "a");
    }
}
