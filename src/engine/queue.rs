//! Accepting tasks, and steering them from outside.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::Engine;
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Item, Outcome, Progress, Task, TaskState};
use crate::storage::queue::{self, Lease, RequestMark};
use crate::storage::{Retryable, StoreError, Tx, Urgency, apps, items};

/// A task to be accepted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message Task")]
pub struct NewTask {
    pub app: AppId,
    pub kind: &'static str,
    pub phase: &'static str,
    pub params: Value,
    /// One per user, in order; those that are over from the start have their outcome already.
    pub items: Vec<Item>,
    pub created_by_id: String,
    pub reason: String,
    pub request: Option<RequestMark>,
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
    /// Stores a task in the caller's transaction. Call [`Engine::announce`] once that is committed.
    ///
    /// `Unique` where the request has a task already. Draws the app's next number, whose row stays
    /// locked until the transaction ends: do this last.
    pub async fn enqueue(&self, tx: &Tx, new: &NewTask) -> Result<Task, StoreError> {
        let now = self.clock.now();
        let mut progress = Progress {
            users_total: i64::try_from(new.items.len()).unwrap_or(i64::MAX),
            ..Progress::default()
        };
        for item in &new.items {
            progress.count(item.outcome, 1);
        }
        let mut task = Task {
            app: new.app,
            id: Uuid::now_v7(),
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
            lease_epoch: 0,
            accepted_seq: 0,
        };
        queue::insert_task(tx, &task, new.request.as_ref()).await?;
        items::insert_items(tx, new.app, task.id, &new.items).await?;
        task.accepted_seq = apps::next_accepted_seq(tx, new.app).await?;
        queue::accept(tx, &task).await?;
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
        let task = self
            .store
            .write(Urgency::Interactive, deadline, move |tx| async move {
                let mut task = queue::lock_task(&tx, app, id).await?.ok_or(ControlError::NotFound)?;
                if task.state.is_terminal() {
                    return Err(ControlError::Finished);
                }
                if task.cancel_requested {
                    return Ok(task);
                }
                task.cancel_requested = true;
                if task.state == TaskState::Pending {
                    end_cancelled(&tx, &mut task, now).await?;
                }
                queue::update_task(&tx, &mut task, Lease::Leave, now).await?;
                Ok(task)
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
    task: &mut Task,
    now: crate::model::clock::Timestamp,
) -> Result<(), StoreError> {
    let cancelled = items::cancel_pending(tx, task).await?;
    task.progress.count(Outcome::Cancelled, cancelled);
    task.state = TaskState::Cancelled;
    task.finished_at = Some(now);
    Ok(())
}
