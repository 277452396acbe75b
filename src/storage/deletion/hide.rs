//! Hiding users from the moment their deletion is accepted, and giving them back where it is cancelled.
//!
//! A user is hidden by the first deletion that is accepted while it is live, and looks deleted from then on.
//! Nothing counts deletions: those that are still to come are the pending items of their tasks.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Order, Query, UpdateStatement};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, FromQueryResult};

use crate::model::clock::Timestamp;
use crate::model::deletion::Mode;
use crate::model::history::{Cause, HistoryKind};
use crate::model::id::AppId;
use crate::model::task::{Outcome, Task, TaskState};
use crate::storage::entity::{task, task_item, user};
use crate::storage::history::{self, NewEntry};
use crate::storage::items::by_user_and_pending;
use crate::storage::terms::write::raise_version;
use crate::storage::upsert::lock_rows;
use crate::storage::{Db, StoreError, Tx, apps, items};

/// Users per statement.
const CHUNK: usize = 1_000;

/// A deletion that is still to come to a user.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Later {
    /// The user.
    pub user_id: String,
    /// The task, by id.
    pub id: String,
    /// What it is to do.
    pub params: serde_json::Value,
    /// Who asked for it.
    pub created_by_id: String,
    /// Why.
    pub reason: String,
}

impl Later {
    /// The deletion it is, where this is what becomes of the users.
    pub fn deletion(&self, mode: Mode) -> Deletion {
        Deletion { task: self.id.clone(), mode, cause: Cause::of(&self.created_by_id, &self.reason) }
    }
}

/// A deletion, as far as it concerns the users themselves.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Its task, by id.
    pub task: String,
    /// What becomes of the users.
    pub mode: Mode,
    /// Who asked for it, and why.
    pub cause: Cause,
}

impl Deletion {
    /// What it leaves in the history of a user: nothing where the history goes with the user.
    pub(super) fn entry(&self, at: Timestamp) -> Option<NewEntry<'_>> {
        let kind = match self.mode {
            Mode::Keep | Mode::Soft => HistoryKind::Deleted,
            Mode::Pruning => HistoryKind::Pruned,
            Mode::Hard => return None,
        };
        Some(NewEntry { kind, at, cause: &self.cause, task: Some(&self.task) })
    }
}

/// Hides those of `ids` who are live, whom the transaction has locked, and returns how many they were. Where
/// the deletion is to leave no trace, nothing new may come to any of them.
pub async fn hide(
    tx: &Tx,
    app: AppId,
    ids: &[&str],
    deletion: &Deletion,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut hidden = 0;
    for chunk in ids.chunks(CHUNK) {
        if let Some(entry) = deletion.entry(now) {
            let live = Condition::all().add(user::Column::DeletedAt.is_null());
            history::append_where(tx, app, chunk, live, &entry).await?;
        }
        let mut update = changed(tx, app, chunk, now);
        update
            .value(user::Column::DeletedAt, now.micros())
            .value(user::Column::DeletedBy, deletion.task.as_str())
            .and_where(user::Column::DeletedAt.is_null());
        hidden += tx.execute(&update).await?.rows_affected();
        if deletion.mode == Mode::Hard {
            let mut update = Query::update();
            update
                .table(user::Entity)
                .value(user::Column::Erasing, true)
                .and_where(user::Column::AppId.eq(app.0))
                .and_where(one_of(tx, chunk));
            tx.execute(&update).await?;
        }
    }
    Ok(hidden)
}

/// The place in the queue at which a task that has hidden all of `ids`, and has no items yet, has them to itself
/// until it ends: no other one has any of them still to come, and whoever is accepted later waits. `None` where
/// that cannot be said, or takes longer to find out than it saves.
pub async fn undisturbed_place(tx: &Tx, app: AppId, ids: &[&str]) -> Result<Option<i64>, StoreError> {
    // Where several write, others are accepted meanwhile.
    if tx.backend().locks_rows() || items::has_any_pending(tx, app, ids).await? {
        return Ok(None);
    }
    Ok(Some(apps::last_accepted_seq(tx, app).await? + 1))
}

