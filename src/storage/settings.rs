//! The settings of apps.

use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryTrait,
};
use serde_json::Value;

use super::entity::{app, user};
use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::model::settings::{AppSettings, SettingsChange};

/// The row of `app`.
pub async fn get_app(db: &Db, app: AppId) -> Result<app::Model, StoreError> {
    // No LIMIT: the number is unique, and SQLite would prepare the statement anew each time.
    let row = app::Entity::find().filter(app::Column::Id.eq(app.0)).all(db).await?.pop();
    row.ok_or_else(|| StoreError::corrupt("the app is gone"))
}

/// The settings in a row.
pub fn settings_of(row: &app::Model) -> Result<AppSettings, StoreError> {
    serde_json::from_value(row.settings.clone()).map_err(|_| StoreError::corrupt("apps.settings"))
}

/// The settings of `app`. Read within a transaction they are those it must keep to.
pub async fn get_settings(db: &Db, app: AppId) -> Result<AppSettings, StoreError> {
    settings_of(&get_app(db, app).await?)
}

/// Changes settings of `app`, leaving those that are not named, and those of later versions, as they are.
pub async fn update_settings(tx: &Tx, app: AppId, change: &SettingsChange) -> Result<app::Model, StoreError> {
    let mut select = app::Entity::find_by_id(app.0);
    tx.backend().lock(QueryTrait::query(&mut select));
    let row = select.one(&**tx).await?.ok_or_else(|| StoreError::corrupt("the app is gone"))?;
    let mut settings = row.settings.clone();
    let change = serde_json::to_value(change).map_err(|err| StoreError::Internal(err.to_string()))?;
    if let (Value::Object(settings), Value::Object(change)) = (&mut settings, change) {
        settings.extend(change);
    }
    let mut row = row.into_active_model();
    row.settings = Set(settings);
    Ok(row.update(&**tx).await?)
}

/// Users of `app` who were active since, whatever became of them after that.
pub async fn count_active(db: &Db, app: AppId, since: Timestamp) -> Result<u64, StoreError> {
    Ok(user::any(app).filter(user::Column::LastActive.gte(since.micros())).count(db).await?)
}
