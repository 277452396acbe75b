//! Rows to model types and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use sea_orm::Iterable as _;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;
use super::entity::{task, user};
use super::terms::write::mark;
use crate::model::clock::Timestamp;
use crate::model::history::Cause;
use crate::model::id::{AppId, UserId};
use crate::model::json::Object;
use crate::model::task::{Progress, Task, TaskError, TaskState};
use crate::model::unique_name;
use crate::model::user::{PrivacySettings, Profile, PushNotifications, User};

impl TryFrom<user::Model> for User {
    type Error = StoreError;

    fn try_from(row: user::Model) -> Result<Self, StoreError> {
        let Value::Object(custom) = row.custom else { return Err(StoreError::corrupt("users.custom")) };
        let profile = Profile {
            id: UserId::stored(row.id),
            name: row.name,
            image: row.image,
            role: row.role,
            custom,
            language: row.language,
            invisible: row.invisible,
            teams: from_json(row.teams, "users.teams")?,
            teams_role: from_json(row.teams_role, "users.teams_role")?,
            privacy_settings: optional(row.privacy_settings, "users.privacy_settings")?,
            push_notifications: optional(row.push_notifications, "users.push_notifications")?,
        };
        // An earlier usher beside this one reactivates users and leaves these columns as they were.
        let deactivation = match row.deactivated_at {
            Some(_) => Cause { by_id: row.deactivated_by_id, reason: row.deactivation_reason },
            None => Cause::default(),
        };
        Ok(Self {
            profile,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            deactivated_at: row.deactivated_at.map(Timestamp::from_micros),
            deactivation,
            deleted_at: row.deleted_at.map(Timestamp::from_micros),
            tokens_revoked_before: row.revoked_before.map(Timestamp::from_micros),
            last_active: row.last_active.map(Timestamp::from_micros),
            avg_response_time: row.avg_response_time,
            version: row.version,
        })
    }
}

/// What a row holds beside the user.
#[derive(Debug, Clone, Default)]
pub struct UserMarks {
    /// See the column.
    pub auth_epoch: i64,
    /// See the column.
    pub revoked_epoch: i64,
    /// See the column.
    pub minted_before: Option<i64>,
    /// See the column.
    pub import_no: Option<i64>,
    /// See the column. As all that follow, written by deletion and lifecycle alone.
    pub deleted_by: Option<String>,
    /// See the column.
    pub pruned: bool,
    /// See the column.
    pub erasing: bool,
    /// See the column.
    pub deactivated_by: Option<String>,
    /// The user as stored, where its terms are those of this version. Not a part of the row.
    pub indexed: Option<Arc<User>>,
}

impl UserMarks {
    /// Those of a user's row.
    pub fn of(row: &user::Model) -> Self {
        Self {
            indexed: None,
            auth_epoch: row.auth_epoch,
            revoked_epoch: row.revoked_epoch,
            minted_before: row.minted_before,
            import_no: row.import_no,
            deleted_by: row.deleted_by.clone(),
            pruned: row.pruned,
            erasing: row.erasing,
            deactivated_by: row.deactivated_by.clone(),
        }
    }
}

/// The row of a user, by the names of its columns, but for those that belong to deletion and lifecycle alone.
/// Borrowed: thousands are written at a time.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see the entity")]
pub struct UserRow<'a> {
    pub app_id: i32,
    pub id: &'a str,
    pub name: Option<&'a str>,
    pub image: Option<&'a str>,
    pub role: &'a str,
    pub custom: &'a Object,
    pub language: Option<&'a str>,
    pub invisible: bool,
    pub teams: &'a [String],
    pub teams_role: &'a BTreeMap<String, String>,
    pub privacy_settings: Option<&'a PrivacySettings>,
    pub push_notifications: Option<&'a PushNotifications>,
    pub created_at: i64,
    pub updated_at: i64,
    pub deactivated_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub version: i64,
    pub auth_epoch: i64,
    pub import_no: Option<i64>,
    pub revoked_epoch: i64,
    pub revoked_before: Option<i64>,
    pub minted_before: Option<i64>,
    pub avg_response_time: Option<f64>,
    pub name_key: Option<String>,
    pub last_active: Option<i64>,
    pub terms_version: i64,
    pub deactivated_by_id: Option<&'a str>,
    pub deactivation_reason: Option<&'a str>,
}

