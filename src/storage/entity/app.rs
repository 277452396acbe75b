//! Table `apps`: the tenants.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "apps")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    #[sea_orm(unique)]
    pub name: String,
    /// Raised by a revocation of all tokens of the app; tokens carry the one they were minted under.
    pub auth_epoch: i64,
    /// Last number given to accepted work. Drawn under the row's lock, so numbers follow commit order.
    pub accepted_seq: i64,
    pub created_at: i64,
    /// As in `users`, for every token of the app.
    pub revoked_epoch: i64,
    /// As in `users`, for every token of the app.
    pub revoked_before: Option<i64>,
    /// As in `users`, for every token of the app.
    pub minted_before: Option<i64>,
    /// What was set of [`crate::model::settings::AppSettings`].
    #[sea_orm(column_type = "JsonBinary")]
    pub settings: Json,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