/// For each of `ids`, deletions that are pending, but for `except`; the first one accepted is the first.
pub async fn list_later(
    db: &Db,
    app: AppId,
    kind: &str,
    ids: &[String],
    except: &Task,
) -> Result<HashMap<String, Vec<Later>>, StoreError> {
    let to_run = [TaskState::Pending, TaskState::Running].map(TaskState::as_str);
    let mut later: HashMap<String, Vec<Later>> = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let item = |column| Expr::col((task_item::Entity, column));
        let of = |column| Expr::col((task::Entity, column));
        let same = of(task::Column::AppId)
            .equals((task_item::Entity, task_item::Column::AppId))
            .and(of(task::Column::Id).equals((task_item::Entity, task_item::Column::TaskId)));
        let mut select = Query::select();
        select
            .column((task_item::Entity, task_item::Column::UserId))
            .column((task::Entity, task::Column::Id))
            .columns(
                [task::Column::Params, task::Column::CreatedById, task::Column::Reason]
                    .map(|column| (task::Entity, column)),
            )
            .from(task_item::Entity)
            .inner_join(task::Entity, same)
            .and_where(item(task_item::Column::AppId).eq(app.0))
            .and_where(item(task_item::Column::UserId).is_in(chunk.iter().map(String::as_str)))
            .and_where(by_user_and_pending())
            .and_where(of(task::Column::State).is_in(to_run))
            .and_where(of(task::Column::Kind).eq(kind))
            .and_where(of(task::Column::Id).ne(except.id.to_string()))
            .order_by((task::Entity, task::Column::AcceptedSeq), Order::Asc);
        for row in db.query_all(&select).await? {
            let one = Later::from_query_result(&row, "")?;
            later.entry(one.user_id.clone()).or_default().push(one);
        }
    }
    Ok(later)
}

/// Gives back the users of `task` that it has not come to. Those whom a later deletion waits for stay hidden,
/// by that one; `mode_of` says of the parameters of one what becomes of its users.
pub async fn release(
    tx: &Tx,
    task: &Task,
    mode_of: impl Fn(&serde_json::Value) -> Mode + Send + Sync,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut after = None;
    let released =
        Deletion { task: task.id.to_string(), mode: mode_of(&task.params), cause: Cause::default() };
    loop {
        let pending =
            items::list_items(tx, task.app, task.id, &[Outcome::Pending], after, CHUNK as u64).await?;
        let Some(last) = pending.last() else { return Ok(()) };
        after = Some(last.index);
        let ids: Vec<String> = pending.into_iter().map(|item| item.user_id).collect();
        lock_rows(tx, task.app, ids.iter().map(String::as_str)).await?;
        let later = list_later(tx, task.app, &task.kind, &ids, task).await?;

        // By what they are given back to: the next deletion, if any, and whether anything is to be erased.
        let mut groups: BTreeMap<(Option<&str>, bool), Vec<String>> = BTreeMap::new();
        for id in ids {
            let waiting = later.get(&id).map(Vec::as_slice).unwrap_or_default();
            let erasing = waiting.iter().any(|one| mode_of(&one.params) == Mode::Hard);
            groups.entry((waiting.first().map(|one| one.id.as_str()), erasing)).or_default().push(id);
        }
        for ((_, erasing), ids) in groups {
            // The same one for all of them.
            let next = ids.first().and_then(|id| later.get(id)?.first());
            let next = next.map(|one| one.deletion(mode_of(&one.params)));
            give_back(tx, task.app, &ids, &released, next.as_ref(), now).await?;
            update_erasing(tx, task.app, &ids, erasing).await?;
        }
    }
}

/// Gives back those of `ids` whom `released` hides: to `next`, which hides them from now on, or to everybody.
async fn give_back(
    tx: &Tx,
    app: AppId,
    ids: &[String],
    released: &Deletion,
    next: Option<&Deletion>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let is_hidden = || Condition::all().add(user::Column::DeletedBy.eq(released.task.as_str()));
    let undone = released.entry(now).map(|entry| NewEntry { kind: HistoryKind::Restored, ..entry });
    for entry in undone.into_iter().chain(next.and_then(|next| next.entry(now))) {
        history::append_where(tx, app, ids, is_hidden(), &entry).await?;
    }
    let mut update = changed(tx, app, ids, now);
    if next.is_none() {
        update.value(user::Column::DeletedAt, None::<i64>);
    }
    update.value(user::Column::DeletedBy, next.map(|next| next.task.clone())).cond_where(is_hidden());
    tx.execute(&update).await?;
    Ok(())
}

async fn update_erasing(tx: &Tx, app: AppId, ids: &[String], erasing: bool) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(user::Column::Erasing, erasing)
        .and_where(user::Column::AppId.eq(app.0))
        .and_where(one_of(tx, ids))
        .and_where(user::Column::Erasing.ne(erasing));
    tx.execute(&update).await?;
    Ok(())
}

/// An update of these users that callers can see.
pub(super) fn changed(tx: &Tx, app: AppId, ids: &[impl AsRef<str>], now: Timestamp) -> UpdateStatement {
    use user::Column::{AppId as App, UpdatedAt};
    // `updated_at` never goes back, whatever the clocks of replicas say.
    let updated_at = Expr::case(Expr::col(UpdatedAt).gt(now.micros()), Expr::col(UpdatedAt));
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(UpdatedAt, updated_at.finally(now.micros()))
        .and_where(App.eq(app.0))
        .and_where(one_of(tx, ids));
    raise_version(&mut update);
    update
}

fn one_of(tx: &Tx, ids: &[impl AsRef<str>]) -> Expr {
    let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    tx.backend().json().is_one_of(Expr::col(user::Column::Id), &ids)
}
