//! Has the server make archives, waits until they are made, and fetches them.

use std::path::{Path, PathBuf};

use clap::Args;
use tonic::Status;
use uuid::Uuid;

use super::Choice;
use super::download::{Fetched, Fetcher};
use super::report::Report;
use super::shelf::{self, Kept, Place};
use crate::cli::connect::{Client, unary};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::interrupt::Interrupt;
use crate::cli::task::{Shown, request_id_of, watch};
use crate::cli::{output, text};
use crate::proto::v1::{ExportUsersRequest, ItemOutcome, TaskItem};

/// The most users a task takes.
const TASK: usize = 1_000;

/// How a command for archives goes about it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Order {
    /// Overwrite files that are other archives.
    #[arg(long, conflicts_with_all = ["stream", "verify", "schema"])]
    force: bool,
    /// Id of the user on whose behalf it is done; kept with the task.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true, conflicts_with_all = ["stream", "verify", "schema"])]
    by: String,
    /// Why it is done; kept with the task.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, conflicts_with_all = ["stream", "verify", "schema"])]
    reason: String,
    /// Name of the request: the same command with the same id fetches the same archives. [default: a random one]
    #[arg(long, value_name = "ID", conflicts_with_all = ["stream", "verify", "schema"])]
    request_id: Option<String>,
}

impl Order {
    /// Exports users into the directory.
    pub(super) async fn run(
        mut self,
        client: &Client,
        users: &[String],
        choice: Choice,
        dir: &Path,
        json: bool,
    ) -> Outcome {
        shelf::make(dir)?;
        if self.request_id.is_none() {
            self.check_free(users, dir)?;
        }
        let request_id = self.request_id.take().unwrap_or_else(|| Uuid::new_v4().to_string());
        let again = format!("hint: the same command with --request-id {request_id} goes on from there");
        let tasks = self.start(client, users, choice, &request_id).await?;
        let report = if json { Report::Json } else { Report::Lines };
        let ended = self.fetch(client, tasks, dir, report).await.map(|made| made.exit);
        if matches!(ended, Ok(Exit::Interrupted)) {
            output::note(&again);
        }
        ended.map_err(|failure| if failure.exit() == Exit::Failed { failure.and(&again) } else { failure })
    }

    /// Archives of users, on whose behalf and why. `force` overwrites files that are other archives.
    pub(in crate::cli) fn of(by: &str, reason: &str, force: bool) -> Self {
        Self { force, by: by.to_owned(), reason: reason.to_owned(), request_id: None }
    }

    /// Has archives made by the request of this id, and fetches them into the directory, which is there.
    pub(in crate::cli) async fn make(
        &self,
        client: &Client,
        users: &[String],
        (dir, request_id): (&Path, &str),
        report: Report,
    ) -> Result<Made, Failure> {
        let tasks = self.start(client, users, Choice::default(), request_id).await?;
        self.fetch(client, tasks, dir, report).await
    }

    async fn fetch(
        &self,
        client: &Client,
        tasks: Vec<Started>,
        dir: &Path,
        report: Report,
    ) -> Result<Made, Failure> {
        let mut run = Run { client, dir, force: self.force, report, worst: Exit::Success, got: Vec::new() };
        let exit = run.all(&tasks).await?;
        let got = run.got;
        Ok(Made { exit, task_ids: tasks.into_iter().map(|task| task.task_id).collect(), got })
    }

    /// Archives that are made anew are never those that are there: it is known before they are made.
    fn check_free(&self, users: &[String], dir: &Path) -> Result<(), Failure> {
        let taken = taken(users, dir).filter(|_| !self.force);
        taken.map_or(Ok(()), |place| Err(place.taken()))
    }

    /// Starts all the tasks.
    async fn start(
        &self,
        client: &Client,
        users: &[String],
        choice: Choice,
        request_id: &str,
    ) -> Result<Vec<Started>, Failure> {
        let mut tasks: Vec<Started> = Vec::new();
        for (at, ids) in users.chunks(TASK).enumerate() {
            let request = ExportUsersRequest {
                user_ids: ids.to_vec(),
                references: choice.references().into(),
                scope: choice.scope().into(),
                include_received: choice.include_received,
                created_by_id: self.by.clone(),
                reason: self.reason.clone(),
                request_id: request_id_of(request_id, at),
            };
            let started = client.users().export_users(unary(request)).await;
            let started = started.and_then(|answer| {
                answer.into_inner().task.ok_or_else(|| Status::internal("the answer holds no task"))
            });
            match started {
                Ok(task) => tasks.push(Started { task_id: task.task_id, user_ids: ids.to_vec() }),
                Err(status) if tasks.is_empty() => return Err(client.failure_about(&status, ids)),
                Err(status) => {
                    let hint = format!(
                        "hint: the first {} users are taken by tasks {}; the same command with --request-id \
                         {request_id} goes on from there",
                        text::count((tasks.len() * TASK) as u64),
                        tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>().join(", "),
                    );
                    return Err(client.failure_about(&status, ids).and(&hint));
                }
            }
        }
        Ok(tasks)
    }
}

