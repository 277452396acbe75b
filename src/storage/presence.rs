//! Sessions, and what they say of users: who is online, and who was last active when.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, Func, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::entity::{session, user};
use super::upsert::lock_ids;
use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::model::session::Sign;

/// A sign of life to be written.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SessionSign {
    pub session: String,
    pub user: String,
    pub sign: Sign,
}

/// Writes signs of life and when their users were last active; those of users who are gone are dropped.
/// Versions do not rise.
pub async fn write_signs(tx: &Tx, app: AppId, signs: &[SessionSign]) -> Result<(), StoreError> {
    let users: HashSet<&str> = signs.iter().map(|sign| sign.user.as_str()).collect();
    let existing = lock_ids(tx, app, users).await?;
    let mut signs: Vec<&SessionSign> = signs.iter().filter(|sign| existing.contains(&sign.user)).collect();
    if signs.is_empty() {
        return Ok(());
    }
    // In one order, so that two replicas that write the same sessions never wait for each other.
    signs.sort_by(|a, b| a.session.cmp(&b.session));
    let rows = signs.into_iter().map(|sign| {
        session::ActiveModel::from(session::Model {
            app_id: app.0,
            id: sign.session.clone(),
            user_id: sign.user.clone(),
            seen_at: sign.sign.seen_at.micros(),
            ended: sign.sign.ended,
        })
    });
    session::Entity::insert_many(rows).on_conflict(merged()).exec_without_returning(&**tx).await?;
    update_last_active(tx, app, &existing).await
}

/// As `Sign::merged`.
fn merged() -> OnConflict {
    use session::Column;
    let stored = |column| Expr::col((session::Entity, column));
    let new = |column| Expr::col(("excluded", column));
    let later = Expr::case(new(Column::SeenAt).gt(stored(Column::SeenAt)), new(Column::SeenAt))
        .finally(stored(Column::SeenAt));
    OnConflict::columns([Column::AppId, Column::Id])
        .value(Column::SeenAt, later)
        .value(Column::Ended, stored(Column::Ended).or(new(Column::Ended)))
        .to_owned()
}

async fn update_last_active(tx: &Tx, app: AppId, users: &HashSet<String>) -> Result<(), StoreError> {
    let last_seen = Query::select()
        .expr(Func::max(Expr::col((session::Entity, session::Column::SeenAt))))
        .from(session::Entity)
        .and_where(Expr::col((session::Entity, session::Column::AppId)).eq(app.0))
        .and_where(
            Expr::col((session::Entity, session::Column::UserId)).equals((user::Entity, user::Column::Id)),
        )
        .to_owned();
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(user::Column::LastActive, Expr::SubQuery(None, Box::new(last_seen.into())))
        .and_where(user::Column::AppId.eq(app.0))
        .and_where(user::Column::Id.is_in(users.iter().map(String::as_str)));
    tx.execute(&update).await?;
    Ok(())
}

/// Those of `users` who have a session that has not ended and was seen after `since`.
pub async fn list_online(
    db: &Db,
    app: AppId,
    users: impl IntoIterator<Item = &str>,
    since: Timestamp,
) -> Result<HashSet<String>, StoreError> {
    let online: Vec<String> = session::Entity::find()
        .filter(session::Column::AppId.eq(app.0))
        .filter(session::Column::UserId.is_in(users))
        .filter(session::Column::Ended.eq(false))
        .filter(session::Column::SeenAt.gt(since.micros()))
        .select_only()
        .column(session::Column::UserId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(online.into_iter().collect())
}

/// The last signs of those of `sessions` that are known here.
pub async fn list_signs(
    db: &Db,
    app: AppId,
    sessions: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Sign>, StoreError> {
    let rows = session::Entity::find()
        .filter(session::Column::AppId.eq(app.0))
        .filter(session::Column::Id.is_in(sessions))
        .all(db)
        .await?;
    let sign = |row: &session::Model| Sign { seen_at: Timestamp::from_micros(row.seen_at), ended: row.ended };
    Ok(rows.into_iter().map(|row| (row.id.clone(), sign(&row))).collect())
}

/// Forgets up to `limit` sessions that were last seen before `before`.
pub async fn delete_sessions(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let old: Vec<(i32, String)> = session::Entity::find()
        .filter(session::Column::SeenAt.lt(before.micros()))
        .select_only()
        .columns([session::Column::AppId, session::Column::Id])
        .limit(limit)
        .into_tuple()
        .all(&**tx)
        .await?;
    let mut deleted = 0;
    let apps: HashSet<i32> = old.iter().map(|(app, _)| *app).collect();
    for app in apps {
        let ids = old.iter().filter(|(of, _)| *of == app).map(|(_, id)| id.as_str());
        let gone = session::Entity::delete_many()
            .filter(session::Column::AppId.eq(app))
            .filter(session::Column::Id.is_in(ids))
            .filter(session::Column::SeenAt.lt(before.micros()));
        deleted += gone.exec(&**tx).await?.rows_affected;
    }
    Ok(deleted)
}
