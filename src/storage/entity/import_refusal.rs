//! Table `import_refusals`: items that were not stored, kept so that a resumed import can tell them again.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_refusals")]
#[expect(missing_docs, reason = "columns; the names say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_no: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub item_offset: i64,
    pub reason: String,
    pub field: String,
    pub message: String,
    /// In the order told, from 1; 0 where a version before numbers told them by offset.
    pub no: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
