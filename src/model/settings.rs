//! The settings of an app, with their defaults.
//!
//! What is stored holds only what was set, so that a default can change, and a version that does not know a
//! setting leaves it alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings as they count. Each is documented at the proto message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct AppSettings {
    pub guests_enabled: bool,
    /// 0 keeps them.
    pub guest_retention_days: u32,
    pub unique_names: UniqueNames,
    pub max_token_validity_seconds: u32,
    pub token_leeway_seconds: u32,
    /// Empty: none.
    pub token_issuer: String,
    /// Empty: none.
    pub token_audience: String,
    /// 0 keeps them.
    pub retention_days: u32,
    /// 0 keeps them.
    pub history_retention_days: u32,
    pub export_retention_days: u32,
    pub keep_archive_hours: u32,
    pub erasure_due_days: u32,
    pub export_about: ExportAbout,
}

/// What an export says of the controller and its ways; what is empty is as usher says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct ExportAbout {
    pub controller: String,
    pub retention: String,
    pub recipients: Vec<String>,
    pub source: String,
    pub rights: Vec<String>,
}

/// The longest validity of tokens minted here that can be allowed: 365 days.
pub const MAX_TOKEN_VALIDITY_SECONDS: u32 = 365 * 86_400;
/// The largest leeway that can be allowed.
pub const MAX_TOKEN_LEEWAY_SECONDS: u32 = 300;

impl AppSettings {
    /// How far the clock of whoever mints tokens elsewhere may be ahead.
    pub fn token_leeway(&self) -> Duration {
        Duration::from_secs(self.token_leeway_seconds.into())
    }

    /// The longest validity of tokens minted here.
    pub fn max_token_validity(&self) -> Duration {
        Duration::from_secs(self.max_token_validity_seconds.into())
    }
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            guests_enabled: true,
            guest_retention_days: 0,
            unique_names: UniqueNames::None,
            max_token_validity_seconds: MAX_TOKEN_VALIDITY_SECONDS,
            token_leeway_seconds: 5,
            token_issuer: String::new(),
            token_audience: String::new(),
            retention_days: 0,
            history_retention_days: 3 * 365,
            export_retention_days: 30,
            keep_archive_hours: 24,
            erasure_due_days: 30,
            export_about: ExportAbout::default(),
        }
    }
}

/// Among whom a name may stand once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UniqueNames {
    /// Any number of users may have a name.
    #[default]
    None,
    /// One user of the app.
    App,
    /// One user of each team.
    Team,
}

/// Settings to change; the others stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in AppSettings")]
pub struct SettingsChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_names: Option<UniqueNames>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_token_validity_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_leeway_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_archive_hours: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure_due_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_about: Option<ExportAbout>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_stored_is_as_by_default_and_what_is_not_known_is_left_alone() {
        let read = |stored| serde_json::from_value::<AppSettings>(stored).unwrap();
        assert_eq!(read(json!({})), AppSettings::default());
        let stored = json!({"unique_names": "team", "of_a_later_version": [1]});
        assert_eq!(read(stored), AppSettings { unique_names: UniqueNames::Team, ..AppSettings::default() });
    }

    #[test]
    fn a_change_says_only_what_changes() {
        let change = SettingsChange { guests_enabled: Some(false), ..SettingsChange::default() };
        assert_eq!(serde_json::to_value(change).unwrap(), json!({"guests_enabled": false}));
    }
}
