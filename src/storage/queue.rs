//! The queue of tasks: insert, claim, keep, end. Every change of a claimed task goes through here, and is
//! made only by the holder of its newest lease.

use std::time::Duration;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, NullOrdering, Order, Query, SelectStatement, UpdateStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect as _, QueryTrait,
};

use super::entity::task::{self, Column, Entity};
use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Task, TaskState};

/// Stalled tasks that are looked at in one go.
const STALLED: u64 = 1_000;
/// What `--task-lease` can be at most: no lease is longer.
const LONGEST_LEASE: Duration = Duration::from_mins(10);

/// What is remembered of the request that made a task.
#[derive(Debug, Clone)]
pub struct RequestMark {
    /// Chosen by the caller.
    pub id: String,
    /// Keyed hash of the body.
    pub hash: Vec<u8>,
}

/// Stores a new task, not to be claimed before [`accept`]; `Unique` where its request has one already.
pub async fn insert_task(tx: &Tx, task: &Task, request: Option<&RequestMark>) -> Result<(), StoreError> {
    let row = task::ActiveModel {
        app_id: Set(task.app.0),
        id: Set(task.id.to_string()),
        kind: Set(task.kind.clone()),
        params: Set(task.params.clone()),
        created_by_id: Set(task.created_by_id.clone()),
        reason: Set(task.reason.clone()),
        request_id: Set(request.map(|request| request.id.clone())),
        request_hash: Set(request.map(|request| request.hash.clone())),
        created_at: Set(task.created_at.micros()),
        due_at: Set(task.due_at.map(Timestamp::micros)),
        lease_epoch: Set(0),
        lease_expires_at: Set(None),
        run_after: Set(i64::MAX),
        ..changing(task)
    };
    Entity::insert(row).exec_without_returning(&**tx).await?;
    Ok(())
}

/// Gives a stored task its place in the queue.
pub async fn accept(tx: &Tx, task: &Task) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::AcceptedSeq, task.accepted_seq)
        .value(Column::RunAfter, from_now(tx, Duration::ZERO))
        .and_where(Expr::col(Column::AppId).eq(task.app.0))
        .and_where(Expr::col(Column::Id).eq(task.id.to_string()));
    tx.execute(&update).await?;
    Ok(())
}

/// Gives a lease back, where it is still held under `epoch`; callers see no change.
pub async fn release(tx: &Tx, app: AppId, id: TaskId, epoch: i64, pause: Duration) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::LeaseExpiresAt, None::<i64>)
        .value(Column::RunAfter, from_now(tx, pause))
        .and_where(Expr::col(Column::AppId).eq(app.0))
        .and_where(Expr::col(Column::Id).eq(id.to_string()))
        .and_where(Expr::col(Column::LeaseEpoch).eq(epoch))
        .and_where(to_run());
    tx.execute(&update).await?;
    Ok(())
}

/// Keeps a lease that is held under `epoch` for so long from now; false where it is lost. Callers see no change.
pub async fn renew(tx: &Tx, app: AppId, id: TaskId, epoch: i64, lease: Duration) -> Result<bool, StoreError> {
    let mut update = Query::update();
    update
        .table(Entity)
        .and_where(Expr::col(Column::AppId).eq(app.0))
        .and_where(Expr::col(Column::Id).eq(id.to_string()))
        .and_where(Expr::col(Column::LeaseEpoch).eq(epoch))
        .and_where(Expr::col(Column::State).eq(TaskState::Running.as_str()));
    keep(&mut update, tx, lease);
    Ok(tx.execute(&update).await?.rows_affected() > 0)
}

/// Whether anything can be claimed now.
pub async fn has_claimable(db: &Db) -> Result<bool, StoreError> {
    let mut select = claimable(db);
    Ok(db.query_one(select.limit(1)).await?.is_some())
}

