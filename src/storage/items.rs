//! The items of tasks: one per user, each with its outcome.

use std::collections::HashSet;

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::entity::{task, task_item};
use super::{Db, StoreError, Tx, narrow};
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Item, Outcome, Task, TaskState};

/// Stores the items of a new task.
pub async fn insert_items(tx: &Tx, app: AppId, task: TaskId, items: &[Item]) -> Result<(), StoreError> {
    if !items.is_empty() {
        tx.execute_raw(tx.backend().insert_items(app, task, items)).await?;
    }
    Ok(())
}

/// The query of [`list_items`].
pub fn select_items(
    app: AppId,
    task: TaskId,
    outcomes: &[Outcome],
    after: Option<i32>,
    limit: u64,
) -> SelectStatement {
    use task_item::Column::{Idx, Outcome as Code, Reason, UserId};
    let codes = outcomes.iter().map(|outcome| outcome.code());
    let mut select = match outcomes {
        [] => of_task(app, task),
        [Outcome::Pending] => task_item::Entity::find().filter(pending_of(app, task)),
        _ => of_task(app, task).filter(task_item::Column::Outcome.is_in(codes)),
    };
    if let Some(after) = after {
        select = select.filter(task_item::Column::Idx.gt(after));
    }
    let select = select.order_by_asc(Idx).limit(limit).select_only();
    select.columns([Idx, UserId, Code, Reason]).into_query()
}

/// Items of `task`, in order, after index `after`.
pub async fn list_items(
    db: &Db,
    app: AppId,
    task: TaskId,
    outcomes: &[Outcome],
    after: Option<i32>,
    limit: u64,
) -> Result<Vec<Item>, StoreError> {
    let select = select_items(app, task, outcomes, after, limit);
    let mut items: Vec<Item> = narrow::list(db, select, &["idx", "user_id", "outcome", "reason"])
        .await?
        .into_iter()
        .map(|(index, user_id, code, reason): (i32, String, i16, Option<String>)| {
            let outcome =
                Outcome::from_code(code).ok_or_else(|| StoreError::corrupt("task_items.outcome"))?;
            Ok(Item { index, user_id, outcome, reason })
        })
        .collect::<Result<_, StoreError>>()?;
    items.sort_unstable_by_key(|item| item.index);
    Ok(items)
}

/// The next items of `task` that are pending and may run: their users have no pending item of a task
/// that was accepted earlier and is still to run.
pub async fn list_runnable(db: &Db, task: &Task, limit: u64) -> Result<Vec<Item>, StoreError> {
    let mut after = None;
    loop {
        let next = list_items(db, task.app, task.id, &[Outcome::Pending], after, limit).await?;
        let Some(last) = next.last() else { return Ok(Vec::new()) };
        after = Some(last.index);
        let users = next.iter().map(|item| item.user_id.as_str());
        let waiting = list_waiting(db, task.app, users, Some(task)).await?;
        let runnable: Vec<Item> = next.into_iter().filter(|item| !waiting.contains(&item.user_id)).collect();
        if !runnable.is_empty() {
            return Ok(runnable);
        }
    }
}

/// Whether an item that was found runnable for `user` still is, within a transaction that acts on it.
///
/// The item is read after the tasks before it: an erasure replaces the user in its own item and in this one at the same
/// time, and is seen by the one or by the other.
pub async fn is_runnable(tx: &Tx, task: &Task, index: i32, user: &str) -> Result<bool, StoreError> {
    if !list_waiting(tx, task.app, std::iter::once(user), Some(task)).await?.is_empty() {
        return Ok(false);
    }
    let pending = Query::select()
        .expr(Expr::cust("1"))
        .from(task_item::Entity)
        .and_where(pending_of(task.app, task.id))
        .and_where(Expr::col(task_item::Column::Idx).eq(index))
        .and_where(Expr::col(task_item::Column::UserId).eq(user))
        .take();
    Ok(tx.query_one(&pending).await?.is_some())
}

/// How many items of `task` are pending.
pub async fn count_pending(db: &Db, task: &Task) -> Result<i64, StoreError> {
    let mut count = Query::select();
    count
        .expr_as(Expr::col(task_item::Column::Idx).count(), Alias::new("pending"))
        .from(task_item::Entity)
        .and_where(pending_of(task.app, task.id));
    let row = db.query_one(&count).await?.ok_or_else(|| StoreError::corrupt("no count"))?;
    Ok(row.try_get("", "pending")?)
}

/// Whether any task still to run has a pending item for `user`.
pub async fn has_pending_work(db: &Db, app: AppId, user: &str) -> Result<bool, StoreError> {
    Ok(!list_waiting(db, app, std::iter::once(user), None).await?.is_empty())
}

