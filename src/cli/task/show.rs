//! Commands that ask once: list, get, items, cancel, retry.

use clap::{Args, ValueEnum};

use crate::cli::connect::{Client, Connection, unary};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::{json, output, text};
use crate::proto::v1;

/// The most an answer holds.
const PAGE: i32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Show only tasks in this state; may be given more than once.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<State>,
    /// Show only tasks of this kind, such as `deactivate_users`; may be given more than once.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Show at most this many tasks.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..))]
    limit: i32,
    /// Only tasks past their due date that are neither completed nor cancelled.
    #[arg(long)]
    overdue: bool,
    /// Print a JSON object for each task, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Debug, Args)]
pub(super) struct Items {
    /// Id of the task.
    task_id: String,
    /// Show only items that failed.
    #[arg(long)]
    failed: bool,
    /// Print a JSON object for each item, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What the commands on one task take.
#[derive(Debug, Args)]
struct One {
    /// Id of the task.
    task_id: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct Get {
    #[command(flatten)]
    one: One,
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    one: One,
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    one: One,
}

impl List {
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let (mut left, mut page_token, mut rows) = (self.limit, String::new(), Vec::new());
        loop {
            let request = v1::ListTasksRequest {
                states: self.states.iter().map(|state| state.to_proto().into()).collect(),
                kinds: self.kinds.clone(),
                limit: left.min(PAGE),
                page_token,
                overdue: self.overdue,
            };
            let answer =
                client.tasks().list_tasks(unary(request)).await.map_err(|status| client.failure(&status))?;
            let v1::ListTasksResponse { tasks, next_page_token } = answer.into_inner();
            for task in &tasks {
                if self.json {
                    output::json(&json::task(task))?;
                } else {
                    rows.push(row(task));
                }
            }
            left = left.saturating_sub(i32::try_from(tasks.len()).unwrap_or(i32::MAX));
            page_token = next_page_token;
            if page_token.is_empty() || left <= 0 {
                break;
            }
        }
        if !self.json {
            for line in text::table(&["TASK", "KIND", "STATE", "DONE", "FAILED", "CREATED"], &rows) {
                output::line(line)?;
            }
        }
        Ok(Exit::Success)
    }
}

fn row(task: &v1::Task) -> Vec<String> {
    vec![
        task.task_id.clone(),
        task.kind.clone(),
        json::state(task.state()),
        format!("{}/{}", task.users_done, task.users_total),
        task.users_failed.to_string(),
        json::time(task.created_at).unwrap_or_default(),
    ]
}

impl State {
    const fn to_proto(self) -> v1::TaskState {
        match self {
            Self::Pending => v1::TaskState::Pending,
            Self::Running => v1::TaskState::Running,
            Self::Completed => v1::TaskState::Completed,
            Self::Failed => v1::TaskState::Failed,
            Self::Cancelled => v1::TaskState::Cancelled,
        }
    }
}

impl Items {
    /// Prints page by page: a task may have more items than one wants to hold.
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let outcomes = if self.failed { vec![v1::ItemOutcome::Failed.into()] } else { Vec::new() };
        let (mut page_token, mut first) = (String::new(), true);
        loop {
            let request = v1::ListTaskItemsRequest {
                task_id: self.task_id.clone(),
                outcomes: outcomes.clone(),
                limit: PAGE,
                page_token,
            };
            let answer = client
                .tasks()
                .list_task_items(unary(request))
                .await
                .map_err(|status| client.failure(&status))?;
            let v1::ListTaskItemsResponse { items, next_page_token } = answer.into_inner();
            self.print(&items, first)?;
            if next_page_token.is_empty() {
                return Ok(Exit::Success);
            }
            (page_token, first) = (next_page_token, false);
        }
    }

    fn print(&self, items: &[v1::TaskItem], first: bool) -> Result<(), Failure> {
        if self.json {
            return items.iter().try_for_each(|item| output::json(&json::item(item)));
        }
        let rows: Vec<_> = items.iter().map(item_row).collect();
        let lines = text::table(&["INDEX", "OUTCOME  ", "REASON               ", "USER"], &rows);
        lines.iter().skip(usize::from(!first)).try_for_each(output::line)
    }
}

/// The user comes last: only it has no width that could be fixed for all pages.
fn item_row(item: &v1::TaskItem) -> Vec<String> {
    let outcome = json::outcome(item.outcome());
    vec![item.index.to_string(), outcome, item.reason.clone(), item.user_id.clone()]
}

