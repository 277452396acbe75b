//! Changes of a user's state.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, Value};
use serde::Deserialize;

use super::entity::user::{self, Column, Entity};
use super::terms::write::raise_version;
use super::{Db, StoreError, Tx, narrow};
use crate::model::clock::Timestamp;
use crate::model::history::Cause;
use crate::model::id::{AppId, UserId};

/// How a user stands, without what it is.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as in the entity")]
pub struct State {
    pub id: String,
    pub deactivated_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub deleted_by: Option<String>,
    #[serde(deserialize_with = "narrow::truth")]
    pub pruned: bool,
    pub deactivated_by: Option<String>,
}

/// How those of `ids` stand who exist, deleted or not.
pub async fn list_states(
    db: &Db,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, State>, StoreError> {
    read_states(db, states(db, app, ids)).await
}

/// The same, of users whom the transaction locks, in id order.
pub async fn lock_states(
    tx: &Tx,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, State>, StoreError> {
    let mut select = states(tx, app, ids).order_by_asc(Column::Id);
    tx.backend().lock(QueryTrait::query(&mut select));
    read_states(tx, select).await
}

async fn read_states(db: &Db, select: Select<Entity>) -> Result<HashMap<String, State>, StoreError> {
    let columns = ["id", "deactivated_at", "deleted_at", "deleted_by", "pruned", "deactivated_by"];
    let states: Vec<State> = narrow::list(db, select.into_query(), &columns).await?;
    Ok(states.into_iter().map(|state| (state.id.clone(), state)).collect())
}

fn states<'a>(db: &Db, app: AppId, ids: impl IntoIterator<Item = &'a str>) -> Select<Entity> {
    let ids: Vec<&str> = ids.into_iter().collect();
    let one_of_them = db.backend().json().is_one_of(Expr::col((Entity, Column::Id)), &ids);
    user::any(app).filter(one_of_them).select_only().columns([
        Column::Id,
        Column::DeactivatedAt,
        Column::DeletedAt,
        Column::DeletedBy,
        Column::Pruned,
        Column::DeactivatedBy,
    ])
}

/// What a move makes of a user.
#[derive(Debug, Clone)]
pub struct Deactivation<'a> {
    /// Since when; `None` where it is active.
    pub at: Option<Timestamp>,
    /// Who asked for it, and why.
    pub cause: Cause,
    /// The task that marks the user's content.
    pub task: Option<&'a str>,
}

/// Deactivates or reactivates users that the transaction has locked, and raises their versions.
pub async fn update_deactivated(
    tx: &Tx,
    app: AppId,
    ids: &[&str],
    deactivation: Deactivation<'_>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    // `updated_at` never goes back, whatever the clocks of replicas say.
    let updated_at = Expr::case(Expr::col(Column::UpdatedAt).gt(now.micros()), Expr::col(Column::UpdatedAt))
        .finally(now.micros());
    let Deactivation { at, cause, task } = deactivation;
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::DeactivatedAt, Value::BigInt(at.map(Timestamp::micros)))
        .value(Column::DeactivatedBy, task.map(str::to_owned))
        .value(Column::DeactivatedById, cause.by_id)
        .value(Column::DeactivationReason, cause.reason)
        .value(Column::UpdatedAt, updated_at)
        .and_where(Expr::col(Column::AppId).eq(app.0))
        .and_where(tx.backend().json().is_one_of(Expr::col(Column::Id), ids));
    raise_version(&mut update);
    Ok(tx.execute(&update).await?.rows_affected())
}

/// Notes which task marks the content of a user, whom the transaction has locked.
pub async fn update_deactivated_by(
    tx: &Tx,
    app: AppId,
    id: &UserId,
    by: Option<&str>,
) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::DeactivatedBy, by.map(str::to_owned))
        .and_where(Expr::col(Column::AppId).eq(app.0))
        .and_where(Expr::col(Column::Id).eq(id.as_str()));
    tx.execute(&update).await?;
    Ok(())
}
