//! The items of tasks: one per user, each with its outcome.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, JoinType, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{task, task_item};
use super::{Db, StoreError, Tx};
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Item, Outcome, Task, TaskState};

/// Rows per statement: 6 columns each, below the 32,766 parameters SQLite takes.
const CHUNK: usize = 4_000;

/// Stores the items of a new task.
pub async fn insert_items(tx: &Tx, app: AppId, task: TaskId, items: &[Item]) -> Result<(), StoreError> {
    let task = task.to_string();
    for chunk in items.chunks(CHUNK) {
        let rows = chunk.iter().map(|item| task_item::ActiveModel {
            app_id: Set(app.0),
            task_id: Set(task.clone()),
            idx: Set(item.index),
            user_id: Set(item.user_id.clone()),
            outcome: Set(item.outcome.code()),
            reason: Set(item.reason.clone()),
        });
        task_item::Entity::insert_many(rows).exec_without_returning(&**tx).await?;
    }
    Ok(())
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
    let mut select = of_task(app, task);
    if !outcomes.is_empty() {
        let codes = outcomes.iter().map(|outcome| outcome.code());
        select = select.filter(task_item::Column::Outcome.is_in(codes));
    }
    if let Some(after) = after {
        select = select.filter(task_item::Column::Idx.gt(after));
    }
    let rows = select.order_by_asc(task_item::Column::Idx).limit(limit).all(db).await?;
    rows.into_iter().map(Item::try_from).collect()
}

/// The next items of `task` that are pending and may run: their users have no pending item of a task
/// that was accepted earlier and is still to run.
pub async fn list_runnable(db: &Db, task: &Task, limit: u64) -> Result<Vec<Item>, StoreError> {
    let rows = of_task(task.app, task.id)
        .filter(pending())
        .filter(Expr::exists(earlier_work(Some(task.accepted_seq))).not())
        .order_by_asc(task_item::Column::Idx)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(Item::try_from).collect()
}

/// How many items of `task` are pending.
pub async fn count_pending(db: &Db, task: &Task) -> Result<i64, StoreError> {
    let mut count = Query::select();
    count
        .expr_as(Expr::col(task_item::Column::Idx).count(), Alias::new("pending"))
        .from(task_item::Entity)
        .and_where(Expr::col(task_item::Column::AppId).eq(task.app.0))
        .and_where(Expr::col(task_item::Column::TaskId).eq(task.id.to_string()))
        .and_where(pending());
    let row = db.query_one(&count).await?.ok_or_else(|| StoreError::corrupt("no count"))?;
    Ok(row.try_get("", "pending")?)
}

/// Whether any task still to run has a pending item for `user`.
pub async fn has_pending_work(db: &Db, app: AppId, user: &str) -> Result<bool, StoreError> {
    let found = task_item::Entity::find()
        .filter(task_item::Column::AppId.eq(app.0))
        .filter(task_item::Column::UserId.eq(user))
        .filter(pending())
        .filter(Expr::exists(earlier_work(None)))
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// Sets the outcome of items by their index.
pub async fn update_outcomes(
    tx: &Tx,
    task: &Task,
    indexes: &[i32],
    outcome: Outcome,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(task_item::Entity)
        .value(task_item::Column::Outcome, outcome.code())
        .value(task_item::Column::Reason, reason.map(str::to_owned))
        .and_where(Expr::col(task_item::Column::AppId).eq(task.app.0))
        .and_where(Expr::col(task_item::Column::TaskId).eq(task.id.to_string()))
        .and_where(Expr::col(task_item::Column::Idx).is_in(indexes.iter().copied()));
    tx.execute(&update).await?;
    Ok(())
}

/// Ends all pending items of `task` as cancelled, and tells how many they were.
pub async fn cancel_pending(tx: &Tx, task: &Task) -> Result<i64, StoreError> {
    let mut update = Query::update();
    update
        .table(task_item::Entity)
        .value(task_item::Column::Outcome, Outcome::Cancelled.code())
        .and_where(Expr::col(task_item::Column::AppId).eq(task.app.0))
        .and_where(Expr::col(task_item::Column::TaskId).eq(task.id.to_string()))
        .and_where(pending());
    let done = tx.execute(&update).await?.rows_affected();
    Ok(i64::try_from(done).unwrap_or(i64::MAX))
}

fn of_task(app: AppId, task: TaskId) -> sea_orm::Select<task_item::Entity> {
    task_item::Entity::find()
        .filter(task_item::Column::AppId.eq(app.0))
        .filter(task_item::Column::TaskId.eq(task.to_string()))
}

/// A literal, not a parameter, so that the partial indexes on it are used.
fn pending() -> Expr {
    Expr::cust("outcome = 0")
}

/// Pending items of tasks still to run for the user of the outer `task_items`; only those of tasks
/// accepted before `before` where it is given.
fn earlier_work(before: Option<i64>) -> sea_orm::sea_query::SelectStatement {
    let (earlier, owner) = (Alias::new("earlier"), Alias::new("owner"));
    let to_run = [TaskState::Pending, TaskState::Running].map(TaskState::as_str);
    let mut select = Query::select();
    select
        .expr(Expr::val(1))
        .from_as(task_item::Entity, earlier.clone())
        .join_as(
            JoinType::InnerJoin,
            task::Entity,
            owner.clone(),
            Expr::col((owner.clone(), task::Column::AppId))
                .equals((earlier.clone(), task_item::Column::AppId))
                .and(
                    Expr::col((owner.clone(), task::Column::Id))
                        .equals((earlier.clone(), task_item::Column::TaskId)),
                ),
        )
        .and_where(
            Expr::col((earlier.clone(), task_item::Column::AppId))
                .equals((task_item::Entity, task_item::Column::AppId)),
        )
        .and_where(
            Expr::col((earlier, task_item::Column::UserId))
                .equals((task_item::Entity, task_item::Column::UserId)),
        )
        .and_where(Expr::cust("earlier.outcome = 0"))
        .and_where(Expr::col((owner.clone(), task::Column::State)).is_in(to_run));
    if let Some(before) = before {
        select.and_where(Expr::col((owner, task::Column::AcceptedSeq)).lt(before));
    }
    select
}
