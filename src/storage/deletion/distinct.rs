//! Distinct channels whose members are no longer those that their ids are made of. They end as such: what is
//! in them stays under a random id, and nobody finds it by naming the members.
//!
//! Keys refer to a channel by its id, so that it cannot just be changed: a copy under the new id takes over,
//! messages first, in as many batches as it takes, everything else in the last one. Until then the channel is
//! the old one, and `distinct_ends` says which id it gets, and which task ends it: that task goes on there.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement};
use uuid::Uuid;

use super::{Next, Rows, Scope, Stride, delete_some, replace_some, texts, where_is};
use crate::model::call::Cid;
use crate::model::content::{ENDED, Kind};
use crate::model::id::AppId;
use crate::storage::columns::{TABLES, Table};
use crate::storage::{Db, StoreError, Tx};

/// Channels looked for at a time.
const AT_ONCE: u64 = 100;

/// A distinct channel that is to be judged, or is about to end.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Of which app.
    pub app: AppId,
    /// Which channel.
    pub cid: Cid,
    /// It was decided that it ends.
    pub is_decided: bool,
}

/// Ends distinct channels of the user; begins at the beginning each time, since they are then distinct no more.
pub(super) async fn end(tx: &Tx, scope: &Scope, limit: u64) -> Result<Stride, StoreError> {
    let member = |column| Expr::col(("channel_members", column));
    let channel = |column| Expr::col(("channels", column));
    let select = Query::select()
        .columns([("channels", "type"), ("channels", "id")])
        .from("channel_members")
        .inner_join(
            "channels",
            Condition::all()
                .add(channel("app_id").equals(("channel_members", "app_id")))
                .add(channel("type").equals(("channel_members", "channel_type")))
                .add(channel("id").equals(("channel_members", "channel_id"))),
        )
        .and_where(member("app_id").eq(scope.app.0))
        .and_where(member("user_id").eq(scope.user.as_str()))
        .and_where(channel("is_distinct").eq(true))
        .limit(AT_ONCE)
        .take();
    let found = tx.query_all(&select).await?;
    let mut rows = 0;
    for row in &found {
        let cid = Cid { kind: row.try_get_by_index(0)?, id: row.try_get_by_index(1)? };
        rows += end_one(tx, scope.app, &cid, Some(&scope.task), limit).await?;
        if rows >= limit {
            return Ok(Stride { rows: Rows::uncounted(rows), looked: 0, next: Next::After(String::new()) });
        }
    }
    let next = if (found.len() as u64) < AT_ONCE { Next::Over } else { Next::After(String::new()) };
    Ok(Stride { rows: Rows::uncounted(rows), looked: 0, next })
}

/// Some of the channels that are to be judged or to end, of all apps, but for those that a task ends.
pub async fn list_endings(db: &Db, limit: u64) -> Result<Vec<Ending>, StoreError> {
    let select = Query::select()
        .columns(["app_id", "type", "id", "becomes"])
        .from("distinct_ends")
        .and_where(Expr::col("ended_by").is_null())
        .limit(limit)
        .take();
    let ending = |row: &sea_orm::QueryResult| {
        Ok(Ending {
            app: AppId(row.try_get_by_index(0)?),
            cid: Cid { kind: row.try_get_by_index(1)?, id: row.try_get_by_index(2)? },
            is_decided: row.try_get_by_index::<Option<String>>(3)?.is_some(),
        })
    };
    db.query_all(&select).await?.iter().map(ending).collect()
}

/// All members of a channel.
pub async fn list_all_members(db: &Db, app: AppId, cid: &Cid) -> Result<Vec<String>, StoreError> {
    let select =
        Query::select().column("user_id").from("channel_members").cond_where(inside(app, cid)).take();
    texts(db, &select).await
}

/// The channel was judged and stays as it is.
pub async fn keep(tx: &Tx, app: AppId, cid: &Cid) -> Result<(), StoreError> {
    delete_some(tx, "distinct_ends", itself(app, cid), 1).await?;
    Ok(())
}

/// As `end_one`, for a channel that deletions accepted before may be about to reach, as one of two members.
pub async fn end_reached(tx: &Tx, app: AppId, cid: &Cid, limit: u64) -> Result<u64, StoreError> {
    if lock(tx, app, cid).await? {
        let successor = successor(tx, app, cid, None).await?;
        let mut targets = Query::update();
        targets
            .table("deletion_targets")
            .value("id", successor)
            .cond_where(itself(app, cid))
            .and_where(Expr::col("kind").eq(Kind::Channel.as_str()));
        tx.execute(&targets).await?;
    }
    end_one(tx, app, cid, None, limit).await
}

