//! The keyset, sealed under each master key in use.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QueryTrait,
};

use super::entity::master_key::{ActiveModel, Column, Entity, Model};
use super::{Db, StoreError, Tx};

/// All of them, oldest first.
pub async fn list(db: &Db) -> Result<Vec<Model>, StoreError> {
    Ok(Entity::find().order_by_asc(Column::Generation).all(db).await?)
}

/// As [`list`], locked until the end of the transaction.
pub async fn lock_all(tx: &Tx) -> Result<Vec<Model>, StoreError> {
    let mut select = Entity::find().order_by_asc(Column::Generation);
    tx.backend().lock(QueryTrait::query(&mut select));
    Ok(select.all(&**tx).await?)
}

/// The one of the master key with this fingerprint.
pub async fn find(db: &Db, fingerprint: &str) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(fingerprint.to_owned()).one(db).await?)
}

/// Stores the first one, unless somebody else was faster.
pub async fn insert_first(tx: &Tx, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Stores another one; `Unique` where there is one of its generation.
pub async fn insert(tx: &Tx, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model()).exec_without_returning(&**tx).await?;
    Ok(())
}

/// Stores the keyset anew under a master key.
pub async fn update(tx: &Tx, fingerprint: &str, keyset_sealed: Vec<u8>) -> Result<(), StoreError> {
    let row = ActiveModel {
        fingerprint: Set(fingerprint.to_owned()),
        keyset_sealed: Set(keyset_sealed),
        ..Default::default()
    };
    row.update(&**tx).await?;
    Ok(())
}

/// Removes all but the one with this fingerprint; none where that one is missing.
pub async fn delete_others(tx: &Tx, fingerprint: &str) -> Result<u64, StoreError> {
    if !lock_all(tx).await?.iter().any(|row| row.fingerprint == fingerprint) {
        return Ok(0);
    }
    let others = Entity::delete_many().filter(Column::Fingerprint.ne(fingerprint));
    Ok(others.exec(&**tx).await?.rows_affected)
}
