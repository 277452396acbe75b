//! Reading, following and steering tasks.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::export::Linked;
use super::jobs::export::KIND;
use super::page_token::Page;
use super::{Call, Domain, Error};
use crate::engine::TaskStates;
use crate::model::id::TaskId;
use crate::model::task::{Item, Outcome, Task, TaskState};
use crate::storage::tasks::{self, TaskQuery};
use crate::storage::{archives, items};

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct ListTasks {
    pub states: Vec<TaskState>,
    pub kinds: Vec<String>,
    pub limit: u32,
    pub page_token: String,
    pub overdue: bool,
}

/// Which items of a task to list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct ListTaskItems {
    pub task: TaskId,
    pub outcomes: Vec<Outcome>,
    pub limit: u32,
    pub page_token: String,
}

#[derive(Serialize, Deserialize)]
struct After(i64, String);

impl Domain {
    /// One task.
    pub async fn get_task(&self, call: &Call, id: TaskId) -> Result<Task, Error> {
        let db = self.read(call.deadline).await?;
        tasks::find_task(&db, call.app(), id).await?.ok_or(Error::TaskNotFound)
    }

    /// Tasks, newest first.
    pub async fn list_tasks(&self, call: &Call, list: ListTasks) -> Result<Page<Task>, Error> {
        let query = format!("tasks {:?} {:?} {}", list.states, list.kinds, list.overdue);
        let after = self.after::<After>(call, &query, &list.page_token)?;
        let limit = list.limit as usize;
        let select = TaskQuery {
            states: list.states,
            kinds: list.kinds,
            due_before: list.overdue.then(|| self.now()),
            after: after.map(|After(created_at, id)| (created_at, id)),
            limit: limit as u64 + 1,
        };
        let db = self.read(call.deadline).await?;
        let rows = tasks::list_tasks(&db, call.app(), &select).await?;
        Ok(self.page(call, &query, rows, limit, |task| After(task.created_at.micros(), task.id.to_string())))
    }

    /// How many tasks of all apps are past their due date, and not done.
    pub async fn count_overdue(&self) -> Result<u64, Error> {
        Ok(tasks::count_overdue(&self.store.read(None).await?, self.now()).await?)
    }

    /// Items of a task, in order, and the archives that were made for them, with URLs where the object store has any.
    pub async fn list_task_items(
        &self,
        call: &Call,
        list: ListTaskItems,
    ) -> Result<(Page<Item>, HashMap<i32, Linked>), Error> {
        let query = format!("items {} {:?}", list.task, list.outcomes);
        let after = self.after::<i32>(call, &query, &list.page_token)?;
        let limit = list.limit as usize;
        let db = self.read(call.deadline).await?;
        let task = tasks::find_task(&db, call.app(), list.task).await?.ok_or(Error::TaskNotFound)?;
        let rows =
            items::list_items(&db, call.app(), list.task, &list.outcomes, after, limit as u64 + 1).await?;
        let page = self.page(call, &query, rows, limit, |item| item.index);
        let indexes: Vec<i32> = page.rows.iter().map(|item| item.index).collect();
        let archives = if task.kind == KIND {
            archives::list_whole(&db, call.app(), list.task, &indexes).await?
        } else {
            HashMap::new()
        };
        drop(db);
        Ok((page, self.link(call, archives).await?))
    }

    /// Follows a task from after `after_revision` to its end.
    pub async fn watch_task(
        &self,
        call: &Call,
        id: TaskId,
        after_revision: i64,
    ) -> Result<TaskStates, Error> {
        let states = self.engine.watch(call.app(), id, after_revision, Some(call.deadline)).await?;
        states.ok_or(Error::TaskNotFound)
    }

    /// Asks a task to end.
    pub async fn cancel_task(&self, call: &Call, id: TaskId) -> Result<Task, Error> {
        Ok(self.engine.cancel(call.app(), id, Some(call.deadline)).await?)
    }

    /// Takes up a failed task again.
    pub async fn retry_task(&self, call: &Call, id: TaskId) -> Result<Task, Error> {
        Ok(self.engine.retry(call.app(), id, Some(call.deadline)).await?)
    }
}
