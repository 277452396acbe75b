//! Writing content, whatever its kind, and finding what is stored of it.
//!
//! Works on tables and columns by name, since every kind is treated alike; reading one kind whole is the
//! matter of its capability's file.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, ValueTuple};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Value,
};

use super::entity::{named_user, user};
use super::{StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::content::{Cell, Key, Kind, Row};
use crate::model::id::AppId;

/// Keys looked for in one statement.
const CHUNK: usize = 1_000;
/// Values bound in one statement: SQLite takes 32,766.
const MAX_VALUES: usize = 30_000;

/// Where a kind is stored.
struct Table {
    name: &'static str,
    /// Columns of the key, after `app_id`.
    key: &'static [&'static str],
    /// A column that other items are judged by.
    tells: Option<&'static str>,
}

const fn table(kind: Kind) -> Table {
    let (name, key, tells): (_, &'static [&'static str], _) = match kind {
        Kind::User => ("users", &["id"], None),
        Kind::Channel => ("channels", &["type", "id"], Some("team")),
        Kind::Call => ("calls", &["type", "id"], None),
        Kind::Feed => ("feeds", &["group_id", "id"], None),
        Kind::Message => ("messages", &["id"], Some("parent_id")),
        Kind::Activity => ("activities", &["id"], None),
        Kind::Comment => ("comments", &["id"], Some("activity_id")),
        Kind::ChannelMember => ("channel_members", &["channel_type", "channel_id", "user_id"], None),
        Kind::CallMember => ("call_members", &["call_type", "call_id", "user_id"], None),
        Kind::Reaction => ("reactions", &["message_id", "user_id", "type"], None),
        Kind::FeedReaction => ("feed_reactions", &["activity_id", "comment_id", "user_id", "type"], None),
        Kind::Follow => ("follows", &["source_group", "source_id", "target_group", "target_id"], None),
        Kind::Flag => ("flags", &["entity_type", "entity_id", "user_id"], None),
        Kind::Device => ("devices", &["user_id", "id"], None),
        Kind::FutureChannelBan => ("future_channel_bans", &["created_by_id", "target_id"], None),
    };
    Table { name, key, tells }
}

/// The column of a kind's table that other items are judged by, if any.
pub const fn tells(kind: Kind) -> Option<&'static str> {
    table(kind).tells
}

/// What is stored of something.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the other ones are as in the entities")]
pub struct Found {
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub import_no: Option<i64>,
    /// What [`tells`] names.
    pub tells: Option<String>,
}

impl Found {
    /// Reads it from its four parts, separated by spaces; the last one begins with `=` unless it is null.
    fn parse(told: &str) -> Option<Self> {
        let mut parts = told.splitn(4, ' ');
        let created_at = Timestamp::from_micros(parts.next()?.parse().ok()?);
        let mut number = || match parts.next()? {
            "" => Some(None),
            number => number.parse::<i64>().ok().map(Some),
        };
        let (import_no, deleted_at) = (number()?, number()?.map(Timestamp::from_micros));
        let tells = parts.next()?.strip_prefix('=').map(str::to_owned);
        Some(Self { created_at, deleted_at, import_no, tells })
    }
}

/// A row as it is to be stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the entities")]
pub struct Write<'a> {
    pub row: &'a Row,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub import_no: i64,
    /// It replaces what is stored.
    pub replaces: bool,
}

/// What is stored under `keys`, which are all of one `kind`.
pub async fn find_stored(
    tx: &Tx,
    app: AppId,
    kind: Kind,
    keys: &[&Key],
) -> Result<HashMap<Key, Found>, StoreError> {
    let mut found = HashMap::new();
    for chunk in keys.chunks(CHUNK) {
        for row in tx.query_all(&look_for(app, kind, chunk)).await? {
            let at = usize::try_from(row.try_get_by_index::<i32>(0)?).unwrap_or(usize::MAX);
            let told: Option<String> = row.try_get_by_index(1)?;
            if let (Some(key), Some(told)) = (chunk.get(at), told) {
                let stored = Found::parse(&told).ok_or_else(|| StoreError::corrupt(table(kind).name))?;
                found.insert((*key).clone(), stored);
            }
        }
    }
    Ok(found)
}

