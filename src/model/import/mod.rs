//! Items of an import file: `{"type": T, "item": {...}}`, or `data` for `item`.
//!
//! Judged here is what an item alone can tell; whether what it refers to exists is the domain's question.

mod calls;
mod chat;
mod feeds;
mod fields;
mod user;

use serde_json::Value;

use super::content::{Key, Kind, Need, Row};
use super::id::UserId;
use super::reason::Reason;
use super::violation::{Rule, Violation};
use fields::Fields;

pub use user::{ImportUser, MAX_BLOCKED};

/// The longest item, in bytes.
pub const MAX_ITEM_BYTES: usize = 256 * 1024;

/// Names the distinct channel of these members, who are sorted and different.
pub type NameDistinct<'a> = &'a dyn Fn(&[UserId]) -> String;

/// One item that breaks no rule of form.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A user, whole.
    User(Box<ImportUser>),
    /// Everything else.
    Content(Box<Row>),
}

impl Item {
    /// What names it.
    pub fn key(&self) -> Key {
        match self {
            Self::User(user) => Key::new(Kind::User, [user.profile.id.as_str()]),
            Self::Content(row) => row.key.clone(),
        }
    }

    /// What it refers to.
    pub fn needs(&self) -> &[Need] {
        match self {
            Self::User(_) => &[],
            Self::Content(row) => &row.needs,
        }
    }
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

    fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidField, field, message)
    }

    /// One refusal for several places: the first one's reason and field, and every text.
    pub fn of_all(mut refusals: Vec<Self>) -> Option<Self> {
        let rest = refusals.split_off(refusals.len().min(1));
        let first = refusals.pop()?;
        let texts = rest.iter().take(9).map(|one| format!("{}: {}", one.field, one.message));
        let message = std::iter::once(first.message).chain(texts).collect::<Vec<_>>().join("; ");
        Some(Self { message, ..first })
    }
}

/// One refusal for all that is wrong with an item.
impl From<Vec<Violation>> for ItemRefusal {
    fn from(violations: Vec<Violation>) -> Self {
        let too_large = violations.iter().all(|violation| violation.rule == Rule::TooLarge);
        let reason = if too_large { Reason::TooLarge } else { Reason::InvalidField };
        let all = violations.into_iter().map(|one| Self::new(reason, &one.field, one.description));
        Self::of_all(all.collect()).unwrap_or_else(|| Self::new(reason, "", "is not valid"))
    }
}

/// Whether an item names a user anywhere, by itself or as the id of a feed. What cannot be read names nobody.
pub fn names(json: &[u8], user: &str) -> bool {
    fn within(value: &Value, user: &str) -> bool {
        match value {
            Value::String(text) => text.split(':').any(|part| part == user),
            Value::Array(values) => values.iter().any(|value| within(value, user)),
            Value::Object(members) => members.iter().any(|(name, value)| name == user || within(value, user)),
            _ => false,
        }
    }
    serde_json::from_slice(json).is_ok_and(|item: Value| within(&item, user))
}

/// Reads one item; judges everything that the item alone can tell.
pub fn parse_item(json: &[u8], name: NameDistinct<'_>) -> Result<Item, ItemRefusal> {
    if json.len() > MAX_ITEM_BYTES {
        let message = format!("must be at most {MAX_ITEM_BYTES} bytes");
        return Err(ItemRefusal::new(Reason::TooLarge, "", message));
    }
    // The parser's text would repeat what it met; line and column do not.
    let envelope: Value = serde_json::from_slice(json)
        .map_err(|err| ItemRefusal::invalid("", format!("is not JSON, see column {}", err.column())))?;
    let Value::Object(mut envelope) = envelope else {
        return Err(ItemRefusal::invalid("", "must be a JSON object"));
    };
    let Some(Value::String(kind)) = envelope.remove("type") else {
        return Err(ItemRefusal::invalid("type", "must name the kind of the item"));
    };
    let item = match (envelope.remove("item"), envelope.remove("data")) {
        (Some(_), Some(_)) => Err(ItemRefusal::invalid("", "must have one of `item` and `data`, not both")),
        (Some(Value::Object(item)), None) | (None, Some(Value::Object(item))) => Ok(item),
        _ => Err(ItemRefusal::invalid("item", "must be an object")),
    };
    let read: fn(&mut Fields<'_>) -> Option<Row> = match kind.as_str() {
        "user" => return user::parse(item?).map(|user| Item::User(Box::new(user))),
        "channel" => chat::channel,
        "channel_member" | "member" => chat::member,
        "message" => chat::message,
        // Both products call theirs so; what it is on tells them apart.
        "reaction" => match &item {
            Ok(item) if item.contains_key("activity_id") || item.contains_key("comment_id") => {
                feeds::reaction
            }
            _ => chat::reaction,
        },
        "device" => chat::device,
        "future_channel_ban" => chat::future_channel_ban,
        "flag" => chat::flag,
        "feed" => feeds::feed,
        "activity" => feeds::activity,
        "comment" => feeds::comment,
        "follow" => feeds::follow,
        "call" => calls::call,
        "call_member" => calls::member,
        "channel_mute" | "user_mute" => {
            let message = format!("items of kind `{kind}` cannot be imported");
            return Err(ItemRefusal::new(Reason::KindUnsupported, "type", message));
        }
        _ => return Err(ItemRefusal::invalid("type", "is not a kind of the import format")),
    };
    let mut fields = Fields::new(item?, name);
    let row = read(&mut fields);
    fields.conclude(row).map(|row| Item::Content(Box::new(row)))
}
