//! Finding users by a filter, in an order, a page at a time.

use sea_orm::{PaginatorTrait, QueryTrait, Select};

use super::entity::user::Entity;
use super::terms::{complete, lookup};
use super::{Db, StoreError, page};
use crate::model::filter::Filter;
use crate::model::id::AppId;
use crate::model::query::UserQuery;
use crate::model::user::User;

/// The page of users that `query` asks for.
pub async fn list_users(db: &Db, app: AppId, query: &UserQuery) -> Result<Vec<User>, StoreError> {
    let rows = select_page(db, app, query).await?.all(db).await?;
    rows.into_iter().map(User::try_from).collect()
}

/// How many users `query` finds on all pages.
pub async fn count_users(db: &Db, app: AppId, query: &UserQuery) -> Result<u64, StoreError> {
    let query = complete_query(db, app, query).await?;
    let select = page::matching(app, &query, db.backend().json());
    Ok(narrowed(db, app, &query.filter, select).await?.count(db).await?)
}

/// The statement of [`list_users`], for whoever wants to know how it is answered.
pub async fn select_page(db: &Db, app: AppId, query: &UserQuery) -> Result<Select<Entity>, StoreError> {
    let query = complete_query(db, app, query).await?;
    let select = page::page(app, &query, db.backend().json());
    narrowed(db, app, &query.filter, select).await
}

async fn complete_query(db: &Db, app: AppId, query: &UserQuery) -> Result<UserQuery, StoreError> {
    let query = query.clone();
    Ok(UserQuery { filter: complete(db, app, query.filter).await?, ..query })
}

/// `select`, made to read those alone who can match, where they are few.
async fn narrowed(
    db: &Db,
    app: AppId,
    filter: &Filter,
    mut select: Select<Entity>,
) -> Result<Select<Entity>, StoreError> {
    if let Some(candidates) = lookup::candidates(db, app, filter).await? {
        db.backend().terms().narrow(QueryTrait::query(&mut select), candidates);
    }
    Ok(select)
}
