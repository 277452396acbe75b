//! Table `channel_members`: who is a member of which channel.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_members")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_type: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub role: String,
    pub invited: bool,
    pub invite_accepted_at: Option<i64>,
    pub invite_rejected_at: Option<i64>,
    /// The member has hidden the channel from itself.
    pub hidden: bool,
    pub hide_messages_before: Option<i64>,
    pub last_read: Option<i64>,
    pub archived_at: Option<i64>,
    #[sea_orm(column_type = "JsonBinary")]
    pub custom: Json,
    pub created_at: i64,
    /// As in `users`.
    pub import_no: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
