//! Writing whole users.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::sea_query::{Alias, Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait as _, EntityTrait, IdenStatic, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
};

use super::entity::{user, user_block};
use super::row::{UserMarks, UserRow};
use super::terms::write::{change_terms, mark, write_terms};
use super::terms::{terms_of, terms_of_both};
use super::{Db, StoreError, Tx, narrow};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::revocation::{Revocation, RevocationMarks};
use crate::model::user::User;

/// Rows per statement: 28 columns each, below the 32,766 parameters SQLite takes.
const CHUNK: usize = 1_000;

/// A stored user and what its row holds beside it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The user; shared with [`UserMarks::indexed`] until one of them changes.
    pub user: Arc<User>,
    /// Beside it.
    pub marks: UserMarks,
}

impl Stored {
    /// Revokes its tokens, or clears what was revoked. Where its epoch rises, it does by `step`.
    pub fn revoke(&mut self, revocation: Revocation, step: i64, now: Timestamp) {
        let marks = RevocationMarks {
            epoch: self.marks.auth_epoch,
            revoked_epoch: self.marks.revoked_epoch,
            revoked_before: self.user.tokens_revoked_before,
            minted_before: self.marks.minted_before.map(Timestamp::from_micros),
        }
        .after(revocation, step, now);
        self.marks.auth_epoch = marks.epoch;
        self.marks.revoked_epoch = marks.revoked_epoch;
        self.marks.minted_before = marks.minted_before.map(Timestamp::micros);
        Arc::make_mut(&mut self.user).tokens_revoked_before = marks.revoked_before;
    }
}

/// Locks those of `ids` that exist, in id order, and reads them; deleted ones too, since their ids are taken.
pub async fn lock_users(
    tx: &Tx,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Stored>, StoreError> {
    let mut select = those(tx, app, ids);
    tx.backend().lock(QueryTrait::query(&mut select));
    by_id(select.all(&**tx).await?)
}

/// Users as they were before a transaction; none, where nobody has looked.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Stored>);

/// Reads those of `ids` that exist, for [`lock_known`] soon after.
pub async fn read_users(
    db: &Db,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<Known, StoreError> {
    Ok(Known(by_id(those(db, app, ids).all(db).await?)?))
}

/// As [`lock_users`], but for those `known` who are the same still: they are not read again, since on SQLite
/// nobody else can write meanwhile.
pub async fn lock_known<'a>(
    tx: &Tx,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
    Known(known): &'a Known,
) -> Result<HashMap<String, Cow<'a, Stored>>, StoreError> {
    use user::Column::{AuthEpoch, CreatedAt, Id, Version};
    if known.is_empty() {
        let read = lock_users(tx, app, ids).await?;
        return Ok(read.into_iter().map(|(id, stored)| (id, Cow::Owned(stored))).collect());
    }
    let mut select = those(tx, app, ids).select_only().columns([Id, Version, AuthEpoch, CreatedAt]);
    tx.backend().lock(QueryTrait::query(&mut select));
    let columns = ["id", "version", "auth_epoch", "created_at"];
    let rows: Vec<(String, i64, i64, i64)> = narrow::list(tx, select.into_query(), &columns).await?;
    // The version alone would not do: ids of users who are gone are given anew.
    let same = |stored: &Stored, version, auth_epoch, created_at| {
        let Stored { user, marks } = stored;
        (user.version, marks.auth_epoch, user.created_at.micros()) == (version, auth_epoch, created_at)
    };
    let (mut users, mut others) = (HashMap::new(), Vec::new());
    for (id, version, auth_epoch, created_at) in rows {
        match known.get(&id).filter(|stored| same(stored, version, auth_epoch, created_at)) {
            Some(stored) => drop(users.insert(id, Cow::Borrowed(stored))),
            None => others.push(id),
        }
    }
    if !others.is_empty() {
        let read = lock_users(tx, app, others.iter().map(String::as_str)).await?;
        users.extend(read.into_iter().map(|(id, stored)| (id, Cow::Owned(stored))));
    }
    Ok(users)
}

fn those<'a>(db: &Db, app: AppId, ids: impl IntoIterator<Item = &'a str>) -> Select<user::Entity> {
    let ids: Vec<&str> = ids.into_iter().collect();
    let one_of_them = db.backend().json().is_one_of(Expr::col((user::Entity, user::Column::Id)), &ids);
    user::any(app).filter(one_of_them).order_by_asc(user::Column::Id)
}

fn by_id(rows: Vec<user::Model>) -> Result<HashMap<String, Stored>, StoreError> {
    rows.into_iter()
        .map(|row| {
            let (mut marks, has_terms) = (UserMarks::of(&row), row.terms_version == Some(mark(row.version)));
            let user = Arc::new(User::try_from(row)?);
            marks.indexed = has_terms.then(|| Arc::clone(&user));
            Ok((user.id().as_str().to_owned(), Stored { user, marks }))
        })
        .collect()
}

