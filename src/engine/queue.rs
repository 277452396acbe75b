//! Accepting tasks, and steering them from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Engine, TaskKind};
use crate::model::clock::{Deadline, Timestamp};
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Item, Outcome, Progress, Task, TaskState};
use crate::storage::queue::{self, Lease, RequestMark};
use crate::storage::{Retryable, StoreError, Tx, Urgency, apps, items};

/// A task to be accepted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message Task")]
pub struct NewTask {
    pub id: TaskId,
    pub app: AppId,
    pub kind: &'static str,
    pub phase: &'static str,
    pub params: Value,
    /// One per user, in order; those that are over from the start have their outcome already.
    pub items: Vec<Item>,
    pub created_by_id: String,
    pub reason: String,
    pub request: Option<RequestMark>,
    /// When the work must be done by.
    pub due_at: Option<Timestamp>,
}

/// Why a task could not be steered.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No such task in this app.
    #[error("there is no such task")]
    NotFound,
    /// It has ended.
    #[error("the task has ended")]
    Finished,
    /// It has not failed.
    #[error("the task has not failed")]
    NotFailed,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Retryable for ControlError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(err) if err.is_conflict())
    }
}

impl Engine {
    /// Stores a task in the caller's transaction, and gives it its place in the queue.
    ///
    /// As [`Self::insert`] and [`Self::accept`].
    pub async fn enqueue(&self, tx: &Tx, new: &NewTask) -> Result<Task, StoreError> {
        let task = self.insert(tx, new).await?;
        self.accept(tx, task).await
    }

    /// Gives a stored task its place in the queue. Call [`Engine::announce`] once that is committed.
    ///
    /// Draws the app's next number, whose row stays locked until the transaction ends: do this last.
    pub async fn accept(&self, tx: &Tx, mut task: Task) -> Result<Task, StoreError> {
        task.accepted_seq = apps::next_accepted_seq(tx, task.app).await?;
        queue::accept(tx, &task).await?;
        Ok(task)
    }

    /// Stores a task that is not to run before it is accepted. `Unique` where the request has one already.
    pub async fn insert(&self, tx: &Tx, new: &NewTask) -> Result<Task, StoreError> {
        let now = self.clock.now();
        let mut progress = Progress {
            users_total: i64::try_from(new.items.len()).unwrap_or(i64::MAX),
            ..Progress::default()
        };
        for item in &new.items {
            progress.count(item.outcome, 1);
        }
        let task = Task {
            app: new.app,
            id: new.id,
            kind: new.kind.to_owned(),
            state: TaskState::Pending,
            phase: new.phase.to_owned(),
            params: new.params.clone(),
            checkpoint: Value::Null,
            progress,
            revision: 1,
            failures: 0,
            cancel_requested: false,
            created_by_id: new.created_by_id.clone(),
            reason: new.reason.clone(),
            request_id: new.request.as_ref().map(|request| request.id.clone()),
            created_at: now,
            updated_at: now,
            started_at: None,
            finished_at: None,
            error: None,
            due_at: new.due_at,
            result: BTreeMap::new(),
            lease_epoch: 0,
            accepted_seq: 0,
        };
        queue::insert_task(tx, &task, new.request.as_ref()).await?;
        items::insert_items(tx, new.app, task.id, &new.items).await?;
        Ok(task)
    }

    /// Ends a task that nobody has taken up, or asks the worker of one to end it.
    pub async fn cancel(
        &self,
        app: AppId,
        id: TaskId,
        deadline: Option<Deadline>,
    ) -> Result<Task, ControlError> {
        let now = self.clock.now();
        let kinds = self.kinds.clone();
        let task = self
            .store
            .write(Urgency::Interactive, deadline, move |tx| {
                let kinds = kinds.clone();
                async move {
                    let mut task = queue::lock_task(&tx, app, id).await?.ok_or(ControlError::NotFound)?;
                    if task.state.is_terminal() {
                        return Err(ControlError::Finished);
                    }
                    if task.cancel_requested {
                        return Ok(task);
                    }
                    task.cancel_requested = true;
                    if task.state == TaskState::Pending {
                        // What a newer version made is left to its workers.
                        let kind = kinds.find(&task.kind).filter(|kind| !kind.is_within_item(&task));
                        if let Some(kind) = kind {
                            end_cancelled(&tx, &*kind, &mut task, now).await?;
                        }
                    }
                    queue::update_task(&tx, &mut task, Lease::Leave, now).await?;
                    Ok(task)
                }
            })
            .await?;
        self.announce(&task);
        Ok(task)
    }

    /// Takes up a failed task again; it counts as accepted now.
    pub async fn retry(
        &self,
        app: AppId,
        id: TaskId,
        deadline: Option<Deadline>,
    ) -> Result<Task, ControlError> {
        let now = self.clock.now();
        let task = self
            .store
            .write(Urgency::Interactive, deadline, move |tx| async move {
                let mut task = queue::lock_task(&tx, app, id).await?.ok_or(ControlError::NotFound)?;
                if task.state != TaskState::Failed {
                    return Err(ControlError::NotFailed);
                }
                task.state = TaskState::Pending;
                task.failures = 0;
                task.error = None;
                task.finished_at = None;
                task.cancel_requested = false;
                task.accepted_seq = apps::next_accepted_seq(&tx, app).await?;
                queue::update_task(&tx, &mut task, Lease::Release(Duration::ZERO), now).await?;
                Ok(task)
            })
            .await?;
        self.announce(&task);
        Ok(task)
    }
}

/// Ends a locked task as cancelled; the caller stores it.
pub(super) async fn end_cancelled(
    tx: &Tx,
    kind: &dyn TaskKind,
    task: &mut Task,
    now: Timestamp,
) -> Result<(), StoreError> {
    kind.release(tx, task, now).await?;
    let cancelled = items::cancel_pending(tx, task).await?;
    task.progress.count(Outcome::Cancelled, cancelled);
    task.state = TaskState::Cancelled;
    task.finished_at = Some(now);
    Ok(())
}