/// A task, and the users it is for. Once a user is erased, no item has its id.
struct Started {
    task_id: String,
    user_ids: Vec<String>,
}

/// What came of an order.
pub(in crate::cli) struct Made {
    pub(in crate::cli) exit: Exit,
    pub(in crate::cli) task_ids: Vec<String>,
    /// Of each user, in the order given; not of all where it was interrupted.
    pub(in crate::cli) got: Vec<Got>,
}

/// What came of a user: its archive, or the reason why there is none.
pub(in crate::cli) struct Got {
    pub(in crate::cli) user_id: String,
    pub(in crate::cli) archive: Result<Kept, String>,
}

fn taken(users: &[String], dir: &Path) -> Option<Place> {
    users.iter().map(|user| Place::new(dir, user)).find(Place::is_taken)
}

/// A file that is there already, of those in which the archives of the users would lie.
pub(in crate::cli) fn find_taken(users: &[String], dir: &Path) -> Option<PathBuf> {
    taken(users, dir).map(|place| place.file)
}

/// All items of a task; `None` where Ctrl-C came first.
pub(in crate::cli) async fn items(
    client: &Client,
    task_id: &str,
    interrupt: &mut Interrupt,
) -> Result<Option<Vec<TaskItem>>, Failure> {
    Fetcher::new(client, task_id, interrupt).items().await
}

/// Tasks that make archives, and where these go.
struct Run<'a> {
    client: &'a Client,
    dir: &'a Path,
    force: bool,
    report: Report,
    worst: Exit,
    got: Vec<Got>,
}

impl Run<'_> {
    /// Follows one task after the other, and fetches its archives.
    async fn all(&mut self, tasks: &[Started]) -> Outcome {
        for (at, task) in tasks.iter().enumerate() {
            let id = &task.task_id;
            let with_progress = matches!(self.report, Report::Lines | Report::Progress);
            if with_progress {
                let which =
                    if tasks.len() > 1 { format!(" ({} of {})", at + 1, tasks.len()) } else { String::new() };
                output::note(format_args!("task {id}{which}"));
            }
            let shown = if with_progress { Shown::Progress } else { Shown::Nothing };
            let (exit, _) = watch(self.client.clone(), id.clone(), shown).await?;
            if exit == Exit::Interrupted {
                return Ok(exit);
            }
            self.worst = self.worst.worse(exit);
            if self.fetch(task).await? == Exit::Interrupted {
                return Ok(Exit::Interrupted);
            }
        }
        Ok(self.worst)
    }

    async fn fetch(&mut self, Started { task_id, user_ids }: &Started) -> Outcome {
        let mut interrupt = Interrupt::new();
        let mut fetcher = Fetcher::new(self.client, task_id, &mut interrupt);
        let Some(items) = fetcher.items().await? else { return Ok(Exit::Interrupted) };
        for mut item in items {
            if let Some(id) = usize::try_from(item.index).ok().and_then(|index| user_ids.get(index)) {
                item.user_id.clone_from(id);
            }
            if self.fetch_one(&mut fetcher, &item).await? == Exit::Interrupted {
                return Ok(Exit::Interrupted);
            }
        }
        Ok(Exit::Success)
    }

    async fn fetch_one(&mut self, fetcher: &mut Fetcher<'_>, item: &TaskItem) -> Outcome {
        let place = Place::new(self.dir, &item.user_id);
        let archive = match &item.file {
            None => {
                place.forget()?;
                if item.outcome() == ItemOutcome::Done {
                    self.report.gone(item)?;
                    self.worst = self.worst.worse(Exit::Partly);
                    Err("EXPORT_GONE".to_owned())
                } else {
                    self.report.not_made(item)?;
                    Err(item.reason.clone())
                }
            }
            Some(file) => match fetcher.fetch(item.index, file, &place, self.force).await? {
                Fetched::Interrupted => return Ok(Exit::Interrupted),
                Fetched::Here => {
                    self.report.here(item, file, &place)?;
                    Ok(Kept::of(&place, file))
                }
                Fetched::Refused(refusal) => {
                    self.report.refused(item, &refusal)?;
                    self.worst = self.worst.worse(Exit::Partly);
                    Err(refusal.reason)
                }
            },
        };
        self.got.push(Got { user_id: item.user_id.clone(), archive });
        Ok(Exit::Success)
    }
}
