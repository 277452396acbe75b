//! Users themselves: deleted further, blanked, removed, brought back.

use std::collections::{BTreeSet, HashSet};

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _};

use super::hide::changed;
use super::{Next, Scope, Stride, delete_some, texts, traces, where_is};
use crate::model::clock::Timestamp;
use crate::model::deletion::{Made, Reacted, Shared, Stage};
use crate::model::id::AppId;
use crate::storage::entity::user;
use crate::storage::upsert::{Stored, lock_users, upsert_users};
use crate::storage::{Db, StoreError, Tx, erased};

/// Where the user's own rows are that pruning removes.
const BELONGINGS: [&str; 3] = ["devices", "user_blocks", "sessions"];

/// Where a stage of content finds what it has to do for a user: tables, by the column that names it. Targets
/// are found by [`super::list_targeted`].
const fn found_in(stage: Stage) -> Option<(&'static str, &'static str)> {
    match stage {
        Stage::Files(made)
        | Stage::Mark(made)
        | Stage::Prune(made)
        | Stage::Erase(made)
        | Stage::Unmark(made) => Some(match made {
            Made::Messages => ("messages", "user_id"),
            Made::Activities => ("activities", "user_id"),
            Made::Comments => ("comments", "user_id"),
            Made::Feeds => ("feeds", "created_by_id"),
        }),
        Stage::Reactions(Reacted::ToMessages) => Some(("reactions", "user_id")),
        Stage::Reactions(Reacted::ToActivities) => Some(("feed_reactions", "user_id")),
        Stage::MarkOwned => Some(("channels", "created_by_id")),
        Stage::UnmarkShared(Shared::Channels) => Some(("channel_marks", "user_id")),
        Stage::UnmarkShared(Shared::Calls) => Some(("call_marks", "user_id")),
        Stage::MarkTargets(_)
        | Stage::EraseTargets(_)
        | Stage::PruneUser
        | Stage::Traces
        | Stage::Waiting
        | Stage::Remove => None,
    }
}

/// Those of `ids` for whom any of these `stages`, which are of content, has something to do, but for targets.
pub async fn list_makers(
    db: &Db,
    app: AppId,
    ids: &[String],
    stages: &[Stage],
) -> Result<HashSet<String>, StoreError> {
    let tables: BTreeSet<_> = stages.iter().filter_map(|stage| found_in(*stage)).collect();
    if tables.is_empty() {
        return Ok(HashSet::new());
    }
    let of = |(table, column): (&'static str, &'static str)| {
        let made = Query::select()
            .expr(Expr::cust("1"))
            .from(table)
            .and_where(Expr::col((table, "app_id")).equals(("users", "app_id")))
            .and_where(Expr::col((table, column)).equals(("users", "id")))
            .take();
        // Not a row of a subquery with LIMIT: PostgreSQL would read tables, sure to find one soon.
        Expr::exists(made)
    };
    let any = tables.into_iter().map(of).fold(Condition::any(), Condition::add);
    let select = Query::select()
        .column(("users", "id"))
        .from("users")
        .and_where(Expr::col(("users", "app_id")).eq(app.0))
        .and_where(db.backend().json().is_one_of(Expr::col(("users", "id")), &texts_of(ids)))
        .cond_where(any)
        .take();
    Ok(texts(db, &select).await?.into_iter().collect())
}

fn texts_of(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

/// Takes over users, whom the transaction has locked, whom another deletion left with something.
pub async fn delete_deeper(
    tx: &Tx,
    app: AppId,
    ids: &[String],
    task: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut update = changed(tx, app, ids, now);
    let deleted_at = Expr::case(user::Column::DeletedAt.is_null(), now.micros())
        .finally(Expr::col(user::Column::DeletedAt));
    update.value(user::Column::DeletedAt, deleted_at).value(user::Column::DeletedBy, task);
    Ok(tx.execute(&update).await?.rows_affected())
}

/// Brings back a user, whom the transaction has locked; where a later deletion waits for it, to stay hidden
/// by that one.
pub async fn restore(
    tx: &Tx,
    app: AppId,
    ids: &[String],
    hidden_by: Option<&str>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut update = changed(tx, app, ids, now);
    if hidden_by.is_none() {
        update.value(user::Column::DeletedAt, None::<i64>);
    }
    update.value(user::Column::DeletedBy, hidden_by.map(str::to_owned));
    Ok(tx.execute(&update).await?.rows_affected())
}

/// Blanks the user, and removes what belongs to it alone.
pub(super) async fn prune(tx: &Tx, scope: &Scope, limit: u64) -> Result<Stride, StoreError> {
    let mut rows = 0;
    for table in BELONGINGS {
        rows += delete_some(tx, table, where_is(scope.app, "user_id", &scope.user), limit).await?;
        if rows >= limit {
            return Ok(Stride { rows, looked: 0, next: Next::After(String::new()) });
        }
    }
    let Some(Stored { user, marks }) =
        lock_users(tx, scope.app, [scope.user.as_str()]).await?.remove(&scope.user)
    else {
        return Ok(Stride::over(rows));
    };
    let pruned = Stored { user: user.pruned(scope.now), marks };
    upsert_users(tx, scope.app, &[pruned]).await?;
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(user::Column::Pruned, true)
        .and_where(user::Column::AppId.eq(scope.app.0))
        .and_where(user::Column::Id.eq(scope.user.as_str()));
    tx.execute(&update).await?;
    Ok(Stride::over(rows + 1))
}

/// Removes the user, once nothing names it any more, and enters it in the ledger.
pub(super) async fn remove(tx: &Tx, scope: &Scope) -> Result<Stride, StoreError> {
    // Whoever is about to store something that names it is done now, and nobody else begins.
    let locked = lock_users(tx, scope.app, [scope.user.as_str()]).await?;
    if traces::is_named(tx, scope).await? {
        return Ok(Stride { rows: 0, looked: 0, next: Next::Anew });
    }
    let Some(stored) = locked.get(&scope.user) else { return Ok(Stride::over(0)) };
    erased::enter(tx, scope.app, &scope.stand_ins.ledger, stored.marks.auth_epoch, scope.now).await?;
    let rows = delete_some(tx, "users", where_is(scope.app, "id", &scope.user), 1).await?;
    Ok(Stride::over(rows))
}
