//! Erasing a user from what was said of moves: from its own history, and from the histories of others.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, LikeExpr, Query, SelectStatement, UnionType};

use super::{Scope, delete_some, replace_some, some, texts, where_is};
use crate::model::pseudonym::replace_id;
use crate::storage::{StoreError, Tx};

const TABLE: &str = "user_history";

/// Removes up to `limit` entries of the user's history, once its id has left the histories of those who share
/// a task with it.
pub(super) async fn erase(tx: &Tx, scope: &Scope, limit: u64) -> Result<u64, StoreError> {
    let mut rows = 0;
    for task in list_tasks(tx, scope).await? {
        rows += erase_words(tx, scope, &task).await?;
    }
    let which = where_is(scope.app, "user_id", &scope.user);
    Ok(rows + delete_some(tx, TABLE, which, limit).await?.total())
}

/// Tasks with the user in their items, or in its history where they are forgotten, of which the histories of
/// users may say its id.
async fn list_tasks(tx: &Tx, scope: &Scope) -> Result<Vec<String>, StoreError> {
    let of_user = |table: &'static str| -> SelectStatement {
        Query::select()
            .column("task_id")
            .from(table)
            .cond_where(where_is(scope.app, "user_id", &scope.user))
            .take()
    };
    let tasks = of_user("task_items").union(UnionType::Distinct, of_user(TABLE)).take();
    let select = Query::select()
        .distinct()
        .column("task_id")
        .from(TABLE)
        .and_where(Expr::col("app_id").eq(scope.app.0))
        .and_where(Expr::col("task_id").in_subquery(tasks))
        .and_where(Expr::col("reason").is_not_null())
        .and_where(says(scope, "reason"))
        .take();
    texts(tx, &select).await
}

/// Writes the pseudonym for the id in what was said of a task.
async fn erase_words(tx: &Tx, scope: &Scope, task: &str) -> Result<u64, StoreError> {
    let of_task = || where_is(scope.app, "task_id", task).add(Expr::col("reason").is_not_null());
    let select = Query::select()
        .distinct()
        .column("reason")
        .from(TABLE)
        .cond_where(of_task())
        .and_where(says(scope, "reason"))
        .take();
    let mut rows = 0;
    for reason in texts(tx, &select).await? {
        let Some(replaced) = replace_id(&reason, &scope.user, &scope.stand_ins.pseudonym) else { continue };
        let said = of_task().add(Expr::col("reason").eq(reason.as_str()));
        let users = Query::select().column("user_id").from(TABLE).cond_where(said.clone()).take();
        let deactivated =
            where_is(scope.app, "deactivation_reason", &reason).add(Expr::col("id").in_subquery(users));
        for (table, column, which) in [("users", "deactivation_reason", deactivated), (TABLE, "reason", said)]
        {
            let mut update = Query::update();
            update.table(table).value(column, replaced.as_str()).cond_where(which);
            rows += tx.execute(&update).await?.rows_affected();
        }
    }
    Ok(rows)
}

/// Writes the pseudonym in up to `limit` rows of `table` whose `column` names the user, and in their `words`.
pub(super) async fn erase_author(
    tx: &Tx,
    scope: &Scope,
    (table, column, words): (&'static str, &'static str, &'static str),
    limit: u64,
) -> Result<u64, StoreError> {
    let by_user = || where_is(scope.app, column, &scope.user);
    let pseudonym = scope.stand_ins.pseudonym.as_str();
    let select = Query::select()
        .distinct()
        .column(words)
        .from(table)
        .cond_where(by_user())
        .and_where(says(scope, words))
        .limit(limit)
        .take();
    let mut rows = 0;
    for said in texts(tx, &select).await? {
        let replaced = replace_id(&said, &scope.user, pseudonym).unwrap_or_else(|| said.clone());
        let which = by_user().add(Expr::col(words).eq(said));
        let mut update = Query::update();
        update
            .table(table)
            .values([(words, replaced.into()), (column, pseudonym.into())])
            .and_where(tx.backend().among(some(table, which, limit)));
        rows += tx.execute(&update).await?.rows_affected();
        if rows >= limit {
            return Ok(rows);
        }
    }
    Ok(rows + replace_some(tx, table, column, Expr::val(pseudonym), by_user(), limit).await?.total())
}

/// That the id may be in `column`, as a word or within one.
fn says(scope: &Scope, column: &'static str) -> Expr {
    let escaped = scope.user.replace('_', "\\_");
    Expr::col(column).like(LikeExpr::new(format!("%{escaped}%")).escape('\\'))
}
