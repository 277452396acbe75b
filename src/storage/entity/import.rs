//! Table `imports`: how far each import got.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    /// The caller's name for it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: String,
    /// Ours, short, for the rows it writes.
    pub no: i64,
    pub mode: String,
    /// Null while nothing is committed.
    pub committed_offset: Option<i64>,
    pub accepted: i64,
    pub skipped: i64,
    pub created_at: i64,
    pub updated_at: i64,
    /// Items taken in so far, whatever became of them.
    pub items: i64,
    /// Items refused so far, by which refusals are numbered.
    pub refused: i64,
    /// Of the whole source, in hexadecimal digits; null where no caller has said it.
    pub content_sha256: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
