//! Users as JSON objects: how import files and partial updates write them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::clock::Timestamp;
use super::json::Object;
use super::role;
use super::user::{PrivacySetting, PrivacySettings, Profile, PushNotifications, UserInput};
use super::violation::Violations;

/// Fields that usher keeps itself, which nobody writes.
pub(super) const KEPT: [&str; 15] = [
    "online",
    "last_active",
    "updated_at",
    "banned",
    "ban_expires",
    "shadow_banned",
    "version",
    "deactivated_by_id",
    "deactivation_reason",
    "devices",
    "mutes",
    "unread_count",
    "total_unread_count",
    "unread_channels",
    "unread_threads",
];

/// Takes out of `item` what a caller may write of a user, all but `custom`; null is as good as absent.
pub(super) fn read(item: &mut Object, bad: &mut Violations) -> UserInput {
    UserInput {
        id: text(item, "id", bad),
        name: text(item, "name", bad),
        image: text(item, "image", bad),
        role: text(item, "role", bad),
        custom: Object::new(),
        language: text(item, "language", bad),
        invisible: flag(item, "invisible", "invisible", bad),
        teams: texts(item, "teams", bad).unwrap_or_default(),
        teams_role: teams_role(item, bad),
        privacy_settings: privacy_settings(item, bad),
        push_notifications: push_notifications(item, bad),
    }
}

/// What [`read`] makes the same of again, `custom` beside it. What is as it is by default is left out.
pub(super) fn write(profile: Profile) -> Object {
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
    let mut item = Object::new();
    let mut put = |name: &str, value: Option<Value>| {
        item.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("id", Some(id.as_str().into()));
    put("name", name.map(Value::from));
    put("image", image.map(Value::from));
    put("role", (role != role::DEFAULT).then(|| role.into()));
    put("custom", Some(Value::Object(custom)));
    put("language", language.map(Value::from));
    put("invisible", invisible.then(|| true.into()));
    put("teams", (!teams.is_empty()).then(|| teams.into()));
    let by_team: Object = teams_role.into_iter().map(|(team, role)| (team, role.into())).collect();
    put("teams_role", Some(by_team.into()));
    put("privacy_settings", privacy_settings.map(privacy_object));
    put("push_notifications", push_notifications.map(|settings| push_object(settings).into()));
    item
}

#[expect(clippy::expect_used, reason = "going on would drop what a user hides")]
fn privacy_object(settings: PrivacySettings) -> Value {
    serde_json::to_value(settings).expect("privacy settings are flags with names")
}

fn push_object(settings: PushNotifications) -> Object {
    let until = settings.disabled_until.map(|micros| Timestamp::from_micros(micros).to_string());
    let mut object = Object::new();
    object.insert("disabled".to_owned(), settings.disabled.into());
    object.extend(until.map(|until| ("disabled_until".to_owned(), until.into())));
    object
}

/// The value of `name`, absent where null.
pub(super) fn value(item: &mut Object, name: &str) -> Option<Value> {
    item.remove(name).filter(|value| !value.is_null())
}

pub(super) fn text(item: &mut Object, name: &str, bad: &mut Violations) -> String {
    match value(item, name) {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(_) => {
            bad.add(name, "must be a string");
            String::new()
        }
    }
}

pub(super) fn flag(item: &mut Object, name: &str, path: &str, bad: &mut Violations) -> bool {
    match value(item, name) {
        None => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => {
            bad.add(path, "must be true or false");
            false
        }
    }
}

/// A time in RFC 3339.
pub(super) fn time(item: &mut Object, name: &str, bad: &mut Violations) -> Option<Timestamp> {
    let value = value(item, name)?;
    let time = value.as_str().and_then(Timestamp::parse);
    if time.is_none() {
        bad.add(name, "must be a time as in RFC 3339, such as 2024-05-01T12:00:00Z");
    }
    time
}

pub(super) fn object(item: &mut Object, name: &str, bad: &mut Violations) -> Option<Object> {
    if let Value::Object(object) = value(item, name)? {
        Some(object)
    } else {
        bad.add(name, "must be an object");
        None
    }
}

/// An array of strings.
pub(super) fn texts(item: &mut Object, name: &str, bad: &mut Violations) -> Option<Vec<String>> {
    let Value::Array(members) = value(item, name)? else {
        bad.add(name, "must be an array of strings");
        return None;
    };
    let mut texts = Vec::with_capacity(members.len());
    for (at, member) in members.into_iter().enumerate() {
        match member {
            Value::String(text) => texts.push(text),
            _ => bad.add(format!("{name}[{at}]"), "must be a string"),
        }
    }
    Some(texts)
}

fn teams_role(item: &mut Object, bad: &mut Violations) -> BTreeMap<String, String> {
    let mut roles = BTreeMap::new();
    for (team, role) in object(item, "teams_role", bad).unwrap_or_default() {
        match role {
            Value::String(role) => {
                roles.insert(team, role);
            }
            _ => bad.add("teams_role", "must be an object of role names by team"),
        }
    }
    roles
}

fn privacy_settings(item: &mut Object, bad: &mut Violations) -> Option<PrivacySettings> {
    let mut settings = object(item, "privacy_settings", bad)?;
    let mut setting = |name: &str| {
        let path = format!("privacy_settings.{name}");
        if let Value::Object(mut setting) = value(&mut settings, name)? {
            let enabled = flag(&mut setting, "enabled", &format!("{path}.enabled"), bad);
            only_known(&path, &setting, bad);
            Some(PrivacySetting { enabled })
        } else {
            bad.add(path, "must be an object with `enabled`");
            None
        }
    };
    let parsed = PrivacySettings {
        typing_indicators: setting("typing_indicators"),
        read_receipts: setting("read_receipts"),
        delivery_receipts: setting("delivery_receipts"),
    };
    only_known("privacy_settings", &settings, bad);
    Some(parsed)
}

fn push_notifications(item: &mut Object, bad: &mut Violations) -> Option<PushNotifications> {
    let mut settings = object(item, "push_notifications", bad)?;
    let disabled = flag(&mut settings, "disabled", "push_notifications.disabled", bad);
    let mut inner = Violations::new();
    let disabled_until = time(&mut settings, "disabled_until", &mut inner).map(Timestamp::micros);
    bad.extend("push_notifications", inner.into_result(()).err().unwrap_or_default());
    only_known("push_notifications", &settings, bad);
    Some(PushNotifications { disabled, disabled_until })
}

pub(super) fn only_known(name: &str, left: &Object, bad: &mut Violations) {
    if !left.is_empty() {
        bad.add(name, "has a field that is not known");
    }
}
