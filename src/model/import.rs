//! Items of an import file: `{"type": T, "item": {...}}`, or `data` for `item`.

use serde_json::Value;

use super::clock::Timestamp;
use super::id::UserId;
use super::json::Object;
use super::reason::Reason;
use super::user::{PrivacySetting, PrivacySettings, Profile, PushNotifications, UserInput};
use super::violation::{Rule, Violation, Violations};

/// The longest item, in bytes.
pub const MAX_ITEM_BYTES: usize = 256 * 1024;

/// Users that one user can have blocked.
pub const MAX_BLOCKED: usize = 1_000;

/// Kinds of the format that usher does not hold yet; anything else is not of the format.
const OTHER_KINDS: [&str; 16] = [
    "device",
    "channel",
    "channel_member",
    "member",
    "message",
    "reaction",
    "future_channel_ban",
    "feed",
    "activity",
    "comment",
    "follow",
    "flag",
    "call",
    "call_member",
    "channel_mute",
    "user_mute",
];

/// Fields that usher keeps itself.
const RESERVED: [&str; 15] = [
    "online",
    "last_active",
    "updated_at",
    "banned",
    "ban_expires",
    "shadow_banned",
    "version",
    "devices",
    "mutes",
    "unread_count",
    "total_unread_count",
    "unread_channels",
    "unread_threads",
    "revoke_tokens_issued_before",
    "avg_response_time",
];

/// A user of an import file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportUser {
    /// As for any user; fields of the file without a name here are in `custom`.
    pub profile: Profile,
    /// Now, where the file does not say.
    pub created_at: Option<Timestamp>,
    /// The user comes deactivated.
    pub deactivated_at: Option<Timestamp>,
    /// The user comes deleted.
    pub deleted_at: Option<Timestamp>,
    /// `None` leaves blocks as they are.
    pub blocked_user_ids: Option<Vec<UserId>>,
}

/// Why an item is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRefusal {
    /// The reason told.
    pub reason: Reason,
    /// Path within the item.
    pub field: String,
    /// For people.
    pub message: String,
}

impl ItemRefusal {
    /// A refusal for `reason`.
    pub fn new(reason: Reason, field: &str, message: impl Into<String>) -> Self {
        Self { reason, field: field.to_owned(), message: message.into() }
    }
}

/// One refusal for all that is wrong with an item: the first field, and every text.
impl From<Vec<Violation>> for ItemRefusal {
    fn from(violations: Vec<Violation>) -> Self {
        let too_large = violations.iter().all(|violation| violation.rule == Rule::TooLarge);
        let reason = if too_large { Reason::TooLarge } else { Reason::InvalidField };
        let field = violations.first().map(|violation| violation.field.clone()).unwrap_or_default();
        let texts = violations.iter().take(10).enumerate().map(|(at, violation)| match at {
            0 => violation.description.clone(),
            _ => format!("{}: {}", violation.field, violation.description),
        });
        Self { reason, field, message: texts.collect::<Vec<_>>().join("; ") }
    }
}

/// Reads one item; judges everything that the item alone can tell.
pub fn parse_item(json: &[u8]) -> Result<ImportUser, ItemRefusal> {
    let invalid = |field: &str, message: &str| ItemRefusal::new(Reason::InvalidField, field, message);
    if json.len() > MAX_ITEM_BYTES {
        let message = format!("must be at most {MAX_ITEM_BYTES} bytes");
        return Err(ItemRefusal::new(Reason::TooLarge, "", message));
    }
    // The parser's text would repeat what it met; line and column do not.
    let envelope: Value = serde_json::from_slice(json)
        .map_err(|err| invalid("", &format!("is not JSON, see column {}", err.column())))?;
    let Value::Object(mut envelope) = envelope else { return Err(invalid("", "must be a JSON object")) };
    let Some(Value::String(kind)) = envelope.remove("type") else {
        return Err(invalid("type", "must name the kind of the item"));
    };
    if kind != "user" {
        return Err(match OTHER_KINDS.iter().find(|known| **known == kind) {
            Some(known) => ItemRefusal::new(
                Reason::KindUnsupported,
                "type",
                format!("items of kind `{known}` cannot be imported yet"),
            ),
            None => invalid("type", "is not a kind of the import format"),
        });
    }
    match (envelope.remove("item"), envelope.remove("data")) {
        (Some(Value::Object(item)), None) | (None, Some(Value::Object(item))) => parse_user(item),
        (Some(_), Some(_)) => Err(invalid("", "must have one of `item` and `data`, not both")),
        _ => Err(invalid("item", "must be an object")),
    }
}

