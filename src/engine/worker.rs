//! Claiming tasks and doing them, batch by batch.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rand::RngExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::queue::end_cancelled;
use super::{Batch, Engine, Fault, Prepared, Step, TaskKind};
use crate::model::task::{Task, TaskError, TaskState};
use crate::storage::object_store::ObjectStoreError;
use crate::storage::queue::{self, Lease};
use crate::storage::{StoreError, Tx, Urgency};

/// The net beneath wake-ups that were lost: nobody should notice.
const POLL: Duration = Duration::from_millis(25);
/// The longest pause between two attempts at a task.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A database that could not be asked rests.
const REST: Duration = Duration::from_secs(1);
/// A database that has not answered by then is asked again.
const PATIENCE: Duration = Duration::from_secs(10);
/// A task lets others go first after so long, where others wait.
const SLICE: Duration = Duration::from_secs(1);
/// How long a task rests that waits for earlier ones.
const BLOCKED_PAUSE: Duration = Duration::from_millis(25);

/// Claims and runs tasks until stopped; returns when each has come to a batch boundary.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(engine.settings.workers));
    let running = TaskTracker::new();
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = stop.cancelled() => break,
        };
        let claimed = tokio::select! {
            claimed = next(&engine) => claimed,
            () = stop.cancelled() => break,
        };
        let (engine, kind, stop) = (engine.clone(), engine.kinds.find(&claimed.kind), stop.clone());
        running.spawn(async move {
            work(&engine, kind, claimed, &stop).await;
            drop(slot);
        });
    }
    running.close();
    running.wait().await;
}

