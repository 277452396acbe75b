//! Reading tasks.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect,
};

use super::entity::task;
use super::{Db, StoreError};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Task, TaskState};

/// Which tasks, after which one.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    /// Empty: all.
    pub states: Vec<TaskState>,
    /// Empty: all.
    pub kinds: Vec<String>,
    /// Only those that were due before, and are neither completed nor cancelled.
    pub due_before: Option<Timestamp>,
    /// Microseconds of creation and id of the last task seen.
    pub after: Option<(i64, String)>,
    /// At most so many.
    pub limit: u64,
}

/// The task `id` of `app`.
pub async fn find_task(db: &Db, app: AppId, id: TaskId) -> Result<Option<Task>, StoreError> {
    find_row(db, app, id).await?.map(Task::try_from).transpose()
}

/// The row of a task, for those who need more than [`Task`].
pub async fn find_row(db: &Db, app: AppId, id: TaskId) -> Result<Option<task::Model>, StoreError> {
    Ok(task::Entity::find_by_id((app.0, id.to_string())).one(db).await?)
}

/// The tasks of requests, each with the hash of its body.
pub async fn list_by_request(
    db: &Db,
    app: AppId,
    request_ids: &[&str],
) -> Result<Vec<(Task, Option<Vec<u8>>)>, StoreError> {
    let rows = task::Entity::find()
        .filter(task::Column::AppId.eq(app.0))
        .filter(task::Column::RequestId.is_in(request_ids.iter().copied()))
        .all(db)
        .await?;
    let with_hash = |mut row: task::Model| {
        let hash = row.request_hash.take();
        Ok((Task::try_from(row)?, hash))
    };
    rows.into_iter().map(with_hash).collect()
}

/// Tasks of `app`, newest first.
pub async fn list_tasks(db: &Db, app: AppId, query: &TaskQuery) -> Result<Vec<Task>, StoreError> {
    let mut select = task::Entity::find().filter(task::Column::AppId.eq(app.0));
    if !query.states.is_empty() {
        select = select.filter(task::Column::State.is_in(query.states.iter().map(|state| state.as_str())));
    }
    if !query.kinds.is_empty() {
        select = select.filter(task::Column::Kind.is_in(query.kinds.iter().map(String::as_str)));
    }
    if let Some(now) = query.due_before {
        select = select.filter(overdue(now));
    }
    if let Some((created_at, id)) = &query.after {
        let before = Expr::tuple([Expr::col(task::Column::CreatedAt), Expr::col(task::Column::Id)])
            .lt(Expr::tuple([Expr::val(*created_at), Expr::val(id.as_str())]));
        select = select.filter(before);
    }
    let rows = select
        .order_by_desc(task::Column::CreatedAt)
        .order_by_desc(task::Column::Id)
        .limit(query.limit)
        .all(db)
        .await?;
    rows.into_iter().map(Task::try_from).collect()
}

/// Tasks of all apps that were due before `now`, and are neither completed nor cancelled.
pub async fn count_overdue(db: &Db, now: Timestamp) -> Result<u64, StoreError> {
    Ok(task::Entity::find().filter(overdue(now)).count(db).await?)
}

/// A task that failed is overdue as well: what it was to do was not done.
fn overdue(now: Timestamp) -> Condition {
    let over = [TaskState::Completed, TaskState::Cancelled].map(TaskState::as_str);
    Condition::all().add(task::Column::DueAt.lt(now.micros())).add(task::Column::State.is_not_in(over))
}

/// Those of `keys` that exist, in any order: for watchers, who follow many at a time.
pub async fn list_by_key(db: &Db, keys: &[(AppId, TaskId)]) -> Result<Vec<Task>, StoreError> {
    let any = keys.iter().fold(Condition::any(), |any, (app, id)| {
        any.add(task::Column::AppId.eq(app.0).and(task::Column::Id.eq(id.to_string())))
    });
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = task::Entity::find().filter(any).all(db).await?;
    rows.into_iter().map(Task::try_from).collect()
}
