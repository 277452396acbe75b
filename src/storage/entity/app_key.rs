//! Table `app_keys`: the signing keys of apps, their secrets sealed under the master key.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_keys")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    /// Public name of the key, unique over all apps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kid: String,
    /// Only the domain's vault opens it.
    pub secret_sealed: Vec<u8>,
    /// One key of an app signs, all verify.
    pub signing: bool,
    pub created_at: i64,
    /// Set once it no longer verifies. Its secret is gone then, its name stays taken.
    pub retired_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