/// Waits for a task to claim.
async fn next(engine: &Engine) -> Task {
    loop {
        // Registered before the look, so that a wake-up in between is not lost.
        let woken = engine.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let claimed = tokio::time::timeout(PATIENCE, claim(engine)).await;
        let wait = match claimed.unwrap_or(Err(StoreError::Timeout)) {
            Ok(Ok(task)) => {
                fail::fail_point!("task_claimed", |_| std::process::abort());
                engine.announce(&task);
                return task;
            }
            Ok(Err(wait)) => wait,
            Err(err) => {
                err.log_delayed("claiming tasks");
                REST
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// A claimed task, or how long to wait before the next look.
async fn claim(engine: &Engine) -> Result<Result<Task, Duration>, StoreError> {
    let due = queue::next_claimable_in(&engine.store.read(None).await?).await?.unwrap_or(POLL);
    if !due.is_zero() {
        return Ok(Err(due.clamp(Duration::from_millis(1), POLL)));
    }
    let (lease, now) = (engine.settings.lease, engine.clock.now());
    let claimed = engine
        .store
        .write(Urgency::Background, None, move |tx| async move { queue::claim(&tx, lease, now).await })
        .await?;
    // Nothing: another replica was faster.
    Ok(claimed.ok_or(BLOCKED_PAUSE))
}

/// Does a claimed task until it ends, has to wait, or is to stop.
async fn work(engine: &Engine, kind: Option<Arc<dyn TaskKind>>, mut task: Task, stop: &CancellationToken) {
    let Some(kind) = kind else {
        // A newer replica made it; leave it to one that knows.
        tracing::warn!(task.id = %task.id, task.kind = %task.kind, "this version does not know the kind");
        return give_up(engine, &task, engine.settings.lease).await;
    };
    let mut slice = Instant::now();
    loop {
        if stop.is_cancelled() {
            return give_up(engine, &task, Duration::ZERO).await;
        }
        match AssertUnwindSafe(step(engine, Arc::clone(&kind), &mut task)).catch_unwind().await {
            Ok(Ok(End::More)) => {}
            Ok(Ok(End::Over | End::Lost)) => return,
            Ok(Ok(End::Blocked)) => return give_up(engine, &task, BLOCKED_PAUSE).await,
            Ok(Err(fault)) => return failed(engine, &task, fault).await,
            Err(_) => {
                let fault = Fault::Store(StoreError::Internal("a step panicked".into()));
                return failed(engine, &task, fault).await;
            }
        }
        if slice.elapsed() > SLICE {
            if others_wait(engine).await {
                return give_up(engine, &task, Duration::ZERO).await;
            }
            slice = Instant::now();
        }
    }
}

/// What a step means for its worker.
enum End {
    More,
    Blocked,
    Over,
    /// Another worker holds the lease; nothing was changed.
    Lost,
}

/// What a batch came to, once it is committed.
struct Done {
    end: End,
    /// As it is stored now, where it changed.
    task: Option<Task>,
    erases: bool,
}

/// One batch: lock and check the lease, do the work, store everything, commit, tell.
async fn step(engine: &Engine, kind: Arc<dyn TaskKind>, held: &mut Task) -> Result<End, Fault> {
    let (app, id, epoch) = (held.app, held.id, held.lease_epoch);
    let (settings, now) = (Arc::clone(&engine.settings), engine.clock.now());
    let Some(prepared) = prepare(engine, &*kind, held).await? else { return Ok(End::Lost) };
    let stored = engine
        .store
        .write(Urgency::Background, None, move |tx| {
            let (kind, settings) = (Arc::clone(&kind), Arc::clone(&settings));
            let prepared = prepared.clone();
            async move {
                let Some(task) = queue::lock_held(&tx, app, id, epoch).await? else {
                    return Ok(Done { end: End::Lost, task: None, erases: false });
                };
                fail::fail_point!("task_begin", |_| std::process::abort());
                let batch = Batch::new(task, settings.batch, now, prepared);
                let done = do_batch(&tx, &*kind, batch, settings.lease).await;
                fail::fail_point!("task_before_commit", |_| std::process::abort());
                done
            }
        })
        .await?;
    fail::fail_point!("task_committed", |_| std::process::abort());
    let Done { end, task, erases } = stored;
    if erases {
        engine.store.erased();
    }
    if let Some(task) = task {
        engine.announce(&task);
        *held = task;
    }
    Ok(end)
}

/// What the kind does before a batch, while the lease is renewed; `None` where it is lost.
async fn prepare(engine: &Engine, kind: &dyn TaskKind, task: &Task) -> Result<Option<Prepared>, Fault> {
    let work = kind.prepare(&engine.store, task, engine.settings.batch);
    tokio::pin!(work);
    loop {
        let renewal = tokio::time::sleep(engine.settings.lease / 3);
        tokio::select! {
            prepared = &mut work => return prepared.map(Some),
            () = renewal => {}
        }
        let (app, id, epoch, lease) = (task.app, task.id, task.lease_epoch, engine.settings.lease);
        let renewed = engine
            .store
            .write(Urgency::Background, None, move |tx| async move {
                queue::renew(&tx, app, id, epoch, lease).await
            })
            .await?;
        if !renewed {
            return Ok(None);
        }
    }
}

async fn do_batch(tx: &Tx, kind: &dyn TaskKind, mut batch: Batch, lease: Duration) -> Result<Done, Fault> {
    let now = batch.now();
    if batch.task().cancel_requested && !kind.is_within_item(batch.task()) {
        let mut task = batch.into_task();
        end_cancelled(tx, kind, &mut task, now).await?;
        queue::update_task(tx, &mut task, Lease::Release(Duration::ZERO), now).await?;
        return Ok(Done { end: End::Over, task: Some(task), erases: false });
    }
    let step = kind.step(tx, &mut batch).await?;
    let erases = batch.erases();
    let mut task = batch.into_task();
    let (end, lease) = match step {
        Step::Blocked => return Ok(Done { end: End::Blocked, task: None, erases: false }),
        Step::More => (End::More, Lease::Keep(lease)),
        Step::Done => {
            task.state = TaskState::Completed;
            task.finished_at = Some(now);
            (End::Over, Lease::Release(Duration::ZERO))
        }
    };
    // Progress was made: what failed before is forgiven.
    task.failures = 0;
    queue::update_task(tx, &mut task, lease, now).await?;
    Ok(Done { end, task: Some(task), erases })
}

async fn others_wait(engine: &Engine) -> bool {
    let look = async { queue::has_claimable(&engine.store.read(None).await?).await };
    look.await.unwrap_or(false)
}

/// Gives the lease back, so that nobody has to wait for it to run out.
async fn give_up(engine: &Engine, task: &Task, pause: Duration) {
    let (app, id, epoch) = (task.app, task.id, task.lease_epoch);
    let released = engine
        .store
        .write(Urgency::Background, None, move |tx| async move {
            queue::release(&tx, app, id, epoch, pause).await
        })
        .await;
    match released {
        Ok(()) => engine.wake.notify_one(),
        Err(err) => {
            tracing::debug!(task.id = %id, error = %err, "a lease was not given back; it will run out");
        }
    }
}

/// Notes a failure: the task rests and is tried again, or fails for good. An outage of the database or of the object
/// store says nothing about the task, which waits for its end.
async fn failed(engine: &Engine, task: &Task, fault: Fault) {
    if let Fault::ObjectStore(err @ ObjectStoreError::Unreachable(_)) = &fault {
        tracing::warn!(task.id = %task.id, task.kind = %task.kind, error = %err, "a task waits");
        return give_up(engine, task, REST).await;
    }
    if let Fault::Store(err @ StoreError::Unavailable(_)) = &fault {
        err.log_delayed("a step of a task");
        return give_up(engine, task, REST).await;
    }
    tracing::warn!(task.id = %task.id, task.kind = %task.kind, error = %fault, "a step of a task failed");
    let (app, id, epoch) = (task.app, task.id, task.lease_epoch);
    let (max, now) = (engine.settings.max_failures, engine.clock.now());
    let jitter = rand::rng().random_range(0.5..1.0);
    let noted = engine
        .store
        .write(Urgency::Background, None, move |tx| {
            let fault = fault.clone();
            async move {
                let Some(mut task) = queue::lock_held(&tx, app, id, epoch).await? else { return Ok(None) };
                task.failures += 1;
                let pause = backoff(task.failures).mul_f64(jitter);
                if let Some(error) = final_error(&fault, task.failures >= max) {
                    task.state = TaskState::Failed;
                    task.error = Some(error);
                    task.finished_at = Some(now);
                } else {
                    task.state = TaskState::Pending;
                }
                queue::update_task(&tx, &mut task, Lease::Release(pause), now).await?;
                Ok::<_, StoreError>(Some(task))
            }
        })
        .await;
    match noted {
        Ok(Some(task)) => engine.announce(&task),
        Ok(None) => {}
        Err(err) => err.log_delayed("noting a failure of a task"),
    }
}

/// The error to fail with; `None` where the step is to be tried again.
fn final_error(fault: &Fault, spent: bool) -> Option<TaskError> {
    let (reason, message) = match fault {
        Fault::Fatal { reason, message } => (*reason, message.clone()),
        Fault::Store(_) | Fault::ObjectStore(_) if !spent => return None,
        Fault::ObjectStore(err) => {
            ("OBJECT_STORE_UNAVAILABLE", format!("{err}; retry the task once that is mended"))
        }
        Fault::Store(StoreError::Timeout) => (
            "DATABASE_UNAVAILABLE",
            "the database could not be reached; retry the task once it can".to_owned(),
        ),
        Fault::Store(StoreError::Conflict) => {
            ("CONFLICT", "other changes were always faster; retry the task".to_owned())
        }
        Fault::Store(_) => ("INTERNAL", "a fault of usher; see its log".to_owned()),
    };
    Some(TaskError { reason: reason.to_owned(), message })
}

/// 100 ms, doubled with each failure, up to [`LONGEST_PAUSE`].
fn backoff(failures: i32) -> Duration {
    let doublings = u32::try_from(failures.clamp(1, 20) - 1).unwrap_or(0);
    Duration::from_millis(100).saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}
