//! Changes of a user's state.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, Value};

use super::entity::user::{Column, Entity};
use super::terms::write::raise_version;
use super::{StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};

/// Sets `deactivated_at` of users that the transaction has locked, and raises their versions. `by` is the task
/// that marks their content.
pub async fn update_deactivated(
    tx: &Tx,
    app: AppId,
    ids: &[UserId],
    deactivated_at: Option<Timestamp>,
    by: Option<&str>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    // `updated_at` never goes back, whatever the clocks of replicas say.
    let updated_at = Expr::case(Expr::col(Column::UpdatedAt).gt(now.micros()), Expr::col(Column::UpdatedAt))
        .finally(now.micros());
    let mut update = Query::update();
    update
        .table(Entity)
        .value(Column::DeactivatedAt, Value::BigInt(deactivated_at.map(Timestamp::micros)))
        .value(Column::DeactivatedBy, by.map(str::to_owned))
        .value(Column::UpdatedAt, updated_at)
        .and_where(Expr::col(Column::AppId).eq(app.0))
        .and_where(Expr::col(Column::Id).is_in(ids.iter().map(UserId::as_str)));
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
