//! Users: what is stored, what callers write, and the rules for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::history::Cause;
use super::id::UserId;
use super::json::{self, Object};
use super::reason::Reason;
use super::role;
use super::violation::Violations;

/// A user as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// What callers write.
    pub profile: Profile,
    /// When first stored.
    pub created_at: Timestamp,
    /// When last changed; never goes back.
    pub updated_at: Timestamp,
    /// Set while deactivated.
    pub deactivated_at: Option<Timestamp>,
    /// Who asked for the deactivation, and why; nothing while active.
    pub deactivation: Cause,
    /// Set while softly deleted.
    pub deleted_at: Option<Timestamp>,
    /// Tokens issued before are refused, where any were revoked.
    pub tokens_revoked_before: Option<Timestamp>,
    /// When last connected or kept alive; `None` where it never was. Up to a few seconds late.
    pub last_active: Option<Timestamp>,
    /// Seconds the user takes to answer, as somebody told; usher does not compute it.
    pub avg_response_time: Option<f64>,
    /// Rises with every stored change but those of presence, from 1.
    pub version: i64,
}

impl User {
    /// The user's id.
    pub const fn id(&self) -> &UserId {
        &self.profile.id
    }

    /// Why it cannot act in its present state, and is not written to, if so.
    pub const fn barred(&self) -> Option<Reason> {
        barred(self.deleted_at.is_some(), self.deactivated_at.is_some())
    }

    /// The same with nothing personal left: id, role and times.
    #[must_use]
    pub fn pruned(&self, now: Timestamp) -> Self {
        Self {
            profile: Profile::bare(self.profile.id.clone(), self.profile.role.clone()),
            deactivation: Cause::default(),
            avg_response_time: None,
            updated_at: now.max(self.updated_at),
            version: self.version + 1,
            ..*self
        }
    }
}

impl Profile {
    /// Nothing but an id and a role.
    pub fn bare(id: UserId, role: String) -> Self {
        Self {
            id,
            name: None,
            image: None,
            role,
            custom: Object::new(),
            language: None,
            invisible: false,
            teams: Vec::new(),
            teams_role: BTreeMap::new(),
            privacy_settings: None,
            push_notifications: None,
        }
    }
}

/// Why a user in this state cannot act, if so.
pub const fn barred(is_deleted: bool, is_deactivated: bool) -> Option<Reason> {
    match (is_deleted, is_deactivated) {
        (true, _) => Some(Reason::UserDeleted),
        (_, true) => Some(Reason::UserDeactivated),
        _ => None,
    }
}

/// The part of a user that callers write, valid by [`UserInput::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Never changes.
    pub id: UserId,
    /// `None` where empty.
    pub name: Option<String>,
    /// `None` where empty.
    pub image: Option<String>,
    /// Exists.
    pub role: String,
    /// Free data.
    pub custom: Object,
    /// `None` where empty.
    pub language: Option<String>,
    /// Wants to be shown as offline.
    pub invisible: bool,
    /// Without duplicates, in the caller's order.
    pub teams: Vec<String>,
    /// Role by team.
    pub teams_role: BTreeMap<String, String>,
    /// `None` until any is set.
    pub privacy_settings: Option<PrivacySettings>,
    /// `None` until set.
    pub push_notifications: Option<PushNotifications>,
}

/// What a user lets others see; `None` counts as enabled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PrivacySettings {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub typing_indicators: Option<PrivacySetting>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub read_receipts: Option<PrivacySetting>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delivery_receipts: Option<PrivacySetting>,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PrivacySetting {
    #[serde(default)]
    pub enabled: bool,
}

/// Whether push messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushNotifications {
    /// Not sent.
    #[serde(default)]
    pub disabled: bool,
    /// Until when, in microseconds since the epoch; `None`: until further notice.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disabled_until: Option<i64>,
}

/// The most a user may weigh as JSON, in bytes.
pub const MAX_BYTES: usize = 5 * 1024;
const MAX_TEAMS: usize = 250;