impl Get {
    pub(super) async fn run(self) -> Outcome {
        let client = self.one.connection.open()?;
        let request = v1::GetTaskRequest { task_id: self.one.task_id.clone() };
        let answer =
            client.tasks().get_task(unary(request)).await.map_err(|status| client.failure(&status))?;
        self.one.print(&client, answer.into_inner().task)
    }
}

impl Cancel {
    pub(super) async fn run(self) -> Outcome {
        let client = self.one.connection.open()?;
        let request = v1::CancelTaskRequest { task_id: self.one.task_id.clone() };
        let answer =
            client.tasks().cancel_task(unary(request)).await.map_err(|status| client.failure(&status))?;
        let task = answer.into_inner().task;
        if task.as_ref().is_some_and(|task| task.cancel_requested && task.state() == v1::TaskState::Running) {
            output::note("it ends after its present batch: see it end with `usher task watch`");
        }
        self.one.print(&client, task)
    }
}

impl Retry {
    pub(super) async fn run(self) -> Outcome {
        let client = self.one.connection.open()?;
        let request = v1::RetryTaskRequest { task_id: self.one.task_id.clone() };
        let answer =
            client.tasks().retry_task(unary(request)).await.map_err(|status| client.failure(&status))?;
        self.one.print(&client, answer.into_inner().task)
    }
}

impl One {
    fn print(&self, client: &Client, task: Option<v1::Task>) -> Outcome {
        let task =
            task.ok_or_else(|| client.failure(&tonic::Status::internal("the answer holds no task")))?;
        if self.json {
            output::json(&json::task(&task))?;
        } else {
            describe(&task).iter().try_for_each(output::line)?;
        }
        Ok(Exit::Success)
    }
}

/// A line for each field that says something.
fn describe(task: &v1::Task) -> Vec<String> {
    let error = task.error.as_ref().map(|error| format!("{} ({})", error.message, error.reason));
    let fields = [
        ("task", Some(task.task_id.clone())),
        ("kind", Some(task.kind.clone())),
        ("state", Some(json::state(task.state()))),
        ("phase", Some(task.phase.clone())),
        ("users", Some(format!("{} of {} done", task.users_done, task.users_total))),
        ("failed", Some(task.users_failed.to_string())),
        ("unchanged", Some(task.users_unchanged.to_string())),
        ("rows", Some(task.rows_done.to_string())),
        ("cancel_requested", task.cancel_requested.then(|| "true".to_owned())),
        ("created_by", Some(task.created_by_id.clone())),
        ("reason", Some(task.reason.clone())),
        ("request_id", Some(task.request_id.clone())),
        ("created", json::time(task.created_at)),
        ("started", json::time(task.started_at)),
        ("finished", json::time(task.finished_at)),
        ("error", error),
    ];
    let told = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let told = told.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}"));
    let rows = text::counts(&json::deleted_rows(task));
    let heading = (!rows.is_empty()).then(|| "rows by kind:".to_owned());
    told.chain(heading).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_described_in_lines_that_say_something() {
        let task = v1::Task {
            task_id: "t1".to_owned(),
            kind: "deactivate_users".to_owned(),
            state: v1::TaskState::Failed.into(),
            users_total: 3,
            users_done: 1,
            error: Some(v1::TaskError { reason: "INTERNAL".to_owned(), message: "it broke".to_owned() }),
            ..Default::default()
        };
        let lines = describe(&task);
        assert!(lines.contains(&"users: 1 of 3 done".to_owned()), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("error: it broke (INTERNAL)"));
        assert!(!lines.iter().any(|line| line.starts_with("request_id")), "{lines:?}");
    }

    #[test]
    fn a_deletion_says_last_what_it_deleted() {
        let rows = std::collections::HashMap::from([("messages".to_owned(), 1_200)]);
        let result = v1::task::Result::DeleteUsers(v1::DeleteUsersResult { rows });
        let lines = describe(&v1::Task { result: Some(result), ..Default::default() });
        assert_eq!(lines[lines.len() - 2..], ["rows by kind:", "  messages      1,200"]);
    }

    #[test]
    fn columns_of_items_keep_their_width_from_page_to_page() {
        let item = v1::TaskItem { index: 7, user_id: "ada".to_owned(), ..Default::default() };
        let lines = text::table(&["INDEX", "OUTCOME  ", "REASON               ", "USER"], &[item_row(&item)]);
        assert_eq!(lines[0].find("USER"), lines[1].find("ada"));
    }
}
