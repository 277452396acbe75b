//! Users as messages.

use crate::domain::users::UserView;
use crate::model::clock::Timestamp;
use crate::model::history::{Entry, HistoryKind};
use crate::model::user::{PrivacySetting, PrivacySettings, Profile, PushNotifications, User};
use crate::proto::v1 as pb;
use crate::rpc::json::to_struct;
use crate::rpc::time::to_timestamp;

pub(super) fn user(view: UserView) -> pb::User {
    let UserView { user, blocked_user_ids, online } = view;
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
    pb::User {
        id: id.into(),
        name: name.unwrap_or_default(),
        image: image.unwrap_or_default(),
        role,
        custom: (!custom.is_empty()).then(|| to_struct(custom)),
        language: language.unwrap_or_default(),
        invisible,
        teams,
        teams_role: teams_role.into_iter().collect(),
        privacy_settings: privacy_settings.map(privacy),
        push_notifications: push_notifications.map(push),
        created_at: Some(to_timestamp(created_at)),
        updated_at: Some(to_timestamp(updated_at)),
        last_active: last_active.map(to_timestamp),
        online,
        deactivated_at: deactivated_at.map(to_timestamp),
        deleted_at: deleted_at.map(to_timestamp),
        blocked_user_ids,
        revoke_tokens_issued_before: tokens_revoked_before.map(to_timestamp),
        avg_response_time,
        version,
        deactivated_by_id: deactivation.by_id.unwrap_or_default(),
        deactivation_reason: deactivation.reason.unwrap_or_default(),
    }
}

pub(super) fn history_entry(user_id: &str, entry: Entry) -> pb::UserHistoryEntry {
    pb::UserHistoryEntry {
        user_id: user_id.to_owned(),
        kind: entry.kind.map_or(pb::UserHistoryKind::Unspecified, history_kind).into(),
        at: Some(to_timestamp(entry.at)),
        by_id: entry.cause.by_id.unwrap_or_default(),
        reason: entry.cause.reason.unwrap_or_default(),
        task_id: entry.task.unwrap_or_default(),
    }
}

const fn history_kind(kind: HistoryKind) -> pb::UserHistoryKind {
    match kind {
        HistoryKind::Deactivated => pb::UserHistoryKind::Deactivated,
        HistoryKind::Reactivated => pb::UserHistoryKind::Reactivated,
        HistoryKind::Deleted => pb::UserHistoryKind::Deleted,
        HistoryKind::Pruned => pb::UserHistoryKind::Pruned,
        HistoryKind::Restored => pb::UserHistoryKind::Restored,
        HistoryKind::TokensRevoked => pb::UserHistoryKind::TokensRevoked,
        HistoryKind::RevocationCleared => pb::UserHistoryKind::RevocationCleared,
        HistoryKind::Exported => pb::UserHistoryKind::Exported,
        HistoryKind::ArchiveDownloaded => pb::UserHistoryKind::ArchiveDownloaded,
        HistoryKind::ArchiveLinked => pb::UserHistoryKind::ArchiveLinked,
    }
}

fn privacy(settings: PrivacySettings) -> pb::PrivacySettings {
    let setting = |setting: PrivacySetting| pb::PrivacySetting { enabled: setting.enabled };
    pb::PrivacySettings {
        typing_indicators: settings.typing_indicators.map(setting),
        read_receipts: settings.read_receipts.map(setting),
        delivery_receipts: settings.delivery_receipts.map(setting),
    }
}

fn push(settings: PushNotifications) -> pb::PushNotifications {
    pb::PushNotifications {
        disabled: settings.disabled,
        disabled_until: settings.disabled_until.map(|micros| to_timestamp(Timestamp::from_micros(micros))),
    }
}
