//! Table `named_users`: the lists of users that content names beside its author.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "named_users")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    /// `Kind::as_str`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner_kind: String,
    /// The key of the owner, its parts joined by colons.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner_id: String,
    /// `Naming::as_str`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub naming: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub position: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
