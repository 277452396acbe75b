//! Finding guests who stayed away.

use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::entity::user;
use super::{StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};

/// Locks guests of `app` who were not active, nor made, since; those that others work on are left out.
pub async fn lock_idle(tx: &Tx, app: AppId, since: Timestamp, limit: u64) -> Result<Vec<UserId>, StoreError> {
    let last = Func::coalesce([Expr::col(user::Column::LastActive), Expr::col(user::Column::CreatedAt)]);
    let mut select = user::live(app)
        // A literal: only so do databases see that the index over guests will do.
        .filter(Expr::cust("role = 'guest'"))
        .filter(Expr::expr(last).lt(since.micros()))
        .select_only()
        .column(user::Column::Id)
        .order_by_asc(user::Column::Id)
        .limit(limit);
    tx.backend().lock_free_ones(QueryTrait::query(&mut select));
    let ids: Vec<String> = select.into_tuple().all(&**tx).await?;
    Ok(ids.into_iter().map(UserId::stored).collect())
}
