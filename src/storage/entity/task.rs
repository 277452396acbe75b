//! Table `tasks`. Whoever holds the unexpired lease of a row may change it; see `engine`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
#[expect(missing_docs, reason = "as in model::task; the other ones have words")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub kind: String,
    pub state: String,
    pub phase: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub params: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub checkpoint: Json,
    pub users_total: i64,
    pub users_done: i64,
    pub users_failed: i64,
    pub users_unchanged: i64,
    pub rows_done: i64,
    pub revision: i64,
    pub failures: i32,
    pub cancel_requested: bool,
    pub created_by_id: String,
    pub reason: String,
    pub request_id: Option<String>,
    /// Keyed hash of the request body, to tell a repeat from another request.
    pub request_hash: Option<Vec<u8>>,
    pub created_at: i64,
    pub updated_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub error_reason: Option<String>,
    pub error_message: Option<String>,
    /// Fencing token: rises with every claim.
    pub lease_epoch: i64,
    /// By the database's clock; null when nobody holds the lease.
    pub lease_expires_at: Option<i64>,
    /// In microseconds, as the holder was configured; unset by releases without it.
    pub lease_length: Option<i64>,
    /// By the database's clock: not to be claimed before.
    pub run_after: i64,
    pub accepted_seq: i64,
    pub due_at: Option<i64>,
    /// Counts by name; null before there are any.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub result: Option<Json>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
