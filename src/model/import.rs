//! Items of an import file: `{"type": T, "item": {...}}`, or `data` for `item`.

use serde_json::Value;

use super::clock::Timestamp;
use super::id::UserId;
use super::json::Object;
use super::reason::Reason;
use super::user::{Profile, UserInput};
use super::user_json::{self, KEPT, texts, time};
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

/// Beside what usher keeps itself, what a file cannot bring.
const RESERVED: [&str; 2] = ["revoke_tokens_issued_before", "avg_response_time"];

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
    for name in KEPT.into_iter().chain(RESERVED) {
        if item.remove(name).is_some() {
            bad.add(name, "is kept by usher itself and cannot be imported");
        }
    }
    let created_at = time(&mut item, "created_at", &mut bad);
    let deactivated_at = time(&mut item, "deactivated_at", &mut bad);
    let deleted_at = time(&mut item, "deleted_at", &mut bad);
    let blocked_user_ids = blocked(&mut item, &mut bad);
    let fields = user_json::read(&mut item, &mut bad);
    let input = UserInput { custom: custom(item, &mut bad), ..fields };
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