/// For each of `keys`, its place and what [`Found::parse`] reads, or null.
///
/// A subquery for each key: as a join, PostgreSQL would rather read a whole app than look into the index a
/// thousand times, and a list of tuples is not looked for by index everywhere.
fn look_for(app: AppId, kind: Kind, keys: &[&Key]) -> SelectStatement {
    let Table { name, key, tells } = table(kind);
    let deleted_at = if kind.is_deletable() { "COALESCE(CAST(deleted_at AS text), '')" } else { "''" };
    let tells = tells.map_or_else(|| "''".to_owned(), |column| format!("COALESCE('=' || {column}, '')"));
    let mut stored = Query::select();
    stored
        .expr(Expr::cust(format!(
            "CAST(created_at AS text) || ' ' || COALESCE(CAST(import_no AS text), '') || ' ' \
             || {deleted_at} || ' ' || {tells}"
        )))
        .from(name)
        .and_where(Expr::col((name, "app_id")).eq(app.0));
    for (column, given) in key.iter().zip(["column2", "column3", "column4", "column5"]) {
        stored.and_where(Expr::col((name, *column)).equals(("wanted", given)));
    }
    let values = keys.iter().enumerate().map(|(at, key)| {
        let number = Value::from(i32::try_from(at).unwrap_or(i32::MAX));
        let parts = key.parts.iter().map(|part| Value::from(part.as_str()));
        ValueTuple::Many(std::iter::once(number).chain(parts).collect())
    });
    let mut select = Query::select();
    select.column(("wanted", "column1")).expr(Expr::from(stored)).from_values(values, "wanted");
    select
}

/// A user that content refers to.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The teams it is in.
    pub teams: Vec<String>,
    /// See the column.
    pub erasing: bool,
}

/// Those of `ids` that exist, in whatever state. None of them can be removed before the end of the
/// transaction.
pub async fn share_users(tx: &Tx, app: AppId, ids: &[&str]) -> Result<HashMap<String, Shared>, StoreError> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut select = user::any(app)
            .select_only()
            .columns([user::Column::Id, user::Column::Teams, user::Column::Erasing])
            .filter(user::Column::Id.is_in(chunk.iter().copied()))
            .order_by_asc(user::Column::Id);
        tx.backend().lock_shared(QueryTrait::query(&mut select));
        for (id, teams, erasing) in
            select.into_tuple::<(String, serde_json::Value, bool)>().all(&**tx).await?
        {
            let teams = serde_json::from_value(teams).map_err(|_| StoreError::corrupt("users.teams"))?;
            found.insert(id, Shared { teams, erasing });
        }
    }
    Ok(found)
}

