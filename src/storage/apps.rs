//! Apps and their keys.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};

use super::entity::{app, app_key};
use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::AppId;

/// All apps, oldest first.
pub async fn list_apps(db: &Db) -> Result<Vec<app::Model>, StoreError> {
    Ok(app::Entity::find().order_by_asc(app::Column::Id).all(db).await?)
}

/// The app called `name`.
pub async fn find_app(db: &Db, name: &str) -> Result<Option<app::Model>, StoreError> {
    Ok(app::Entity::find().filter(app::Column::Name.eq(name)).one(db).await?)
}

/// Stores a new app; `Unique` where the name is taken, `Conflict` where its number was taken just now.
pub async fn insert_app(tx: &Tx, name: &str, now: Timestamp) -> Result<AppId, StoreError> {
    #[derive(FromQueryResult)]
    struct Last {
        last: Option<i32>,
    }
    if find_app(tx, name).await?.is_some() {
        return Err(StoreError::Unique);
    }
    let last = app::Entity::find()
        .select_only()
        .column_as(app::Column::Id.max(), "last")
        .into_model::<Last>()
        .one(&**tx)
        .await?;
    let id = last.and_then(|row| row.last).unwrap_or(0) + 1;
    let row = app::ActiveModel {
        id: Set(id),
        name: Set(name.to_owned()),
        auth_epoch: Set(1),
        accepted_seq: Set(0),
        created_at: Set(now.micros()),
        revoked_epoch: Set(0),
        revoked_before: Set(None),
        minted_before: Set(None),
    };
    let inserted = app::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    if inserted == 0 { Err(StoreError::Conflict) } else { Ok(AppId(id)) }
}

/// Stores a key of an app.
pub async fn insert_key(tx: &Tx, key: app_key::Model) -> Result<(), StoreError> {
    app_key::Entity::insert(app_key::ActiveModel::from(key)).exec_without_returning(&**tx).await?;
    Ok(())
}

/// The key called `kid`, of whichever app.
pub async fn find_key(db: &Db, kid: &str) -> Result<Option<app_key::Model>, StoreError> {
    Ok(app_key::Entity::find().filter(app_key::Column::Kid.eq(kid)).one(db).await?)
}

/// The keys of `app`, the signing one first.
pub async fn list_keys(db: &Db, app: AppId) -> Result<Vec<app_key::Model>, StoreError> {
    Ok(app_key::Entity::find()
        .filter(app_key::Column::AppId.eq(app.0))
        .order_by_desc(app_key::Column::Signing)
        .order_by_asc(app_key::Column::CreatedAt)
        .all(db)
        .await?)
}

/// Draws the next number of accepted work of `app`.
///
/// The app's row stays locked until the end of the transaction, so numbers follow the order of commits:
/// draw as late as possible.
pub async fn next_accepted_seq(tx: &Tx, app: AppId) -> Result<i64, StoreError> {
    let mut update = Query::update();
    update
        .table(app::Entity)
        .value(app::Column::AcceptedSeq, Expr::col(app::Column::AcceptedSeq).add(1))
        .and_where(Expr::col(app::Column::Id).eq(app.0))
        .returning_col(app::Column::AcceptedSeq);
    let row = tx.query_one(&update).await?.ok_or_else(|| StoreError::corrupt("the app is gone"))?;
    Ok(row.try_get("", "accepted_seq")?)
}
