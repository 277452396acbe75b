//! Writing content, whatever its kind, and finding what is stored of it.
//!
//! Works on tables and columns by name, since every kind is treated alike; reading one kind whole is the
//! matter of its capability's file.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, ValueTuple};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Value,
};

use super::backend::json::JsonDialect;
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
    /// Columns of text that items are judged by: those of [`Kind::fixed`], and what others refer to.
    judged: &'static [&'static str],
}

const fn table(kind: Kind) -> Table {
    type Columns = &'static [&'static str];
    let (name, key, judged): (_, Columns, Columns) = match kind {
        Kind::User => ("users", &["id"], &[]),
        Kind::Channel => ("channels", &["type", "id"], &["team"]),
        Kind::Call => ("calls", &["type", "id"], &[]),
        Kind::Feed => ("feeds", &["group_id", "id"], &["created_by_id"]),
        Kind::Message => ("messages", &["id"], &["parent_id", "channel_type", "channel_id", "user_id"]),
        Kind::Activity => ("activities", &["id"], &["user_id"]),
        Kind::Comment => ("comments", &["id"], &["activity_id", "user_id"]),
        Kind::ChannelMember => ("channel_members", &["channel_type", "channel_id", "user_id"], &[]),
        Kind::CallMember => ("call_members", &["call_type", "call_id", "user_id"], &[]),
        Kind::Reaction => ("reactions", &["message_id", "user_id", "type"], &[]),
        Kind::FeedReaction => ("feed_reactions", &["activity_id", "comment_id", "user_id", "type"], &[]),
        Kind::Follow => ("follows", &["source_group", "source_id", "target_group", "target_id"], &[]),
        Kind::Flag => ("flags", &["entity_type", "entity_id", "user_id"], &[]),
        Kind::Device => ("devices", &["user_id", "id"], &[]),
        Kind::FutureChannelBan => ("future_channel_bans", &["created_by_id", "target_id"], &[]),
    };
    Table { name, key, judged }
}

/// What is stored of something.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the other ones are as in the entities")]
pub struct Found {
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub import_no: Option<i64>,
    /// The columns that items are judged by.
    judged: Vec<(&'static str, Option<String>)>,
}

impl Found {
    /// Reads what [`look_for`] finds.
    fn parse(kind: Kind, found: &str) -> Option<Self> {
        type Parts = (i64, Option<i64>, Option<i64>, Vec<Option<String>>);
        let (created_at, import_no, deleted_at, texts): Parts = serde_json::from_str(found).ok()?;
        Some(Self {
            created_at: Timestamp::from_micros(created_at),
            deleted_at: deleted_at.map(Timestamp::from_micros),
            import_no,
            judged: table(kind).judged.iter().copied().zip(texts).collect(),
        })
    }

    /// The text of one of the columns that items are judged by, where it has one.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.judged.iter().find(|(name, _)| *name == column)?.1.as_deref()
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
        for row in tx.query_all(&look_for(app, kind, chunk, tx.backend().json())).await? {
            let at = usize::try_from(row.try_get_by_index::<i32>(0)?).unwrap_or(usize::MAX);
            let stored: Option<String> = row.try_get_by_index(1)?;
            if let (Some(key), Some(stored)) = (chunk.get(at), stored) {
                let stored =
                    Found::parse(kind, &stored).ok_or_else(|| StoreError::corrupt(table(kind).name))?;
                found.insert((*key).clone(), stored);
            }
        }
    }
    Ok(found)
}

/// For each of `keys`, its place and what [`Found::parse`] reads, or null: an array of times, numbers and an
/// array of the columns that items are judged by.
///
/// A subquery for each key: as a join, PostgreSQL would rather read a whole app than look into the index a
/// thousand times, and a list of tuples is not looked for by index everywhere.
fn look_for(app: AppId, kind: Kind, keys: &[&Key], json: &dyn JsonDialect) -> SelectStatement {
    let Table { name, key, judged } = table(kind);
    let deleted_at = if kind.is_deletable() { "deleted_at" } else { "CAST(NULL AS bigint)" };
    let found = json.array(&["created_at", "import_no", deleted_at, &json.array(judged)]);
    let mut stored = Query::select();
    stored
        .expr(Expr::cust(format!("CAST({found} AS text)")))
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
    // Whatever another transaction has stored meanwhile, an import moves nothing.
    let is_fixed = |column: &str| kind.fixed().iter().any(|fixed| fixed.column == column);
    let replaced = columns
        .iter()
        .copied()
        .filter(|column| *column != "app_id" && !key.contains(column) && !is_fixed(column));
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