impl<'a> UserRow<'a> {
    /// The user taken apart field by field, so that none is forgotten. Its terms are written with it.
    pub fn of(app: AppId, user: &'a User, marks: &UserMarks) -> Self {
        let User {
            profile,
            created_at,
            updated_at,
            deactivated_at,
            deactivation,
            deleted_at,
            tokens_revoked_before,
            last_active,
            avg_response_time,
            version,
        } = user;
        let Profile {
            id,
            name,
            image,
            role,
            custom,
            language,
            invisible,
            teams,
            teams_role,
            privacy_settings,
            push_notifications,
        } = profile;
        Self {
            app_id: app.0,
            id: id.as_str(),
            name: name.as_deref(),
            image: image.as_deref(),
            role,
            custom,
            language: language.as_deref(),
            invisible: *invisible,
            teams,
            teams_role,
            privacy_settings: privacy_settings.as_ref(),
            push_notifications: push_notifications.as_ref(),
            created_at: created_at.micros(),
            updated_at: updated_at.micros(),
            deactivated_at: deactivated_at.map(Timestamp::micros),
            deleted_at: deleted_at.map(Timestamp::micros),
            version: *version,
            auth_epoch: marks.auth_epoch,
            revoked_epoch: marks.revoked_epoch,
            revoked_before: tokens_revoked_before.map(Timestamp::micros),
            minted_before: marks.minted_before,
            import_no: marks.import_no,
            avg_response_time: *avg_response_time,
            name_key: name.as_deref().map(unique_name::key),
            last_active: last_active.map(Timestamp::micros),
            terms_version: mark(*version),
            deactivated_by_id: deactivation.by_id.as_deref(),
            deactivation_reason: deactivation.reason.as_deref(),
        }
    }

    /// The columns, in the order of the fields.
    pub fn columns() -> impl Iterator<Item = user::Column> {
        use user::Column::{DeactivatedBy, DeletedBy, Erasing, Pruned};
        let belongs_elsewhere =
            |column: &user::Column| matches!(column, DeletedBy | Pruned | Erasing | DeactivatedBy);
        user::Column::iter().filter(move |column| !belongs_elsewhere(column))
    }
}

impl TryFrom<task::Model> for Task {
    type Error = StoreError;

    fn try_from(row: task::Model) -> Result<Self, StoreError> {
        Ok(Self {
            app: AppId(row.app_id),
            id: Uuid::parse_str(&row.id).map_err(|_| StoreError::corrupt("tasks.id"))?,
            kind: row.kind,
            state: TaskState::parse(&row.state).ok_or_else(|| StoreError::corrupt("tasks.state"))?,
            phase: row.phase,
            params: row.params,
            checkpoint: row.checkpoint,
            progress: Progress {
                users_total: row.users_total,
                users_done: row.users_done,
                users_failed: row.users_failed,
                users_unchanged: row.users_unchanged,
                rows_done: row.rows_done,
            },
            revision: row.revision,
            failures: row.failures,
            cancel_requested: row.cancel_requested,
            created_by_id: row.created_by_id,
            reason: row.reason,
            request_id: row.request_id,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            started_at: row.started_at.map(Timestamp::from_micros),
            finished_at: row.finished_at.map(Timestamp::from_micros),
            error: row
                .error_reason
                .map(|reason| TaskError { reason, message: row.error_message.unwrap_or_default() }),
            due_at: row.due_at.map(Timestamp::from_micros),
            result: optional(row.result, "tasks.result")?.unwrap_or_default(),
            lease_epoch: row.lease_epoch,
            accepted_seq: row.accepted_seq,
        })
    }
}

fn from_json<T: serde::de::DeserializeOwned>(value: Value, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|_| StoreError::corrupt(what))
}

fn optional<T: serde::de::DeserializeOwned>(
    value: Option<Value>,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    value.map(|value| from_json(value, what)).transpose()
}
