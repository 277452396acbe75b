//! The one writer of SQLite, with group commit.
//!
//! Writes that wait at the same time share one transaction, each in a savepoint of its own: a failed one
//! is undone alone, and nobody is answered before the commit is on disk. Callers go before tasks.
//! After any error of the transaction itself the connection is given up, since SQLite may have ended the
//! transaction while the driver goes on believing in it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sea_orm::{DatabaseConnection, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

use super::condition::Condition;
use super::files::{Files, try_room};
use super::line::Line;
use crate::model::clock::Deadline;
use crate::storage::backend::Backend;
use crate::storage::{Db, OpenTransaction, Outage, StoreError, Tx, Urgency, Verdict, Work};

/// Writes that may share a commit, and how long one may be kept waiting for others to join.
const GROUP: usize = 64;
const GROUP_TIME: Duration = Duration::from_millis(8);
/// Writes that may wait; more are refused as an overload.
const WAITING: usize = 4_096;

/// Handle of the writer; it runs in a task of its own until stopped.
pub(super) struct Writer {
    interactive: mpsc::Sender<Job>,
    background: mpsc::Sender<Job>,
    turn: Arc<Mutex<Line>>,
    stopped: Arc<AtomicBool>,
}

struct Job {
    backend: Arc<dyn Backend>,
    deadline: Option<Deadline>,
    work: Work,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// What the writer knows of the disk.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) files: Arc<Files>,
    pub(super) condition: Arc<Condition>,
}

impl Disk {
    /// Refuses where the files are not the ones that were opened. What was committed to others is lost.
    pub(super) async fn check_files(&self) -> Result<(), StoreError> {
        let files = Arc::clone(&self.files);
        let in_place = tokio::task::spawn_blocking(move || files.are_in_place()).await;
        if in_place.unwrap_or(false) {
            self.condition.returns();
            return Ok(());
        }
        self.condition.fails(Outage::Replaced);
        Err(StoreError::Unavailable(Outage::Replaced))
    }

    /// Refuses where the disk has no room for what callers write.
    pub(super) async fn check_room(&self) -> Result<(), StoreError> {
        self.try_room().await.map_err(|outage| {
            self.condition.fails(outage);
            StoreError::Unavailable(outage)
        })
    }

    async fn try_room(&self) -> Result<(), Outage> {
        let file = self.files.database().to_owned();
        let tried = tokio::task::spawn_blocking(move || try_room(&file)).await;
        tried.unwrap_or(Err(Outage::DiskError))
    }

    /// Names the cause where there is one to be found: of a file system that turned read-only, SQLite knows no
    /// more than that a write failed, until it opens the file again.
    async fn explain(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        if !matches!(result, Err(StoreError::Unavailable(Outage::DiskError))) {
            return result;
        }
        match self.try_room().await {
            Err(cause) => Err(StoreError::Unavailable(cause)),
            Ok(()) => result,
        }
    }

    fn note(&self, result: &Result<(), StoreError>) {
        match result {
            Ok(()) => self.condition.recovers(),
            Err(StoreError::Unavailable(outage)) => self.condition.fails(*outage),
            Err(_) => {}
        }
    }
}

impl Writer {
    #[expect(clippy::disallowed_methods, reason = "ends when the last sender is gone")]
    pub(super) fn start(line: Line, disk: Disk) -> Self {
        let (interactive, interactive_jobs) = mpsc::channel(WAITING);
        let (background, background_jobs) = mpsc::channel(WAITING);
        let turn = Arc::new(Mutex::new(line));
        let jobs = Jobs { interactive: interactive_jobs, background: background_jobs };
        tokio::spawn(run(jobs, Arc::clone(&turn), disk));
        Self { interactive, background, turn, stopped: Arc::default() }
    }

    /// The connection of the writer, which does not write while the guard lives.
    pub(super) async fn pause(&self) -> MutexGuard<'_, Line> {
        self.turn.lock().await
    }

    /// Refuses further writes, once those under way have ended.
    pub(super) async fn stop(&self) -> MutexGuard<'_, Line> {
        self.stopped.store(true, Ordering::Release);
        self.turn.lock().await
    }

    pub(super) async fn submit(
        &self,
        backend: Arc<dyn Backend>,
        urgency: Urgency,
        deadline: Option<Deadline>,
        work: Work,
    ) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable(Outage::ShuttingDown));
        }
        let queue = match urgency {
            Urgency::Interactive => &self.interactive,
            Urgency::Background => &self.background,
        };
        let (answer, answered) = oneshot::channel();
        let job = Job { backend, deadline, work, answer };
        queue.try_send(job).map_err(|_| StoreError::Unavailable(Outage::TooManyWrites))?;
        answered.await.unwrap_or(Err(StoreError::Unavailable(Outage::ShuttingDown)))
    }
}

/// The two queues, read in order of urgency.
struct Jobs {
    interactive: mpsc::Receiver<Job>,
    background: mpsc::Receiver<Job>,
}