/// Stores rows of one kind, in the order of their keys so that two batches never wait for each other.
pub async fn upsert_rows(
    tx: &Tx,
    app: AppId,
    kind: Kind,
    writes: &mut [Write<'_>],
) -> Result<(), StoreError> {
    writes.sort_by(|a, b| a.row.key.cmp(&b.row.key));
    let Some(first) = writes.first() else { return Ok(()) };
    let Table { name, key, .. } = table(kind);
    let mut columns = vec!["app_id"];
    columns.extend(key);
    columns.extend(first.row.columns.iter().map(|(column, _)| *column));
    columns.extend(["created_at", "import_no"]);
    columns.extend(kind.is_deletable().then_some("deleted_at"));
    let replaced = columns.iter().copied().filter(|column| *column != "app_id" && !key.contains(column));
    let on_conflict = OnConflict::columns(std::iter::once("app_id").chain(key.iter().copied()))
        .update_columns(replaced)
        .to_owned();

    for chunk in writes.chunks(MAX_VALUES / columns.len()) {
        let mut insert = Query::insert();
        insert.into_table(name).columns(columns.iter().copied()).on_conflict(on_conflict.clone());
        for write in chunk {
            let fits = insert.values(values(app, kind, write).into_iter().map(Expr::val)).is_ok();
            if !fits {
                return Err(StoreError::Internal(format!("rows of {name} differ in their columns")));
            }
        }
        tx.execute(&insert).await?;
    }
    replace_lists(tx, app, writes).await
}

fn values(app: AppId, kind: Kind, write: &Write<'_>) -> Vec<Value> {
    let Write { row, created_at, deleted_at, import_no, .. } = write;
    let mut values = vec![Value::from(app.0)];
    values.extend(row.key.parts.iter().map(|part| Value::from(part.as_str())));
    values.extend(row.columns.iter().map(|(_, cell)| value(cell)));
    values.extend([Value::from(created_at.micros()), Value::from(*import_no)]);
    values.extend(kind.is_deletable().then(|| Value::from(deleted_at.map(Timestamp::micros))));
    values
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Text(text) => Value::from(text.clone()),
        Cell::Flag(flag) => Value::from(*flag),
        Cell::Time(at) => Value::from(at.map(Timestamp::micros)),
        Cell::Json(json) => Value::from(json.clone()),
    }
}

/// Stores the lists of users that rows name, and the feeds they stand in, in place of what was there.
async fn replace_lists(tx: &Tx, app: AppId, writes: &[Write<'_>]) -> Result<(), StoreError> {
    let Some(kind) = writes.first().map(|write| write.row.key.kind) else { return Ok(()) };
    let replaced: Vec<String> =
        writes.iter().filter(|write| write.replaces).map(|write| owner_id(&write.row.key)).collect();
    for owners in replaced.chunks(CHUNK) {
        named_user::Entity::delete_many()
            .filter(named_user::Column::AppId.eq(app.0))
            .filter(named_user::Column::OwnerKind.eq(kind.as_str()))
            .filter(named_user::Column::OwnerId.is_in(owners))
            .exec(&**tx)
            .await?;
        if kind == Kind::Activity {
            let mut delete = Query::delete();
            delete
                .from_table("activity_feeds")
                .and_where(Expr::col("app_id").eq(app.0))
                .and_where(Expr::col("activity_id").is_in(owners));
            tx.execute(&delete).await?;
        }
    }

    let mut named = Vec::new();
    let mut feeds = Vec::new();
    for Write { row, .. } in writes {
        let owner = owner_id(&row.key);
        named.extend(row.named.iter().zip(0..).map(|((naming, user_id), position)| named_user::Model {
            app_id: app.0,
            owner_kind: kind.as_str().to_owned(),
            owner_id: owner.clone(),
            naming: naming.as_str().to_owned(),
            user_id: user_id.clone(),
            position,
        }));
        let placed = row.feeds.iter().zip(0_i32..);
        feeds.extend(placed.map(|((group, id), position)| (owner.clone(), group, id, position)));
    }
    for chunk in named.chunks(CHUNK) {
        let rows = chunk.iter().cloned().map(named_user::ActiveModel::from);
        named_user::Entity::insert_many(rows).exec_without_returning(&**tx).await?;
    }
    for chunk in feeds.chunks(CHUNK) {
        let mut insert = Query::insert();
        insert.into_table("activity_feeds").columns([
            "app_id",
            "activity_id",
            "group_id",
            "feed_id",
            "position",
        ]);
        for (activity, group, id, position) in chunk {
            let values: [Value; 5] = [
                app.0.into(),
                activity.as_str().into(),
                group.as_str().into(),
                id.as_str().into(),
                (*position).into(),
            ];
            insert.values(values.map(Expr::val)).map_err(|err| StoreError::Internal(err.to_string()))?;
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

/// What `named_users` calls the owner of a list.
fn owner_id(key: &Key) -> String {
    key.parts.join(":")
}
