//! Apps and their keys.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
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

/// Stores a new app; `Conflict` where its name or number was taken just now.
pub async fn insert_app(tx: &Tx, name: &str, now: Timestamp) -> Result<AppId, StoreError> {
    #[derive(FromQueryResult)]
    struct Last {
        last: Option<i32>,
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
        settings: Set(serde_json::Value::Object(serde_json::Map::new())),
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

/// The key called `kid` that verifies, of whichever app.
pub async fn find_key(db: &Db, kid: &str) -> Result<Option<app_key::Model>, StoreError> {
    let select = app_key::Entity::find()
        .filter(app_key::Column::Kid.eq(kid))
        .filter(app_key::Column::RetiredAt.is_null());
    // No LIMIT: the name is unique, and SQLite would prepare the statement anew each time.
    Ok(select.all(db).await?.pop())
}

/// Whether a key called `kid` exists, of any app, retired or not.
pub async fn is_kid_taken(db: &Db, kid: &str) -> Result<bool, StoreError> {
    Ok(app_key::Entity::find().filter(app_key::Column::Kid.eq(kid)).one(db).await?.is_some())
}

/// Every key of `app`, oldest first.
pub async fn list_keys(db: &Db, app: AppId) -> Result<Vec<app_key::Model>, StoreError> {
    Ok(keys_of(app).all(db).await?)
}

/// As [`list_keys`], with the app locked until the end of the transaction.
pub async fn lock_keys(tx: &Tx, app: AppId) -> Result<Vec<app_key::Model>, StoreError> {
    let mut select = app::Entity::find_by_id(app.0);
    tx.backend().lock(QueryTrait::query(&mut select));
    select.one(&**tx).await?;
    list_keys(tx, app).await
}

/// The keys of `app` that verify, the signing one first.
pub async fn list_verifying_keys(db: &Db, app: AppId) -> Result<Vec<app_key::Model>, StoreError> {
    let select = keys_of(app).filter(app_key::Column::RetiredAt.is_null());
    let mut keys = select.all(db).await?;
    keys.sort_by_key(|key| !key.signing);
    Ok(keys)
}

/// The keys of all apps that verify.
pub async fn list_all_keys(db: &Db) -> Result<Vec<app_key::Model>, StoreError> {
    Ok(app_key::Entity::find().filter(app_key::Column::RetiredAt.is_null()).all(db).await?)
}

/// Makes the key called `kid` the one of `app` that signs; none with `None`.
pub async fn update_signing(tx: &Tx, app: AppId, kid: Option<&str>) -> Result<(), StoreError> {
    let mut update = Query::update();
    let is_it = Expr::col(app_key::Column::Kid).eq(kid.unwrap_or_default());
    update
        .table(app_key::Entity)
        .value(app_key::Column::Signing, is_it)
        .and_where(app_key::Column::AppId.eq(app.0));
    tx.execute(&update).await?;
    Ok(())
}

/// Stores the secret of a key as sealed anew.
pub async fn update_secret(tx: &Tx, key: &app_key::Model, sealed: Vec<u8>) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(app_key::Entity)
        .value(app_key::Column::SecretSealed, sealed)
        .and_where(app_key::Column::AppId.eq(key.app_id))
        .and_where(app_key::Column::Kid.eq(key.kid.as_str()));
    tx.execute(&update).await?;
    Ok(())
}

/// Marks a key as retired, and removes its secret.
pub async fn retire_key(tx: &Tx, app: AppId, kid: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(app_key::Entity)
        .value(app_key::Column::RetiredAt, now.micros())
        .value(app_key::Column::Signing, false)
        .value(app_key::Column::SecretSealed, Vec::<u8>::new())
        .and_where(app_key::Column::AppId.eq(app.0))
        .and_where(app_key::Column::Kid.eq(kid));
    tx.execute(&update).await?;
    Ok(())
}

fn keys_of(app: AppId) -> Select<app_key::Entity> {
    app_key::Entity::find()
        .filter(app_key::Column::AppId.eq(app.0))
        .order_by_asc(app_key::Column::CreatedAt)
        .order_by_asc(app_key::Column::Kid)
}

/// The number of the task of the app that was accepted last.
pub async fn last_accepted_seq(db: &Db, app: AppId) -> Result<i64, StoreError> {
    let select = Query::select()
        .column(app::Column::AcceptedSeq)
        .from(app::Entity)
        .and_where(Expr::col(app::Column::Id).eq(app.0))
        .take();
    let row = db.query_one(&select).await?.ok_or_else(|| StoreError::corrupt("the app is gone"))?;
    Ok(row.try_get("", "accepted_seq")?)
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
