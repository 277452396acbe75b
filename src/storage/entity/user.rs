//! Table `users`. Read it through [`live`] unless deleted users are meant too.

use sea_orm::entity::prelude::*;

use crate::model::id::AppId;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
#[expect(missing_docs, reason = "as in model::user; the other ones have words")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: Option<String>,
    pub image: Option<String>,
    pub role: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub custom: Json,
    pub language: Option<String>,
    pub invisible: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub teams: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub teams_role: Json,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub privacy_settings: Option<Json>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub push_notifications: Option<Json>,
    pub created_at: i64,
    pub updated_at: i64,
    pub deactivated_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub version: i64,
    /// Raised by a revocation of the user's tokens; tokens carry the one they were minted under.
    pub auth_epoch: i64,
    /// Number of the import that last wrote this row, so that one file cannot hold a user twice.
    pub import_no: Option<i64>,
    /// Tokens minted here under an older epoch than this are refused; 0 refuses none.
    pub revoked_epoch: i64,
    /// Tokens minted elsewhere before are refused; null refuses none.
    pub revoked_before: Option<i64>,
    /// Tokens minted here before are refused, whatever their epoch; null refuses none.
    pub minted_before: Option<i64>,
    /// Written by partial updates alone.
    pub avg_response_time: Option<f64>,
    /// `name` folded by [`crate::model::unique_name::key`]; null where there is no name, and in rows that a
    /// version without it has written last.
    pub name_key: Option<String>,
    /// Written by presence alone, which no other write of a user touches.
    pub last_active: Option<i64>,
    /// The version whose terms stand in `user_terms`, as [`crate::storage::terms::write::mark`] has it. Where it is
    /// not `version`, an earlier usher wrote last, or nobody since there are terms.
    pub terms_version: Option<i64>,
    /// The task that deleted the user, or is to; null also where an import told that it is deleted.
    pub deleted_by: Option<String>,
    /// Its data is blanked: it cannot be restored.
    pub pruned: bool,
    /// A deletion that leaves no trace was accepted: nothing new may come to it.
    pub erasing: bool,
    /// The task of the deactivation that marked content deleted; null where there are no such marks to undo.
    pub deactivated_by: Option<String>,
    /// Who asked for the deactivation; null where nobody was named. Old where an earlier usher ended it.
    pub deactivated_by_id: Option<String>,
    /// Why; likewise.
    pub deactivation_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Users of `app` that exist for callers.
pub fn live(app: AppId) -> Select<Entity> {
    any(app).filter(Column::DeletedAt.is_null())
}

/// All rows of `app`, deleted ones too. State why at the call site.
pub fn any(app: AppId) -> Select<Entity> {
    Entity::find().filter(Column::AppId.eq(app.0))
}
