//! How far imports got, and what they refused.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::entity::{import, import_refusal};
use super::{Db, StoreError, Tx};
use crate::model::id::AppId;

/// Rows per statement.
const CHUNK: usize = 1_000;

/// Locks the import `import_id` and reads it.
pub async fn lock_import(tx: &Tx, app: AppId, import_id: &str) -> Result<Option<import::Model>, StoreError> {
    let mut select = import::Entity::find_by_id((app.0, import_id.to_owned()));
    tx.backend().lock(QueryTrait::query(&mut select));
    Ok(select.one(&**tx).await?)
}

/// Stores a new import; `Conflict` where somebody else began it just now.
pub async fn insert_import(tx: &Tx, import: import::Model) -> Result<(), StoreError> {
    let inserted = import::Entity::insert(import.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    if inserted == 0 { Err(StoreError::Conflict) } else { Ok(()) }
}

/// Stores how far a locked import got.
pub async fn update_import(tx: &Tx, import: &import::Model) -> Result<(), StoreError> {
    let mut row = import.clone().into_active_model();
    row.committed_offset = Set(import.committed_offset);
    row.accepted = Set(import.accepted);
    row.skipped = Set(import.skipped);
    row.updated_at = Set(import.updated_at);
    row.update(&**tx).await?;
    Ok(())
}

/// Stores what was refused.
pub async fn insert_refusals(tx: &Tx, refusals: Vec<import_refusal::Model>) -> Result<(), StoreError> {
    for chunk in refusals.chunks(CHUNK) {
        let rows = chunk.iter().cloned().map(IntoActiveModel::into_active_model);
        import_refusal::Entity::insert_many(rows).exec_without_returning(&**tx).await?;
    }
    Ok(())
}

/// What an import has refused, by offset, after `after`.
pub async fn list_refusals(
    db: &Db,
    app: AppId,
    no: i64,
    after: Option<i64>,
    limit: u64,
) -> Result<Vec<import_refusal::Model>, StoreError> {
    let mut select = import_refusal::Entity::find()
        .filter(import_refusal::Column::AppId.eq(app.0))
        .filter(import_refusal::Column::ImportNo.eq(no));
    if let Some(after) = after {
        select = select.filter(import_refusal::Column::ItemOffset.gt(after));
    }
    Ok(select.order_by_asc(import_refusal::Column::ItemOffset).limit(limit).all(db).await?)
}
