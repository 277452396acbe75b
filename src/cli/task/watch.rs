//! `usher task watch`: follows a task to its end, across lost connections and restarted servers.

use std::time::{Duration, Instant};

use clap::Args;
use tonic::{Status, Streaming};

use super::view::View;
use crate::cli::connect::{Client, Connection, unary};
use crate::cli::failure::{self, Exit, Failure, Outcome};
use crate::cli::interrupt::Interrupt;
use crate::cli::retry::Patience;
use crate::cli::{json, output, text};
use crate::proto::v1::{
    ItemOutcome, ListTaskItemsRequest, Task, TaskState, WatchTaskRequest, WatchTaskResponse,
};

/// Without any contact for this long, it gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// A stream that lived this long was contact, even without a message.
const HELD: Duration = Duration::from_secs(5);
/// Failed items that are shown with their reason.
const SHOWN: i32 = 10;

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Id of the task.
    task_id: String,
    /// Print a JSON object for each change, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Watch {
    pub(super) async fn run(self) -> Outcome {
        follow(self.connection.open()?, self.task_id, self.json).await
    }
}

/// How a task is shown until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Shown {
    /// A bar on a terminal, lines in a pipe.
    Progress,
    Json,
    Nothing,
}

/// Shows a task until it ends, and says how it ended and what a deletion has deleted.
pub(in crate::cli) async fn follow(client: Client, task_id: String, json: bool) -> Outcome {
    let shown = if json { Shown::Json } else { Shown::Progress };
    let (exit, task) = watch(client, task_id, shown).await?;
    if let Some(task) = task.filter(|_| !json) {
        text::counts(&json::deleted_rows(&task)).iter().try_for_each(output::line)?;
    }
    Ok(exit)
}

/// Waits until a task ends, and says how where it did not go well. The task is there unless Ctrl-C came first.
pub(in crate::cli) async fn watch(
    client: Client,
    task_id: String,
    shown: Shown,
) -> Result<(Exit, Option<Task>), Failure> {
    let view = match shown {
        Shown::Progress => View::new(false),
        Shown::Json => View::new(true),
        Shown::Nothing => View::silent(),
    };
    let follower = Follower {
        client,
        task_id,
        view,
        interrupt: Interrupt::new(),
        patience: Patience::new(PATIENCE, Instant::now()),
        last: None,
    };
    follower.follow().await
}

struct Follower {
    client: Client,
    task_id: String,
    view: View,
    interrupt: Interrupt,
    patience: Patience,
    last: Option<Task>,
}

/// Why following a stream ended.
enum End {
    Over,
    Interrupted,
    Broken(Status),
}

impl Follower {
    async fn follow(mut self) -> Result<(Exit, Option<Task>), Failure> {
        let end = self.until_over().await;
        self.view.end(self.last.as_ref(), Instant::now())?;
        if let Some(task) = end? {
            return Ok((self.verdict(&task).await, Some(task)));
        }
        output::note(format_args!("the task goes on; see it again with: usher task watch {}", self.task_id));
        Ok((Exit::Interrupted, None))
    }

    /// Says how the task ended, and decides the exit code.
    async fn verdict(&self, task: &Task) -> Exit {
        if task.users_failed > 0 {
            self.explain_failed_items(task).await;
        }
        match task.state() {
            TaskState::Completed if task.users_failed == 0 => Exit::Success,
            TaskState::Completed => Exit::Partly,
            TaskState::Cancelled => Exit::Cancelled,
            _ => {
                let error = task.error.clone().unwrap_or_default();
                output::note(format_args!("usher: the task failed: {} ({})", error.message, error.reason));
                output::note(format_args!(
                    "hint: `usher task retry {}` resumes it where it stopped",
                    task.task_id
                ));
                Exit::Failed
            }
        }
    }

    /// Shows the first failed items and why; where they cannot be read, how to read them.
    async fn explain_failed_items(&self, task: &Task) {
        let request = ListTaskItemsRequest {
            task_id: task.task_id.clone(),
            outcomes: vec![ItemOutcome::Failed.into()],
            limit: SHOWN,
            page_token: String::new(),
        };
        let answer = self.client.tasks().list_task_items(unary(request)).await;
        let items = answer.map(|answer| answer.into_inner().items).unwrap_or_default();
        for item in &items {
            output::note(format_args!("failed: {}: {}", item.user_id, item.reason));
        }
        let rest = u64::try_from(task.users_failed).unwrap_or(0).saturating_sub(items.len() as u64);
        if rest > 0 {
            output::note(format_args!(
                "{} more failed: see them with `usher task items {} --failed`",
                text::count(rest),
                task.task_id
            ));
        }
    }

    /// The task in its terminal state; `None` where Ctrl-C came first.
    async fn until_over(&mut self) -> Result<Option<Task>, Failure> {
        loop {
            let status = match self.one_stream().await? {
                End::Over => return Ok(self.last.clone()),
                End::Interrupted => return Ok(None),
                End::Broken(status) => status,
            };
            let first = self.patience.is_fresh();
            let delay = self.patience.next(Instant::now(), failure::retry_delay(&status));
            let Some(delay) = delay.filter(|_| self.client.may_recover(&status)) else {
                return Err(self.client.failure(&status));
            };
            if first && !failure::is_routine(&status) {
                self.view.note("the connection is lost; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.interrupt.wait() => return Ok(None),
            }
        }
    }

    /// Follows one stream, from the last revision seen.
    async fn one_stream(&mut self) -> Result<End, Failure> {
        let after_revision = self.last.as_ref().map_or(0, |task| task.revision);
        let request = WatchTaskRequest { task_id: self.task_id.clone(), after_revision };
        let mut tasks = self.client.tasks();
        let opened = tokio::select! {
            opened = tasks.watch_task(request) => opened,
            () = tokio::time::sleep_until(self.patience.end().into()) => Err(silent()),
            () = self.interrupt.wait() => return Ok(End::Interrupted),
        };
        match opened {
            Ok(stream) => self.read(stream.into_inner()).await,
            Err(status) => Ok(End::Broken(status)),
        }
    }

    async fn read(&mut self, mut stream: Streaming<WatchTaskResponse>) -> Result<End, Failure> {
        let opened = Instant::now();
        loop {
            let due = self.view.due();
            let message = tokio::select! {
                message = stream.message() => message,
                () = wait_until(due) => {
                    self.view.flush(Instant::now())?;
                    continue;
                }
                () = self.interrupt.wait() => return Ok(End::Interrupted),
            };
            let now = Instant::now();
            match message {
                Ok(Some(WatchTaskResponse { task: Some(task) })) => {
                    self.patience.progress(now);
                    self.last = Some(task.clone());
                    self.view.show(task, now)?;
                }
                Ok(Some(WatchTaskResponse { task: None })) => {}
                Ok(None) if self.last.as_ref().is_some_and(|task| is_over(task.state())) => {
                    return Ok(End::Over);
                }
                ended => {
                    // A task can wait for hours without a change, so a stream that held was contact too.
                    if now.duration_since(opened) >= HELD {
                        self.patience.progress(now);
                    }
                    let early = || Status::unavailable("the stream ended before the task");
                    return Ok(End::Broken(ended.err().unwrap_or_else(early)));
                }
            }
        }
    }
}

/// The error where a server took the call and then said nothing.
fn silent() -> Status {
    Status::deadline_exceeded("the server does not answer")
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Whether a task in this state changes no more, unless it is retried.
pub(super) const fn is_over(state: TaskState) -> bool {
    matches!(state, TaskState::Completed | TaskState::Failed | TaskState::Cancelled)
}
