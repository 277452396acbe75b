//! What the commands on many users share: the preview of what would change, the question, the tasks, and
//! watching them until they end.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;
use tonic::Status;

use crate::cli::connect::{Client, Connection};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::selection::Selection;
use crate::cli::task::request_id_of;
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

/// What a command has to go on with, once the caller agrees.
pub(super) struct Agreed {
    pub(super) client: Client,
    pub(super) user_ids: Vec<String>,
    pub(super) created_by_id: String,
    pub(super) reason: String,
    /// Empty where none was given.
    pub(super) request_id: String,
    pub(super) json: bool,
}

/// Whether a command goes on.
pub(super) enum Answer {
    Agreed(Box<Agreed>),
    /// That is all: it was to show what would change, or the caller did not agree.
    Over(Exit),
}

impl Bulk {
    /// Does `operation` to all users concerned, once the caller agrees.
    pub(super) async fn run(self, operation: &impl Operation) -> Outcome {
        match self.agree(operation, None).await? {
            Answer::Over(exit) => Ok(exit),
            Answer::Agreed(agreed) => {
                let tasks = agreed.start(operation, &agreed.request_id).await?;
                let ids: Vec<String> = tasks.into_iter().map(|task| task.task_id).collect();
                follow(&agreed.client, &ids, agreed.json).await
            }
        }
    }

    /// Shows what would change, and asks, unless that is not wanted. `first` is what would be done before.
    pub(super) async fn agree(
        self,
        operation: &impl Operation,
        first: Option<&str>,
    ) -> Result<Answer, Failure> {
        let asks = !self.yes && !self.dry_run;
        if asks && (self.selection.is_stdin() || !std::io::stdin().is_terminal()) {
            return Err(Failure::usage(
                "cannot ask, since standard input is not a terminal: \
                 give --yes to do it without a question, or --dry-run to see what would change",
            ));
        }
        let Self { selection, dry_run, by, reason, request_id, json, connection, .. } = self;
        let user_ids = selection.read()?;
        let client = connection.open()?;
        // What comes first takes long: what the server refuses is found out before.
        if asks || dry_run || first.is_some() {
            let preview = preview(operation, &client, &user_ids).await?;
            if dry_run {
                if let Some(first) = first.filter(|_| !json) {
                    output::line(first)?;
                }
                return preview.print(&operation.done(), json).map(Answer::Over);
            }
            if asks {
                first.into_iter().for_each(output::note);
                preview.lines(&operation.done()).iter().for_each(output::note);
                if !agreed()? {
                    output::note("nothing was changed");
                    return Ok(Answer::Over(Exit::Cancelled));
                }
            }
        }
        let agreed = Agreed { client, user_ids, created_by_id: by, reason, request_id, json };
        Ok(Answer::Agreed(Box::new(agreed)))
    }
}

/// A task that was started, and whose users it is about: once they are erased, no item has their ids.
pub(super) struct Started {
    pub(super) task_id: String,
    pub(super) user_ids: Vec<String>,
}

impl Agreed {
    /// Starts all the tasks, so that all users are concerned from now on.
    pub(super) async fn start(
        &self,
        operation: &impl Operation,
        request_id: &str,
    ) -> Result<Vec<Started>, Failure> {
        let mut tasks: Vec<Started> = Vec::new();
        for (at, ids) in self.user_ids.chunks(TASK).enumerate() {
            let order = Order {
                user_ids: ids.to_vec(),
                created_by_id: self.created_by_id.clone(),
                reason: self.reason.clone(),
                request_id: request_id_of(request_id, at),
            };
            let started = operation.start(&self.client, order).await.and_then(|task| {
                task.map(|task| task.task_id).ok_or_else(|| Status::internal("the answer holds no task"))
            });
            match started {
                Ok(task_id) => tasks.push(Started { task_id, user_ids: ids.to_vec() }),
                Err(status) if tasks.is_empty() => return Err(self.client.failure_about(&status, ids)),
                Err(status) => {
                    let hint = format!(
                        "hint: the first {} users are taken by tasks {}; the others are as they were",
                        text::count((tasks.len() * TASK) as u64),
                        tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>().join(", "),
                    );
                    return Err(self.client.failure_about(&status, ids).and(&hint));
                }
            }
        }
        Ok(tasks)
    }
}

async fn preview(operation: &impl Operation, client: &Client, ids: &[String]) -> Result<Preview, Failure> {
    let mut sum = Preview::default();
    for ids in ids.chunks(TASK) {
        sum.add(operation.preview(client, ids).await?);
    }
    Ok(sum)
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
            exit => worst = worst.worse(exit),
        }
    }
    Ok(worst)
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
}
