//! Table `sessions`: connections of users, as edges have told of them.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: String,
    /// The last sign of life.
    pub seen_at: i64,
    /// Disconnected. Kept for a while, so that a late sign of life does not bring it back.
    pub ended: bool,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
