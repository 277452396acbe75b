//! The one writer of SQLite, with group commit.
//!
//! Writes that wait at the same time share one transaction, each in a savepoint of its own: a failed one
//! is undone alone, and nobody is answered before the commit is on disk. Callers go before tasks.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

use crate::model::clock::Deadline;
use crate::storage::backend::Backend;

use crate::storage::{Db, StoreError, Tx, Urgency, Verdict, Work};

/// Writes that may share a commit, and how long one may be kept waiting for others to join.
const GROUP: usize = 64;
const GROUP_TIME: Duration = Duration::from_millis(8);
/// Writes that may wait; more are told that the server is overloaded.
const WAITING: usize = 4_096;

/// Handle of the writer; it runs in a task of its own until stopped.
pub(super) struct Writer {
    connection: DatabaseConnection,
    interactive: mpsc::Sender<Job>,
    background: mpsc::Sender<Job>,
    turn: Arc<Mutex<()>>,
    stopped: Arc<AtomicBool>,
}

struct Job {
    backend: Arc<dyn Backend>,
    deadline: Option<Deadline>,
    work: Work,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Writer {
    #[expect(clippy::disallowed_methods, reason = "ends when the last sender is gone")]
    pub(super) fn start(connection: DatabaseConnection) -> Self {
        let (interactive, interactive_jobs) = mpsc::channel(WAITING);
        let (background, background_jobs) = mpsc::channel(WAITING);
        let turn = Arc::new(Mutex::new(()));
        let jobs = Jobs { interactive: interactive_jobs, background: background_jobs };
        tokio::spawn(run(connection.clone(), jobs, Arc::clone(&turn)));
        Self { connection, interactive, background, turn, stopped: Arc::default() }
    }

    pub(super) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Keeps the writer from writing while the guard lives.
    pub(super) async fn pause(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        Ok(self.turn.lock().await)
    }

    /// Refuses further writes, once those under way have ended.
    pub(super) async fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        drop(self.turn.lock().await);
    }

    pub(super) async fn submit(
        &self,
        backend: Arc<dyn Backend>,
        urgency: Urgency,
        deadline: Option<Deadline>,
        work: Work,
    ) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("closed"));
        }
        let queue = match urgency {
            Urgency::Interactive => &self.interactive,
            Urgency::Background => &self.background,
        };
        let (answer, answered) = oneshot::channel();
        let job = Job { backend, deadline, work, answer };
        queue.try_send(job).map_err(|_| StoreError::Unavailable("too many writes waiting"))?;
        answered.await.unwrap_or(Err(StoreError::Unavailable("closed")))
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

async fn run(connection: DatabaseConnection, mut jobs: Jobs, turn: Arc<Mutex<()>>) {
    while let Some((urgency, job)) = jobs.next().await {
        let _turn = turn.lock().await;
        let mut group = VecDeque::from([job]);
        commit_together(&connection, &mut group, |group| {
            let joins = match urgency {
                Urgency::Interactive => jobs.interactive.try_recv(),
                // A caller waits for one batch, not for those that would join it; nor does it join them.
                Urgency::Background if !jobs.interactive.is_empty() => return,
                Urgency::Background => jobs.background.try_recv(),
            };
            group.extend(joins);
        })
        .await;
    }
}

async fn commit_together(
    connection: &DatabaseConnection,
    group: &mut VecDeque<Job>,
    mut join: impl FnMut(&mut VecDeque<Job>),
) {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = match connection.begin_with_options(options).await {
        Ok(tx) => Arc::new(tx),
        Err(err) => return answer_all(group.drain(..).map(|job| job.answer), &Err(err.into())),
    };

    let begun = Instant::now();
    let mut answers = Vec::new();
    while let Some(job) = group.pop_front() {
        if is_over_time(&job) {
            job.answer.send(Err(StoreError::Timeout)).ok();
        } else if !job.answer.is_closed() {
            let done = in_savepoint(&tx, &job).await;
            answers.push(job.answer);
            if let Err(err) = done {
                // A full or failing disk ends the whole transaction, not one savepoint: nobody's write holds.
                drop(tx);
                return answer_all(
                    answers.into_iter().chain(group.drain(..).map(|job| job.answer)),
                    &Err(err),
                );
            }
        }
        if answers.len() < GROUP && begun.elapsed() < GROUP_TIME {
            join(group);
        }
    }
    let committed = commit(tx).await;
    answer_all(answers.into_iter(), &committed);
}

/// What is over its time before it was begun is not begun; nor is what nobody waits for any more.
fn is_over_time(job: &Job) -> bool {
    job.deadline.is_some_and(|deadline| deadline.left().is_zero())
}

async fn in_savepoint(tx: &Arc<DatabaseTransaction>, job: &Job) -> Result<(), StoreError> {
    tx.execute_unprepared("SAVEPOINT job").await?;
    let handle = Tx::new(Db::transaction(Arc::clone(tx), Arc::clone(&job.backend)));
    // A panic is a bug of one caller's work; the others in the group must not pay for it.
    let verdict = AssertUnwindSafe((job.work)(handle)).catch_unwind().await;
    let end = match verdict {
        Ok(Verdict::Commit) => "RELEASE job",
        _ => "ROLLBACK TO job; RELEASE job",
    };
    tx.execute_unprepared(end).await.map_err(|_| StoreError::Unavailable("a write failed"))?;
    if verdict.is_err() {
        // Its caller finds no result, which it reports as a fault.
        tracing::error!("the work of a transaction panicked; it was undone");
    }
    Ok(())
}

async fn commit(tx: Arc<DatabaseTransaction>) -> Result<(), StoreError> {
    match Arc::try_unwrap(tx) {
        Ok(tx) => Ok(tx.commit().await?),
        Err(_) => Err(StoreError::Internal("a transaction was kept beyond its work".into())),
    }
}

fn answer_all(
    answers: impl Iterator<Item = oneshot::Sender<Result<(), StoreError>>>,
    result: &Result<(), StoreError>,
) {
    for answer in answers {
        answer.send(result.clone()).ok();
    }
}
