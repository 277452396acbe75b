//! Table `messages`: what was said in channels.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub channel_type: String,
    pub channel_id: String,
    pub user_id: String,
    #[sea_orm(column_name = "type")]
    pub kind: String,
    pub text: Option<String>,
    pub html: Option<String>,
    /// May name a message that is gone.
    pub parent_id: Option<String>,
    pub show_in_channel: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub attachments: Json,
    /// May name a message that is gone.
    pub quoted_message_id: Option<String>,
    pub pinned_at: Option<i64>,
    pub pinned_by_id: Option<String>,
    pub pin_expires: Option<i64>,
    #[sea_orm(column_type = "JsonBinary")]
    pub custom: Json,
    pub created_at: i64,
    pub updated_at: Option<i64>,
    pub deleted_at: Option<i64>,
    /// The task that marked it deleted.
    pub deleted_by: Option<String>,
    /// As in `users`.
    pub import_no: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