/// Whether any of `users` has a pending item, be its task still to run or not.
pub async fn has_any_pending(db: &Db, app: AppId, users: &[&str]) -> Result<bool, StoreError> {
    let pending = Query::select()
        .expr(Expr::cust("1"))
        .from(task_item::Entity)
        .and_where(Expr::col(task_item::Column::AppId).eq(app.0))
        .and_where(db.backend().json().is_one_of(Expr::col(task_item::Column::UserId), users))
        .and_where(by_user_and_pending())
        .limit(1)
        .take();
    Ok(db.query_one(&pending).await?.is_some())
}

/// Sets the outcome of items by their index.
pub async fn update_outcomes(
    tx: &Tx,
    task: &Task,
    indexes: &[i32],
    outcome: Outcome,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (indexes.iter().min(), indexes.iter().max()) else { return Ok(()) };
    let mut update = Query::update();
    update
        .table(task_item::Entity)
        // Keeps a planner from reading every item of the task.
        .and_where(Expr::col(task_item::Column::Idx).between(*first, *last))
        .value(task_item::Column::Outcome, outcome.code())
        .value(task_item::Column::Reason, reason.map(str::to_owned))
        .and_where(Expr::col(task_item::Column::AppId).eq(task.app.0))
        .and_where(Expr::col(task_item::Column::TaskId).eq(task.id.to_string()));
    // All that lie between are meant, most of the time.
    if i64::from(*last) - i64::from(*first) >= i64::try_from(indexes.len()).unwrap_or(i64::MAX) {
        update.and_where(Expr::col(task_item::Column::Idx).is_in(indexes.iter().copied()));
    }
    tx.execute(&update).await?;
    Ok(())
}

/// Ends all pending items of `task` as cancelled, and tells how many they were.
pub async fn cancel_pending(tx: &Tx, task: &Task) -> Result<i64, StoreError> {
    let mut update = Query::update();
    update
        .table(task_item::Entity)
        .value(task_item::Column::Outcome, Outcome::Cancelled.code())
        .and_where(pending_of(task.app, task.id));
    let done = tx.execute(&update).await?.rows_affected();
    Ok(i64::try_from(done).unwrap_or(i64::MAX))
}

fn of_task(app: AppId, task: TaskId) -> sea_orm::Select<task_item::Entity> {
    task_item::Entity::find()
        .filter(task_item::Column::AppId.eq(app.0))
        .filter(task_item::Column::TaskId.eq(task.to_string()))
}

/// As in [`pending_of`], where items are looked for by user. In other words than the index over pending items
/// has it: that holds next to nothing most of the time, so PostgreSQL would rather read all of it.
pub(super) fn by_user_and_pending() -> Expr {
    Expr::cust("outcome + 0 = 0")
}

/// That an item of the task is pending, so that those are found in the index over pending items, by index.
pub(super) fn pending_of(app: AppId, task: TaskId) -> Expr {
    // The sign keeps SQLite from the primary key, by which it would go through all that are over first; a
    // literal is what the partial index takes.
    let of_app = Expr::cust("+app_id").eq(app.0);
    let of_task = Expr::col(task_item::Column::TaskId).eq(task.to_string());
    of_app.and(of_task).and(Expr::cust("outcome = 0"))
}

/// Those of `users` who have a pending item of a task still to run; with `than`, of another task that was
/// accepted before it.
///
/// Two plain questions instead of a join: nearly always the first one finds nothing, since the items of the
/// task itself are left out, and rows of running tasks change too often to be joined cheaply.
async fn list_waiting(
    db: &Db,
    app: AppId,
    users: impl Iterator<Item = &str>,
    than: Option<&Task>,
) -> Result<HashSet<String>, StoreError> {
    use task_item::Column::{AppId as App, TaskId as OfTask, UserId};
    let users: Vec<&str> = users.collect();
    let one_of_them = db.backend().json().is_one_of(Expr::col(UserId), &users);
    let mut select = task_item::Entity::find()
        .select_only()
        .columns([UserId, OfTask])
        .filter(App.eq(app.0))
        .filter(one_of_them)
        .filter(by_user_and_pending());
    if let Some(than) = than {
        select = select.filter(OfTask.ne(than.id.to_string()));
    }
    let pending: Vec<(String, String)> = select.into_tuple().all(db).await?;
    if pending.is_empty() {
        return Ok(HashSet::new());
    }

    let of: HashSet<&str> = pending.iter().map(|(_, task)| task.as_str()).collect();
    let to_run = [TaskState::Pending, TaskState::Running].map(TaskState::as_str);
    let mut select = task::Entity::find()
        .select_only()
        .column(task::Column::Id)
        .filter(task::Column::AppId.eq(app.0))
        .filter(task::Column::Id.is_in(of))
        .filter(task::Column::State.is_in(to_run));
    if let Some(than) = than {
        select = select.filter(task::Column::AcceptedSeq.lt(than.accepted_seq));
    }
    let tasks: Vec<String> = select.into_tuple().all(db).await?;
    let tasks: HashSet<String> = tasks.into_iter().collect();
    Ok(pending.into_iter().filter(|(_, task)| tasks.contains(task)).map(|(user, _)| user).collect())
}
