//! Finding users by a filter, in an order, a page at a time.

use sea_orm::{ConnectionTrait as _, PaginatorTrait, QueryTrait, Select};

use super::entity::user::{Entity, Model};
use super::terms::lookup::{FEW, MANY};
use super::terms::{complete, lookup};
use super::{Db, StoreError, page};
use crate::model::filter::Filter;
use crate::model::id::AppId;
use crate::model::query::UserQuery;
use crate::model::user::User;

/// Users that are walked through, where many can match, before those are looked up: those of a page may all
/// be far away.
const NEAR: u64 = 10_000;
/// More for large pages: as many for each user asked for, at least.
const NEAR_PER_USER: u64 = 100;

/// The page of users that `query` asks for.
pub async fn list_users(db: &Db, app: AppId, query: &UserQuery) -> Result<Vec<User>, StoreError> {
    let rows = match select(db, app, query).await? {
        Way::Sure(select) => select.all(db).await?,
        Way::Long { query, select } => {
            let Some(near) = near(db, app, &query, &select).await? else {
                return users_of(select.all(db).await?);
            };
            let found = near.all(db).await?;
            if found.len() as u64 >= query.limit {
                found
            } else {
                narrowed(db, app, &query.filter, MANY, select).await?.all(db).await?
            }
        }
    };
    users_of(rows)
}

fn users_of(rows: Vec<Model>) -> Result<Vec<User>, StoreError> {
    rows.into_iter().map(User::try_from).collect()
}

/// How many users `query` finds on all pages.
pub async fn count_users(db: &Db, app: AppId, query: &UserQuery) -> Result<u64, StoreError> {
    let query = complete_query(db, app, query).await?;
    let select = page::matching(app, &query, db.backend().json());
    Ok(narrowed(db, app, &query.filter, MANY, select).await?.count(db).await?)
}

/// The statement that [`list_users`] begins with, for whoever wants to know how it is answered.
pub async fn select_page(db: &Db, app: AppId, query: &UserQuery) -> Result<Select<Entity>, StoreError> {
    match select(db, app, query).await? {
        Way::Sure(select) => Ok(select),
        Way::Long { query, select } => Ok(near(db, app, &query, &select).await?.unwrap_or(select)),
    }
}

/// How to come to a page.
enum Way {
    /// By a statement that reads few users, or that nothing better is known for.
    Sure(Select<Entity>),
    /// By one that walks, nobody knows how far, though terms tell something.
    Long { query: UserQuery, select: Select<Entity> },
}

async fn select(db: &Db, app: AppId, query: &UserQuery) -> Result<Way, StoreError> {
    let query = complete_query(db, app, query).await?;
    let mut select = page::page(app, &query, db.backend().json());
    let walks = page::is_walked(&query);
    let most = if walks { FEW } else { MANY };
    if let Some(candidates) = lookup::candidates(db, app, &query.filter, most).await? {
        db.backend().terms().narrow(QueryTrait::query(&mut select), candidates);
    } else if walks && lookup::tells(&query.filter) {
        return Ok(Way::Long { query, select });
    }
    Ok(Way::Sure(select))
}

/// `select`, made to read no more than the next users in the order of the page; `None` where it reads no more
/// anyway.
async fn near(
    db: &Db,
    app: AppId,
    query: &UserQuery,
    select: &Select<Entity>,
) -> Result<Option<Select<Entity>>, StoreError> {
    let steps = NEAR.max(query.limit * NEAR_PER_USER);
    let horizon = page::horizon(app, query, db.backend().json(), steps);
    let Some(row) = db.query_one(horizon.as_query()).await? else { return Ok(None) };
    Ok(Some(page::up_to(select.clone(), query, &row)?))
}

async fn complete_query(db: &Db, app: AppId, query: &UserQuery) -> Result<UserQuery, StoreError> {
    let query = query.clone();
    Ok(UserQuery { filter: complete(db, app, query.filter).await?, ..query })
}

/// `select`, made to read those alone who can match, where they are at most `most`.
async fn narrowed(
    db: &Db,
    app: AppId,
    filter: &Filter,
    most: u64,
    mut select: Select<Entity>,
) -> Result<Select<Entity>, StoreError> {
    if let Some(candidates) = lookup::candidates(db, app, filter, most).await? {
        db.backend().terms().narrow(QueryTrait::query(&mut select), candidates);
    }
    Ok(select)
}
