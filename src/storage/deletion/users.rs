//! Users themselves: deleted further, blanked, removed, brought back.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _};

use super::hide::{Deletion, changed};
use super::{Next, Rows, Scope, Stride, delete_some, traces, where_is};
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::storage::entity::user;
use crate::storage::history::{self, NewEntry};
use crate::storage::upsert::{Stored, lock_users, upsert_users};
use crate::storage::{StoreError, Tx, erased};

/// Where the user's own rows are that pruning removes.
const BELONGINGS: [&str; 3] = ["devices", "user_blocks", "sessions"];

/// Takes over users whom another deletion left with something. The change locks them, before the history is read.
pub async fn delete_deeper(
    tx: &Tx,
    app: AppId,
    ids: &[String],
    deletion: &Deletion,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut update = changed(tx, app, ids, now);
    let deleted_at = Expr::case(user::Column::DeletedAt.is_null(), now.micros())
        .finally(Expr::col(user::Column::DeletedAt));
    update.value(user::Column::DeletedAt, deleted_at).value(user::Column::DeletedBy, deletion.task.as_str());
    let rows = tx.execute(&update).await?.rows_affected();
    if let Some(entry) = deletion.entry(now) {
        history::append(tx, app, ids, &entry).await?;
    }
    Ok(rows)
}

/// Brings back users, whom the transaction has locked, for what `entry` says; where a later deletion waits for
/// them, to stay hidden by that one.
pub async fn restore(
    tx: &Tx,
    app: AppId,
    ids: &[String],
    entry: &NewEntry<'_>,
    hidden_by: Option<&Deletion>,
) -> Result<u64, StoreError> {
    history::append(tx, app, ids, entry).await?;
    if let Some(hidden) = hidden_by.and_then(|deletion| deletion.entry(entry.at)) {
        history::append(tx, app, ids, &hidden).await?;
    }
    let mut update = changed(tx, app, ids, entry.at);
    if hidden_by.is_none() {
        update.value(user::Column::DeletedAt, None::<i64>);
    }
    update.value(user::Column::DeletedBy, hidden_by.map(|deletion| deletion.task.clone()));
    Ok(tx.execute(&update).await?.rows_affected())
}

/// Blanks the user, and removes what belongs to it alone.
pub(super) async fn prune(tx: &Tx, scope: &Scope, limit: u64) -> Result<Stride, StoreError> {
    let mut rows = Rows::default();
    for table in BELONGINGS {
        rows += delete_some(tx, table, where_is(scope.app, "user_id", &scope.user), limit).await?;
        if rows.total() >= limit {
            return Ok(Stride { rows, looked: 0, next: Next::After(String::new()) });
        }
    }
    let Some(Stored { user, marks }) =
        lock_users(tx, scope.app, [scope.user.as_str()]).await?.remove(&scope.user)
    else {
        return Ok(Stride::over(rows));
    };
    let pruned = Stored { user: user.pruned(scope.now).into(), marks };
    upsert_users(tx, scope.app, &[pruned]).await?;
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(user::Column::Pruned, true)
        .and_where(user::Column::AppId.eq(scope.app.0))
        .and_where(user::Column::Id.eq(scope.user.as_str()));
    tx.execute(&update).await?;
    rows += Rows::of("users", 1);
    Ok(Stride::over(rows))
}

/// Removes the user, once nothing names it any more, and enters it in the ledger.
pub(super) async fn remove(tx: &Tx, scope: &Scope) -> Result<Stride, StoreError> {
    // Whoever is about to store something that names it is done now, and nobody else begins.
    let locked = lock_users(tx, scope.app, [scope.user.as_str()]).await?;
    if traces::is_named(tx, scope).await? {
        return Ok(Stride { rows: Rows::default(), looked: 0, next: Next::Anew });
    }
    let Some(stored) = locked.get(&scope.user) else { return Ok(Stride::nothing()) };
    erased::enter(tx, scope.app, &scope.stand_ins.ledger, stored.marks.auth_epoch, scope.now).await?;
    let rows = delete_some(tx, "users", where_is(scope.app, "id", &scope.user), 1).await?;
    Ok(Stride::over(rows))
}
