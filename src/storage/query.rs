//! Finding users by a filter, in an order, a page at a time.

use sea_orm::PaginatorTrait;

use super::{Db, StoreError, page};
use crate::model::id::AppId;
use crate::model::query::UserQuery;
use crate::model::user::User;

/// The page of users that `query` asks for.
pub async fn list_users(db: &Db, app: AppId, query: &UserQuery) -> Result<Vec<User>, StoreError> {
    let rows = page::page(app, query, db.backend().json()).all(db).await?;
    rows.into_iter().map(User::try_from).collect()
}

/// How many users `query` finds on all pages.
pub async fn count_users(db: &Db, app: AppId, query: &UserQuery) -> Result<u64, StoreError> {
    Ok(page::matching(app, query, db.backend().json()).count(db).await?)
}