/// How long until the next task can be claimed, if any is waiting for its time or its lease.
pub async fn next_claimable_in(db: &Db) -> Result<Option<Duration>, StoreError> {
    let due = Expr::case(
        Expr::col(Column::LeaseExpiresAt).gt(Expr::col(Column::RunAfter)),
        Expr::col(Column::LeaseExpiresAt),
    )
    .finally(Expr::col(Column::RunAfter));
    let mut select = Query::select();
    select.expr_as(due.sub(db.backend().now()), "due").from(Entity).and_where(to_run());
    select.order_by("due", Order::Asc).limit(1);
    let row = db.query_one(&select).await?;
    let due: Option<i64> = row.map(|row| row.try_get("", "due")).transpose()?;
    Ok(due.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// Claims the task that has waited longest, under a new lease. `None` where there is nothing to claim.
pub async fn claim(tx: &Tx, owner_lease: Duration, now: Timestamp) -> Result<Option<Task>, StoreError> {
    let mut select = claimable(tx);
    select.limit(1);
    tx.backend().lock_free_ones(&mut select);
    let Some(row) = tx.query_one(&select).await? else { return Ok(None) };
    let mut task = Task::try_from(task::Model::from_query_result(&row, "")?)?;

    // A task that merely changes hands looks the same to callers.
    if task.state == TaskState::Pending {
        task.state = TaskState::Running;
        task.started_at = task.started_at.or(Some(now));
        task.updated_at = now.max(task.updated_at);
        task.revision += 1;
    }
    task.lease_epoch += 1;
    let lease_epoch = task.lease_epoch;
    store(tx, &task, |update| {
        update.value(Column::LeaseEpoch, lease_epoch);
        keep(update, tx, owner_lease);
    })
    .await?;
    Ok(Some(task))
}

/// Locks a task for its holder and reads it. `None` where the lease under `epoch` is lost.
pub async fn lock_held(tx: &Tx, app: AppId, id: TaskId, epoch: i64) -> Result<Option<Task>, StoreError> {
    let task = lock_task(tx, app, id).await?;
    Ok(task.filter(|task| task.lease_epoch == epoch && task.state == TaskState::Running))
}

/// Locks a task and reads it.
pub async fn lock_task(tx: &Tx, app: AppId, id: TaskId) -> Result<Option<Task>, StoreError> {
    let mut select = Entity::find_by_id((app.0, id.to_string()));
    tx.backend().lock(QueryTrait::query(&mut select));
    select.one(&**tx).await?.map(Task::try_from).transpose()
}

/// What becomes of the lease when a task is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Kept, for so long from now.
    Keep(Duration),
    /// Given up; whoever is next may claim the task after so long.
    Release(Duration),
    /// As it is: the one who stores does not hold it.
    Leave,
}

/// Stores a locked task under its next revision, which `task` has afterwards.
pub async fn update_task(tx: &Tx, task: &mut Task, lease: Lease, now: Timestamp) -> Result<(), StoreError> {
    task.revision += 1;
    task.updated_at = now.max(task.updated_at);
    store(tx, task, |update| match lease {
        Lease::Keep(lease) => {
            keep(update, tx, lease);
        }
        Lease::Release(pause) => {
            update.value(Column::LeaseExpiresAt, None::<i64>);
            update.value(Column::RunAfter, from_now(tx, pause));
        }
        Lease::Leave => {}
    })
    .await
}

/// Ends the leases of holders that cannot be alive, and every wait: for a process that has just got the database
/// for itself, whatever the clock was before.
pub async fn release_all(tx: &Tx) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::LeaseExpiresAt, None::<i64>)
        .value(
            Column::RunAfter,
            Expr::case(is_accepted(), tx.backend().now()).finally(Expr::col(Column::RunAfter)),
        )
        .and_where(to_run());
    tx.execute(&update).await?;
    Ok(())
}

/// A task that waits for a time too far ahead, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stalled {
    /// Its app.
    pub app: AppId,
    /// Its id.
    pub id: TaskId,
    /// The length of its lease, where a worker holds it or held it.
    pub lease: Option<Duration>,
    lease_epoch: i64,
    revision: i64,
    run_after: i64,
    lease_expires_at: Option<i64>,
}

/// Tasks whose lease ends later than its length from now, or whose time comes later than after the longest
/// `pause`.
pub async fn list_stalled(db: &Db, pause: Duration) -> Result<Vec<Stalled>, StoreError> {
    let length = Expr::col(Column::LeaseLength).if_null(micros(LONGEST_LEASE));
    let select = Entity::find()
        .filter(to_run())
        .filter(is_accepted())
        .filter(
            Expr::col(Column::LeaseExpiresAt)
                .gt(db.backend().now().add(length))
                .or(Expr::col(Column::RunAfter).gt(from_now(db, pause))),
        )
        .limit(STALLED);
    let rows = select.all(db).await?;
    rows.into_iter().map(Stalled::try_from).collect()
}

/// Lets a task be claimed at once, where it is still as it was seen; false where it is not.
pub async fn free_stalled(tx: &Tx, seen: &Stalled) -> Result<bool, StoreError> {
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::LeaseExpiresAt, None::<i64>)
        .value(Column::RunAfter, tx.backend().now())
        .and_where(Expr::col(Column::AppId).eq(seen.app.0))
        .and_where(Expr::col(Column::Id).eq(seen.id.to_string()))
        .and_where(Expr::col(Column::LeaseEpoch).eq(seen.lease_epoch))
        .and_where(Expr::col(Column::Revision).eq(seen.revision))
        .and_where(Expr::col(Column::RunAfter).eq(seen.run_after))
        .and_where(match seen.lease_expires_at {
            Some(time) => Expr::col(Column::LeaseExpiresAt).eq(time),
            None => Expr::col(Column::LeaseExpiresAt).is_null(),
        })
        .and_where(to_run());
    Ok(tx.execute(&update).await?.rows_affected() > 0)
}