/// A user as a caller sent it, unchecked.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "as in Profile")]
pub struct UserInput {
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    #[serde(skip_serializing_if = "Object::is_empty")]
    pub custom: Object,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub teams_role: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_settings: Option<PrivacySettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_notifications: Option<PushNotifications>,
}

impl UserInput {
    /// The profile this is, if it breaks no rule of form; violations are noted by field name.
    ///
    /// Whether roles exist is a rule of the world and not judged here.
    pub fn check(self, bad: &mut Violations) -> Option<Profile> {
        let mut found = Violations::new();
        let bytes = serde_json::to_vec(&self).map_or(usize::MAX, |json| json.len());
        let custom = if bytes > MAX_BYTES {
            found.add_too_large("", format!("must be at most {MAX_BYTES} bytes as JSON, is {bytes}"));
            Object::new()
        } else {
            json::normalise(self.custom, "custom", &mut found)
        };
        let id = found.take("id", UserId::parse(self.id));
        let name = checked_name(self.name, &mut found);
        let image = checked_text("image", self.image, 2_048, &mut found);
        let role = checked_text("role", self.role, 64, &mut found);
        let language = checked_text("language", self.language, 64, &mut found);
        let teams = checked_teams(self.teams, &mut found);
        check_teams_role(&self.teams_role, &mut found);

        match found.into_result(()) {
            Err(violations) => {
                bad.extend("", violations);
                None
            }
            Ok(()) => Some(Profile {
                id: id?,
                name,
                image,
                role: role.unwrap_or_else(|| role::DEFAULT.to_owned()),
                custom,
                language,
                invisible: self.invisible,
                teams,
                teams_role: self.teams_role,
                privacy_settings: self.privacy_settings,
                push_notifications: self.push_notifications,
            }),
        }
    }
}

/// The name a user may have, `None` where empty; noted as `name` where it breaks a rule.
pub fn checked_name(name: String, bad: &mut Violations) -> Option<String> {
    if name.chars().nth(255).is_some() {
        bad.add("name", "must be at most 255 characters");
    }
    checked_text("name", name, usize::MAX, bad)
}

fn checked_text(field: &str, text: String, max_bytes: usize, bad: &mut Violations) -> Option<String> {
    if text.len() > max_bytes {
        bad.add(field, format!("must be at most {max_bytes} bytes"));
    }
    if text.contains('\0') {
        bad.add(field, "must not contain a NUL character");
    }
    (!text.is_empty()).then_some(text)
}

fn check_team(field: String, team: &str, bad: &mut Violations) {
    if !(1..=100).contains(&team.len()) {
        bad.add(field, "must be 1 to 100 bytes");
    } else if team.contains('\0') {
        bad.add(field, "must not contain a NUL character");
    }
}

fn checked_teams(teams: Vec<String>, bad: &mut Violations) -> Vec<String> {
    if teams.len() > MAX_TEAMS {
        bad.add("teams", format!("must be at most {MAX_TEAMS} teams"));
    }
    for (at, team) in teams.iter().take(MAX_TEAMS).enumerate() {
        check_team(format!("teams[{at}]"), team, bad);
    }
    let mut seen = BTreeSet::new();
    teams.into_iter().filter(|team| seen.insert(team.clone())).collect()
}

fn check_teams_role(teams_role: &BTreeMap<String, String>, bad: &mut Violations) {
    if teams_role.len() > MAX_TEAMS {
        bad.add("teams_role", format!("must be at most {MAX_TEAMS} teams"));
    }
    for (team, role) in teams_role.iter().take(MAX_TEAMS) {
        check_team("teams_role".to_owned(), team, bad);
        if role.is_empty() || role.len() > 64 || role.contains('\0') {
            bad.add("teams_role", "must name a role of 1 to 64 bytes for each team");
        }
    }
}

/// The roles a profile names, with the field each stands in.
pub fn roles_named(profile: &Profile) -> impl Iterator<Item = (&'static str, &str)> {
    std::iter::once(("role", profile.role.as_str()))
        .chain(profile.teams_role.values().map(|role| ("teams_role", role.as_str())))
}