/// Locks those of `ids` that exist, in id order, and tells which they are; deleted ones too.
pub async fn lock_ids(
    tx: &Tx,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashSet<String>, StoreError> {
    let mut found = HashSet::new();
    for select in lockings(tx, app, ids) {
        let ids: Vec<(String,)> = narrow::list(tx, select, &["id"]).await?;
        found.extend(ids.into_iter().map(|(id,)| id));
    }
    Ok(found)
}

/// Locks those of `ids` that exist, in id order, where the database locks rows; deleted ones too.
pub async fn lock_rows(tx: &Tx, app: AppId, ids: impl IntoIterator<Item = &str>) -> Result<(), StoreError> {
    if tx.backend().locks_rows() {
        for select in lockings(tx, app, ids) {
            // Counted, so that they need not be sent.
            let count = Expr::cust("COUNT(*)");
            let locked = Query::select().expr(count).from_subquery(select, Alias::new("locked")).take();
            tx.query_one(&locked).await?;
        }
    }
    Ok(())
}

/// Queries that lock those of `ids` that exist and find their ids; one after another, in id order. PostgreSQL
/// would rather read all users than look up ten thousand.
fn lockings<'a>(tx: &Tx, app: AppId, ids: impl IntoIterator<Item = &'a str>) -> Vec<SelectStatement> {
    let mut ids: Vec<&str> = ids.into_iter().collect();
    ids.sort_unstable();
    let locking = |chunk: &[&str]| {
        let mut select = those(tx, app, chunk.iter().copied()).select_only().column(user::Column::Id);
        tx.backend().lock(QueryTrait::query(&mut select));
        select.into_query()
    };
    ids.chunks(CHUNK).map(locking).collect()
}

/// Stores users and their terms, each under a version one above the stored one or 1, as [`lock_users`] told.
///
/// `Conflict` where one of them was stored by somebody else since.
pub async fn upsert_users(tx: &Tx, app: AppId, users: &[Stored]) -> Result<(), StoreError> {
    // In id order, so that two batches never wait for each other.
    let mut sorted: Vec<&Stored> = users.iter().collect();
    sorted.sort_by(|a, b| a.user.id().cmp(b.user.id()));
    for chunk in sorted.chunks(CHUNK) {
        if write_rows(tx, app, chunk).await? != chunk.len() as u64 {
            return Err(StoreError::Conflict);
        }
        write_terms_of(tx, app, chunk).await?;
    }
    Ok(())
}

/// Writes the rows of `users` who are stored under the version before, or not at all, and tells how many.
pub(super) async fn write_rows(tx: &Tx, app: AppId, users: &[&Stored]) -> Result<u64, StoreError> {
    let rows: Vec<_> = users.iter().map(|stored| UserRow::of(app, &stored.user, &stored.marks)).collect();
    let (mut columns, mut changes) = (Vec::new(), Vec::new());
    for column in UserRow::columns() {
        let name = column.as_str();
        columns.push(name);
        if !is_kept(column) {
            changes.push(format!("{name} = excluded.{name}"));
        }
    }
    let (columns, changes) = (columns.join(", "), changes.join(", "));
    let (into, on_conflict) = (
        format!("INSERT INTO users ({columns})"),
        format!(
            "ON CONFLICT (app_id, id) DO UPDATE SET {changes} WHERE users.version = excluded.version - 1"
        ),
    );
    let statement = tx.backend().insert_users(&into, &rows, &on_conflict)?;
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Nothing is read of users who are new, or whose terms are known from what was stored.
async fn write_terms_of(tx: &Tx, app: AppId, users: &[&Stored]) -> Result<(), StoreError> {
    let (mut changes, mut unknown) = (Vec::new(), Vec::new());
    for Stored { user, marks } in users {
        let user = &**user;
        match &marks.indexed {
            Some(before) => changes.push((user, terms_of_both(before, user))),
            None if user.version == 1 => changes.push((user, [BTreeSet::new(), terms_of(user)])),
            None => unknown.push(user),
        }
    }
    change_terms(tx, app, changes).await?;
    if unknown.is_empty() { Ok(()) } else { write_terms(tx, app, &unknown).await }
}

/// Presence writes its column at any time, without a word to others: what was read of it may be old.
const fn is_kept(column: user::Column) -> bool {
    use user::Column::{AppId, Id, LastActive};
    matches!(column, AppId | Id | LastActive)
}

/// Replaces whom `user` has blocked.
pub async fn replace_blocks(
    tx: &Tx,
    app: AppId,
    user: &UserId,
    blocked: &[UserId],
    now: Timestamp,
) -> Result<(), StoreError> {
    user_block::Entity::delete_many()
        .filter(user_block::Column::AppId.eq(app.0))
        .filter(user_block::Column::UserId.eq(user.as_str()))
        .exec(&**tx)
        .await?;
    for chunk in blocked.chunks(CHUNK) {
        let rows = chunk.iter().map(|blocked| {
            user_block::ActiveModel::from(user_block::Model {
                app_id: app.0,
                user_id: user.as_str().to_owned(),
                blocked_user_id: blocked.as_str().to_owned(),
                created_at: now.micros(),
            })
        });
        user_block::Entity::insert_many(rows).exec_without_returning(&**tx).await?;
    }
    Ok(())
}

/// Whom each of `ids` has blocked, sorted.
pub async fn list_blocks(
    db: &Db,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Vec<String>>, StoreError> {
    let rows = user_block::Entity::find()
        .filter(user_block::Column::AppId.eq(app.0))
        .filter(user_block::Column::UserId.is_in(ids))
        .order_by_asc(user_block::Column::UserId)
        .order_by_asc(user_block::Column::BlockedUserId)
        .all(db)
        .await?;
    let mut blocks: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows {
        blocks.entry(row.user_id).or_default().push(row.blocked_user_id);
    }
    Ok(blocks)
}