impl Jobs {
    async fn next(&mut self) -> Option<(Urgency, Job)> {
        tokio::select! {
            biased;
            Some(job) = self.interactive.recv() => Some((Urgency::Interactive, job)),
            Some(job) = self.background.recv() => Some((Urgency::Background, job)),
            else => None,
        }
    }
}

/// A write that was run, or that the failure of its group keeps from being run.
type Answer = oneshot::Sender<Result<(), StoreError>>;

async fn run(mut jobs: Jobs, turn: Arc<Mutex<Line>>, disk: Disk) {
    while let Some((urgency, job)) = jobs.next().await {
        let mut line = turn.lock().await;
        let mut group = VecDeque::from([job]);
        let mut answers = Vec::new();
        let join = |group: &mut VecDeque<Job>| {
            let joins = match urgency {
                Urgency::Interactive => jobs.interactive.try_recv(),
                // A caller waits for one batch, not for those that would join it; nor does it join them.
                Urgency::Background if !jobs.interactive.is_empty() => return,
                Urgency::Background => jobs.background.try_recv(),
            };
            group.extend(joins);
        };
        let mut result = disk.condition.refuse_hopeless();
        if result.is_ok() {
            result = commit_together(&mut line, &mut group, &mut answers, join).await;
            result = disk.explain(result).await;
            disk.note(&result);
            // What is on a disk under no name, or under another one, is as good as lost.
            if result.is_ok() {
                result = disk.check_files().await;
            }
        }
        // A full or failing disk ends the whole transaction, not one savepoint: nobody's write holds.
        for answer in answers.into_iter().chain(group.into_iter().map(|job| job.answer)) {
            answer.send(result.clone()).ok();
        }
    }
}

/// Runs and commits the writes of `group`, which `join` adds to, and moves them to `answers`. On `Err` none of
/// them holds, and the connection is given up.
async fn commit_together(
    line: &mut Line,
    group: &mut VecDeque<Job>,
    answers: &mut Vec<Answer>,
    join: impl FnMut(&mut VecDeque<Job>),
) -> Result<(), StoreError> {
    let connection = line.connection().await?;
    let done = match begin(&connection).await {
        Ok(tx) => in_transaction(tx, group, answers, join).await,
        Err(err) => Err(err),
    };
    if done.is_err() {
        drop(connection);
        line.give_up().await;
    }
    done
}

async fn begin(connection: &DatabaseConnection) -> Result<OpenTransaction, StoreError> {
    fail::fail_point!("sqlite_begin", |_| Err(StoreError::Unavailable(Outage::DiskError)));
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(OpenTransaction::new(connection.begin_with_options(options).await?))
}

async fn in_transaction(
    tx: OpenTransaction,
    group: &mut VecDeque<Job>,
    answers: &mut Vec<Answer>,
    mut join: impl FnMut(&mut VecDeque<Job>),
) -> Result<(), StoreError> {
    let tx = Arc::new(tx);
    let begun = Instant::now();
    while let Some(job) = group.pop_front() {
        if is_over_time(&job) {
            job.answer.send(Err(StoreError::Timeout)).ok();
        } else if !job.answer.is_closed() {
            let done = in_savepoint(&tx, &job).await;
            answers.push(job.answer);
            done?;
        }
        if answers.len() < GROUP && begun.elapsed() < GROUP_TIME {
            join(group);
        }
    }
    fail::fail_point!("sqlite_commit", |_| Err(StoreError::Unavailable(Outage::DiskError)));
    match Arc::try_unwrap(tx) {
        Ok(tx) => tx.commit().await,
        Err(_) => Err(StoreError::Internal("a transaction was kept beyond its work".into())),
    }
}

/// True if the job's deadline passed before it started.
fn is_over_time(job: &Job) -> bool {
    job.deadline.is_some_and(|deadline| deadline.left().is_zero())
}

/// Runs one write. `Err` means that the whole transaction is over.
async fn in_savepoint(tx: &Arc<OpenTransaction>, job: &Job) -> Result<(), StoreError> {
    fail::fail_point!("sqlite_savepoint", |_| Err(StoreError::Unavailable(Outage::DiskError)));
    tx.run("SAVEPOINT job").await?;
    let handle = Tx::new(Db::new(tx.clone(), Arc::clone(&job.backend)));
    // A panic is a bug of one caller's work; the others in the group must not pay for it.
    let verdict = AssertUnwindSafe((job.work)(handle)).catch_unwind().await;
    // Whatever the work made of the error: the transaction that it ran in is gone.
    if let Some(err) = tx.ended_by() {
        return Err(err.clone());
    }
    fail::fail_point!("sqlite_release", |_| Err(StoreError::Unavailable(Outage::DiskError)));
    let end = match verdict {
        Ok(Verdict::Commit) => "RELEASE job",
        _ => "ROLLBACK TO job; RELEASE job",
    };
    tx.run(end).await?;
    if verdict.is_err() {
        // Its caller finds no result, which it reports as a fault.
        tracing::error!("the work of a transaction panicked; it was undone");
    }
    Ok(())
}