/// Moves up to `limit` messages of the channel to where it goes on, and with the last ones everything else.
/// Fewer rows than `limit`: it has ended.
async fn end_one(tx: &Tx, app: AppId, cid: &Cid, task: Option<&str>, limit: u64) -> Result<u64, StoreError> {
    if !lock(tx, app, cid).await? {
        keep(tx, app, cid).await?;
        return Ok(0);
    }
    let successor = Cid { kind: cid.kind.clone(), id: successor(tx, app, cid, task).await? };
    let to = || Expr::val(successor.id.as_str());
    let rows = replace_some(tx, "messages", "channel_id", to(), inside(app, cid), limit).await?.total();
    if rows >= limit {
        return Ok(rows);
    }
    take_over(tx, app, cid, &successor).await?;
    for table in ["channel_members", "channel_marks"] {
        let mut update = Query::update();
        update.table(table).value("channel_id", to()).cond_where(inside(app, cid));
        tx.execute(&update).await?;
    }
    let mut lists = Query::update();
    lists
        .table("named_users")
        .value("owner_id", successor.to_string())
        .cond_where(where_is(app, "owner_kind", Kind::Channel.as_str()))
        .and_where(Expr::col("owner_id").eq(cid.to_string()));
    tx.execute(&lists).await?;
    delete_some(tx, "channels", itself(app, cid), 1).await?;
    keep(tx, app, cid).await?;
    Ok(rows)
}

/// Waits until nobody else is about to store something in the channel, and lets nobody begin. False where there
/// is no such channel.
async fn lock(tx: &Tx, app: AppId, cid: &Cid) -> Result<bool, StoreError> {
    let mut select = Query::select();
    select.column("id").from("channels").cond_where(itself(app, cid));
    tx.backend().lock(&mut select);
    Ok(!texts(tx, &select).await?.is_empty())
}

/// The id that the channel goes on under, which is decided on here where it was not yet.
async fn successor(tx: &Tx, app: AppId, cid: &Cid, task: Option<&str>) -> Result<String, StoreError> {
    let decided = Query::select()
        .column("becomes")
        .from("distinct_ends")
        .cond_where(itself(app, cid))
        .and_where(Expr::col("becomes").is_not_null())
        .take();
    if let Some(id) = texts(tx, &decided).await?.pop() {
        return Ok(id);
    }
    let id = format!("{ENDED}{}", Uuid::new_v4());
    keep(tx, app, cid).await?;
    let mut insert = Query::insert();
    insert.into_table("distinct_ends").columns(["app_id", "type", "id", "becomes", "ended_by"]).values_panic(
        [
            app.0.into(),
            cid.kind.as_str().into(),
            cid.id.as_str().into(),
            id.as_str().into(),
            task.map(str::to_owned).into(),
        ],
    );
    tx.execute(&insert).await?;
    // Nobody's yet, so that it is not taken for another channel.
    let columns: Vec<&str> = columns().collect();
    let values = columns.iter().map(|column| match *column {
        "id" => Expr::val(id.as_str()),
        "is_distinct" => Expr::val(false),
        "created_by_id" => Expr::val(""),
        column => Expr::col(column),
    });
    let copy = Query::select().exprs(values).from("channels").cond_where(itself(app, cid)).take();
    let mut insert = Query::insert();
    insert
        .into_table("channels")
        .columns(columns.iter().copied())
        .select_from(copy)
        .map_err(|err| StoreError::Internal(err.to_string()))?;
    tx.execute(&insert).await?;
    Ok(id)
}

/// Makes the successor what the channel is now.
async fn take_over(tx: &Tx, app: AppId, cid: &Cid, successor: &Cid) -> Result<(), StoreError> {
    let of_channel = |column| -> SelectStatement {
        Query::select()
            .column(("old", column))
            .from_as("channels", "old")
            .cond_where(itself_as("old", app, cid))
            .take()
    };
    let mut update = Query::update();
    update.table("channels").cond_where(itself(app, successor));
    for column in columns().filter(|column| !["app_id", "type", "id", "is_distinct"].contains(column)) {
        update.value(column, Expr::from(of_channel(column)));
    }
    tx.execute(&update).await?;
    Ok(())
}

fn columns() -> impl Iterator<Item = &'static str> {
    TABLES.iter().filter(|table| table.name == "channels").flat_map(Table::columns)
}

/// The row of the channel, in `channels` and in `distinct_ends`.
fn itself(app: AppId, cid: &Cid) -> Condition {
    where_is(app, "type", &cid.kind).add(Expr::col("id").eq(cid.id.as_str()))
}

fn itself_as(table: &'static str, app: AppId, cid: &Cid) -> Condition {
    Condition::all()
        .add(Expr::col((table, "app_id")).eq(app.0))
        .add(Expr::col((table, "type")).eq(cid.kind.as_str()))
        .add(Expr::col((table, "id")).eq(cid.id.as_str()))
}

/// What is in the channel.
fn inside(app: AppId, cid: &Cid) -> Condition {
    where_is(app, "channel_type", &cid.kind).add(Expr::col("channel_id").eq(cid.id.as_str()))
}
