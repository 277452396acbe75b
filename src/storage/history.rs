//! Histories of users: a row for each move, written in the transaction of the move.
//!
//! A user's rows are numbered in the order of its moves, for a transaction that appends holds the lock of the
//! user's row. So no foreign key is needed: `users` is what rows are made from, and the user goes last.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Order, Query};

use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::history::{Cause, Entry, HistoryKind};
use crate::model::id::AppId;

const TABLE: &str = "user_history";

/// What is to be appended, the same for all users of a statement.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in model::history::Entry")]
pub struct NewEntry<'a> {
    pub kind: HistoryKind,
    pub at: Timestamp,
    pub cause: &'a Cause,
    pub task: Option<&'a str>,
}

/// Appends an entry to the history of each of `ids`, whose rows the transaction has locked.
pub async fn append(
    tx: &Tx,
    app: AppId,
    ids: &[impl AsRef<str>],
    entry: &NewEntry<'_>,
) -> Result<(), StoreError> {
    append_where(tx, app, ids, Condition::all(), entry).await
}

/// The same for those of `ids` whose rows in `users` are as `which` says.
pub async fn append_where(
    tx: &Tx,
    app: AppId,
    ids: &[impl AsRef<str>],
    which: Condition,
    entry: &NewEntry<'_>,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    let next = Query::select()
        .expr(Expr::cust("COALESCE(MAX(no), 0) + 1"))
        .from(TABLE)
        .and_where(Expr::col((TABLE, "app_id")).equals(("users", "app_id")))
        .and_where(Expr::col((TABLE, "user_id")).equals(("users", "id")))
        .take();
    let rows = Query::select()
        .column(("users", "app_id"))
        .column(("users", "id"))
        .expr(Expr::SubQuery(None, Box::new(next.into())))
        .expr(Expr::val(entry.kind.code()))
        .expr(Expr::val(entry.at.micros()))
        .expr(Expr::val(entry.cause.by_id.as_deref()))
        .expr(Expr::val(entry.cause.reason.as_deref()))
        .expr(Expr::val(entry.task))
        .from("users")
        .and_where(Expr::col(("users", "app_id")).eq(app.0))
        .and_where(tx.backend().json().is_one_of(Expr::col(("users", "id")), &ids))
        .cond_where(which)
        .take();
    let mut insert = Query::insert();
    insert
        .into_table(TABLE)
        .columns(["app_id", "user_id", "no", "kind", "created_at", "by_id", "reason", "task_id"])
        .select_from(rows)
        .map_err(|err| StoreError::Internal(err.to_string()))?;
    tx.execute(&insert).await?;
    Ok(())
}

/// The last `limit` entries of a user, the newest first; with `before`, of those with a smaller number.
pub async fn list(
    db: &Db,
    app: AppId,
    user: &str,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Entry>, StoreError> {
    let select = Query::select()
        .columns(["no", "kind", "created_at", "by_id", "reason", "task_id"])
        .from(TABLE)
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("user_id").eq(user))
        .and_where_option(before.map(|before| Expr::col("no").lt(before)))
        .order_by("no", Order::Desc)
        .limit(limit)
        .take();
    let rows = db.query_all(&select).await?;
    let entries = rows.iter().map(|row| {
        let cause = Cause { by_id: row.try_get_by_index(3)?, reason: row.try_get_by_index(4)? };
        Ok(Entry {
            no: row.try_get_by_index(0)?,
            kind: HistoryKind::from_code(row.try_get_by_index(1)?),
            at: Timestamp::from_micros(row.try_get_by_index(2)?),
            cause,
            task: row.try_get_by_index(5)?,
        })
    });
    entries.collect()
}

/// Removes up to `limit` entries of `app` that are older, and returns how many.
pub async fn delete_older(tx: &Tx, app: AppId, than: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let old = Query::select()
        .from(TABLE)
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("created_at").lt(than.micros()))
        .limit(limit)
        .take();
    let mut delete = Query::delete();
    delete.from_table(TABLE).and_where(tx.backend().among(old));
    Ok(tx.execute(&delete).await?.rows_affected())
}
