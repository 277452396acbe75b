//! Devices of users.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query};

use super::{StoreError, Tx};
use crate::model::content::MAX_DEVICES;
use crate::model::id::AppId;

/// Removes the oldest devices of `users` who have more than a user may have.
pub async fn evict(tx: &Tx, app: AppId, users: &BTreeSet<&str>) -> Result<(), StoreError> {
    let newer = Alias::new("newer");
    let of = |column: &'static str| Expr::col((newer.clone(), column));
    let age =
        |table: Alias| Expr::tuple([Expr::col((table.clone(), "created_at")), Expr::col((table, "id"))]);
    let newer_ones = Query::select()
        .expr(Expr::cust("COUNT(*)"))
        .from_as("devices", newer.clone())
        .and_where(of("app_id").equals(("devices", "app_id")))
        .and_where(of("user_id").equals(("devices", "user_id")))
        .and_where(age(newer.clone()).gt(age(Alias::new("devices"))))
        .take();
    let users: Vec<&str> = users.iter().copied().collect();
    let mut delete = Query::delete();
    delete
        .from_table("devices")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(tx.backend().json().is_one_of(Expr::col("user_id"), &users))
        .and_where(Expr::SubQuery(None, Box::new(newer_ones.into())).gte(MAX_DEVICES));
    tx.execute(&delete).await?;
    Ok(())
}
