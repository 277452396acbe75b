//! Following one task from a given revision to its end.

use std::sync::Arc;

use super::Engine;
use super::hub::Subscription;
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::Task;
use crate::storage::{StoreError, tasks};

/// The states of one task, each newer than the one before; the last one is terminal.
#[derive(Debug)]
pub struct TaskStates {
    subscription: Subscription,
    /// The state to begin with.
    first: Option<Arc<Task>>,
    seen: i64,
    ended: bool,
}

impl Engine {
    /// Follows a task. The first state comes at once if it is newer than `after`, or terminal.
    /// `None` where there is no such task.
    pub async fn watch(
        &self,
        app: AppId,
        id: TaskId,
        after: i64,
        deadline: Option<Deadline>,
    ) -> Result<Option<TaskStates>, StoreError> {
        // Subscribed before the read: what is committed in between is seen by one of the two.
        let subscription = self.hub.subscribe((app, id));
        let db = self.store.read(deadline).await?;
        let Some(task) = tasks::find_task(&db, app, id).await? else { return Ok(None) };
        self.hub.publish(task.clone());
        let first = (task.revision > after || task.state.is_terminal()).then(|| Arc::new(task));
        Ok(Some(TaskStates { subscription, first, seen: after, ended: false }))
    }
}

impl TaskStates {
    /// The next state; `None` after the terminal one.
    pub async fn next(&mut self) -> Option<Arc<Task>> {
        if self.ended {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(self.pass(first));
        }
        loop {
            let newest = self.subscription.states.borrow_and_update().clone();
            if let Some(task) = newest.filter(|task| task.revision > self.seen || task.state.is_terminal()) {
                return Some(self.pass(task));
            }
            self.subscription.states.changed().await.ok()?;
        }
    }

    fn pass(&mut self, task: Arc<Task>) -> Arc<Task> {
        self.seen = task.revision;
        self.ended = task.state.is_terminal();
        task
    }
}
