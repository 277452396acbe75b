//! Table `channels`: where messages are.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channels")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    #[sea_orm(column_name = "type")]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub created_by_id: String,
    pub team: Option<String>,
    /// It is the one of its members, and its id is made of theirs.
    pub is_distinct: bool,
    pub disabled: bool,
    pub frozen: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub custom: Json,
    pub created_at: i64,
    pub updated_at: Option<i64>,
    pub truncated_at: Option<i64>,
    /// Deleted for good, whatever marks there are.
    pub deleted_at: Option<i64>,
    /// As in `users`.
    pub import_no: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