impl TryFrom<task::Model> for Stalled {
    type Error = StoreError;

    fn try_from(row: task::Model) -> Result<Self, StoreError> {
        let (lease_epoch, revision) = (row.lease_epoch, row.revision);
        let (run_after, lease_expires_at) = (row.run_after, row.lease_expires_at);
        let length = row.lease_length.and_then(|length| u64::try_from(length).ok());
        let lease = length.map_or(LONGEST_LEASE, Duration::from_micros);
        let Task { app, id, .. } = Task::try_from(row)?;
        Ok(Self {
            app,
            id,
            lease: lease_expires_at.map(|_| lease),
            lease_epoch,
            revision,
            run_after,
            lease_expires_at,
        })
    }
}

/// Forgets up to `limit` tasks that ended before `before`, with their items; tells how many they were.
pub async fn delete_finished(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    // Archives go first, a few chunks at a time: see `domain::export`.
    let archives = Query::select()
        .expr(Expr::cust("1"))
        .from("export_files")
        .and_where(Expr::col(("export_files", "app_id")).equals((Entity, Column::AppId)))
        .and_where(Expr::col(("export_files", "task_id")).equals((Entity, Column::Id)))
        .take();
    let old = Query::select()
        .columns([Column::AppId, Column::Id])
        .and_where(Expr::exists(archives).not())
        .from(Entity)
        .and_where(Expr::col(Column::FinishedAt).lt(before.micros()))
        .limit(limit)
        .take();
    let mut delete = Query::delete();
    delete
        .from_table(Entity)
        .and_where(Expr::tuple([Expr::col(Column::AppId), Expr::col(Column::Id)]).in_subquery(old));
    Ok(tx.execute(&delete).await?.rows_affected())
}

async fn store(
    tx: &Tx,
    task: &Task,
    more: impl FnOnce(&mut UpdateStatement) + Send,
) -> Result<(), StoreError> {
    let mut update = Entity::update_many()
        .set(changing(task))
        .filter(Column::AppId.eq(task.app.0))
        .filter(Column::Id.eq(task.id.to_string()))
        .into_query();
    more(&mut update);
    tx.execute(&update).await?;
    Ok(())
}

/// The columns that change in the life of a task.
fn changing(task: &Task) -> task::ActiveModel {
    task::ActiveModel {
        state: Set(task.state.as_str().to_owned()),
        phase: Set(task.phase.clone()),
        checkpoint: Set(task.checkpoint.clone()),
        users_total: Set(task.progress.users_total),
        users_done: Set(task.progress.users_done),
        users_failed: Set(task.progress.users_failed),
        users_unchanged: Set(task.progress.users_unchanged),
        rows_done: Set(task.progress.rows_done),
        revision: Set(task.revision),
        failures: Set(task.failures),
        cancel_requested: Set(task.cancel_requested),
        updated_at: Set(task.updated_at.micros()),
        started_at: Set(task.started_at.map(Timestamp::micros)),
        finished_at: Set(task.finished_at.map(Timestamp::micros)),
        error_reason: Set(task.error.as_ref().map(|error| error.reason.clone())),
        error_message: Set(task.error.as_ref().map(|error| error.message.clone())),
        accepted_seq: Set(task.accepted_seq),
        result: Set((!task.result.is_empty()).then(|| serde_json::json!(task.result))),
        ..Default::default()
    }
}

/// Tasks whose time has come and whose lease, if any, has run out; longest waiting first.
fn claimable(db: &Db) -> SelectStatement {
    let now = db.backend().now();
    let mut select = Entity::find().into_query();
    select
        .and_where(to_run())
        .and_where(Expr::col(Column::RunAfter).lte(now.clone()))
        .and_where(Expr::col(Column::LeaseExpiresAt).is_null().or(Expr::col(Column::LeaseExpiresAt).lte(now)))
        .order_by(Column::RunAfter, Order::Asc)
        .order_by_with_nulls(Column::CreatedAt, Order::Asc, NullOrdering::Last);
    select
}

/// Literals, not parameters, so that the partial index is used.
fn to_run() -> Expr {
    Expr::cust("state IN ('pending', 'running')")
}

/// A task is stored with a time that never comes, until it is accepted.
fn is_accepted() -> Expr {
    Expr::col(Column::RunAfter).lt(i64::MAX)
}

fn keep(update: &mut UpdateStatement, db: &Db, lease: Duration) {
    update.value(Column::LeaseExpiresAt, from_now(db, lease)).value(Column::LeaseLength, micros(lease));
}

fn from_now(db: &Db, by: Duration) -> Expr {
    db.backend().now().add(micros(by))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
