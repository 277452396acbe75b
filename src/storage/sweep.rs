//! Finding users whose time is over.

use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};

use super::entity::user;
use super::{StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};

/// Locks guests of `app` who were not active, nor made, since; those that others work on are left out.
pub async fn lock_idle_guests(
    tx: &Tx,
    app: AppId,
    since: Timestamp,
    limit: u64,
) -> Result<Vec<UserId>, StoreError> {
    let last = Func::coalesce([Expr::col(user::Column::LastActive), Expr::col(user::Column::CreatedAt)]);
    let select = user::live(app)
        // A literal: only so do databases see that the index over guests will do.
        .filter(Expr::cust("role = 'guest'"))
        .filter(Expr::expr(last).lt(since.micros()))
        .order_by_asc(user::Column::Id)
        .limit(limit);
    lock_free(tx, select).await
}

/// Locks users of `app` who were deleted softly before, longest ago first, and not to be erased yet; those
/// that others work on are left out.
pub async fn lock_deleted(
    tx: &Tx,
    app: AppId,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<UserId>, StoreError> {
    let select = user::any(app)
        .filter(user::Column::DeletedAt.lt(before.micros()))
        .filter(user::Column::Pruned.eq(false))
        .filter(user::Column::Erasing.eq(false))
        .order_by_asc(user::Column::DeletedAt)
        .limit(limit);
    lock_free(tx, select).await
}

async fn lock_free(tx: &Tx, select: Select<user::Entity>) -> Result<Vec<UserId>, StoreError> {
    let mut select = select.select_only().column(user::Column::Id);
    tx.backend().lock_free_ones(QueryTrait::query(&mut select));
    let ids: Vec<String> = select.into_tuple().all(&**tx).await?;
    Ok(ids.into_iter().map(UserId::stored).collect())
}
