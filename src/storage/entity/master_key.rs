//! Table `master_keys`: the keys that seal secrets, sealed themselves under each master key in use.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "master_keys")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    /// Tells master keys apart, and nothing about them.
    pub fingerprint: String,
    /// Counts rotations, so that of two who write the next one wins.
    pub generation: i32,
    pub keyset_sealed: Vec<u8>,
    pub created_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