fn parse_user(mut item: Object) -> Result<ImportUser, ItemRefusal> {
    let mut bad = Violations::new();
    for name in RESERVED {
        if item.remove(name).is_some() {
            bad.add(name, "is kept by usher itself and cannot be imported");
        }
    }
    let created_at = time(&mut item, "created_at", &mut bad);
    let deactivated_at = time(&mut item, "deactivated_at", &mut bad);
    let deleted_at = time(&mut item, "deleted_at", &mut bad);
    let blocked_user_ids = blocked(&mut item, &mut bad);
    let input = UserInput {
        id: text(&mut item, "id", &mut bad),
        name: text(&mut item, "name", &mut bad),
        image: text(&mut item, "image", &mut bad),
        role: text(&mut item, "role", &mut bad),
        language: text(&mut item, "language", &mut bad),
        invisible: flag(&mut item, "invisible", "invisible", &mut bad),
        teams: teams(&mut item, &mut bad),
        teams_role: teams_role(&mut item, &mut bad),
        privacy_settings: privacy_settings(&mut item, &mut bad),
        push_notifications: push_notifications(&mut item, &mut bad),
        custom: custom(item, &mut bad),
    };
    let profile = input.check(&mut bad);
    match (bad.into_result(()), profile) {
        (Ok(()), Some(profile)) => {
            Ok(ImportUser { profile, created_at, deactivated_at, deleted_at, blocked_user_ids })
        }
        (result, _) => Err(result.err().unwrap_or_default().into()),
    }
}

/// What is left is custom data; an object called `custom` is laid beneath it.
fn custom(mut item: Object, bad: &mut Violations) -> Object {
    match item.remove("custom") {
        None | Some(Value::Null) => item,
        Some(Value::Object(mut custom)) => {
            custom.append(&mut item);
            custom
        }
        Some(_) => {
            bad.add("custom", "must be an object");
            item
        }
    }
}

/// The value of `name`, absent where null.
fn value(item: &mut Object, name: &str) -> Option<Value> {
    item.remove(name).filter(|value| !value.is_null())
}

fn text(item: &mut Object, name: &str, bad: &mut Violations) -> String {
    match value(item, name) {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(_) => {
            bad.add(name, "must be a string");
            String::new()
        }
    }
}

fn flag(item: &mut Object, name: &str, path: &str, bad: &mut Violations) -> bool {
    match value(item, name) {
        None => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => {
            bad.add(path, "must be true or false");
            false
        }
    }
}

fn time(item: &mut Object, name: &str, bad: &mut Violations) -> Option<Timestamp> {
    let value = value(item, name)?;
    let time = value.as_str().and_then(Timestamp::parse);
    if time.is_none() {
        bad.add(name, "must be a time as in RFC 3339, such as 2024-05-01T12:00:00Z");
    }
    time
}

fn object(item: &mut Object, name: &str, bad: &mut Violations) -> Option<Object> {
    if let Value::Object(object) = value(item, name)? {
        Some(object)
    } else {
        bad.add(name, "must be an object");
        None
    }
}

fn texts(item: &mut Object, name: &str, bad: &mut Violations) -> Option<Vec<String>> {
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

fn teams(item: &mut Object, bad: &mut Violations) -> Vec<String> {
    texts(item, "teams", bad).unwrap_or_default()
}

fn teams_role(item: &mut Object, bad: &mut Violations) -> std::collections::BTreeMap<String, String> {
    let mut roles = std::collections::BTreeMap::new();
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

fn blocked(item: &mut Object, bad: &mut Violations) -> Option<Vec<UserId>> {
    let ids = texts(item, "blocked_user_ids", bad)?;
    let mut blocked = Vec::with_capacity(ids.len());
    for (at, id) in ids.into_iter().enumerate() {
        blocked.extend(bad.take(format!("blocked_user_ids[{at}]"), UserId::parse(id)));
    }
    blocked.sort_unstable();
    blocked.dedup();
    if blocked.len() > MAX_BLOCKED {
        bad.add_too_large("blocked_user_ids", format!("must be at most {MAX_BLOCKED} users"));
    }
    Some(blocked)
}

fn privacy_settings(item: &mut Object, bad: &mut Violations) -> Option<PrivacySettings> {
    let mut settings = object(item, "privacy_settings", bad)?;
    let mut setting = |name: &str| {
        let path = format!("privacy_settings.{name}");
        if let Value::Object(mut setting) = value(&mut settings, name)? {
            let enabled = flag(&mut setting, "enabled", &format!("{path}.enabled"), bad);
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

fn only_known(name: &str, left: &Object, bad: &mut Violations) {
    if !left.is_empty() {
        bad.add(name, "has a field that is not known");
    }
}
