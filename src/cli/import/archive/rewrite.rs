//! Makes an item of an import of a record, by itself: what an import does not take and what is not trusted goes.

use serde_json::{Map, Value};

use super::summary::Why;
use crate::model::call;
use crate::model::content::ENDED;
use crate::model::id::UserId;
use crate::model::role;

/// What becomes of a record.
pub(super) enum Rewritten {
    Item(Map<String, Value>, Notes),
    /// It is left out.
    Left(Why),
}

/// What was changed, to be counted once.
pub(super) type Notes = Vec<(Why, String)>;

/// The kinds of records that an import takes, as exports call them.
const KINDS: [&str; 14] = [
    "user",
    "device",
    "channel",
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
];

/// Fields that name one user; without it the record says nothing.
const PERSONS: [&str; 5] = ["user_id", "user", "created_by", "created_by_id", "target_id"];
/// Lists of users that say something else without one of them.
const WHOLE: [&str; 2] = ["member_ids", "channel_member_ids"];
const LISTS: [&str; 5] = [
    "blocked_user_ids",
    "banned_users",
    "mentioned_users_ids",
    "mentioned_user_ids",
    "restricted_visibility",
];

/// What grants or denies something to people, and its value where it does neither.
const PRIVILEGES: [(&str, &str, &str); 8] = [
    ("user", "role", role::DEFAULT),
    ("user", "teams", ""),
    ("user", "teams_role", ""),
    ("member", "channel_role", "channel_member"),
    ("member", "is_moderator", ""),
    ("call_member", "role", call::DEFAULT_ROLE),
    ("channel", "banned_users", ""),
    // Users are in no teams then, so nobody could be a member.
    ("channel", "team", ""),
];

/// Whether records of this type are items of imports.
pub(super) fn is_importable(kind: &str) -> bool {
    KINDS.contains(&kind)
}

pub(super) fn rewrite(kind: &str, mut item: Map<String, Value>, trusted: bool) -> Rewritten {
    if !trusted && kind == "future_channel_ban" {
        return Rewritten::Left(Why::Untrusted);
    }
    // Nothing is left of a comment that was pruned.
    if kind == "comment" && item.get("text").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Rewritten::Left(Why::Blank);
    }
    let mut notes = Notes::new();
    if !trusted {
        drop_privileges(kind, &mut item, &mut notes);
    }
    name_channel(kind, &mut item);
    if check_ids(kind, &mut item, &mut notes) {
        Rewritten::Item(item, notes)
    } else {
        Rewritten::Left(Why::Id)
    }
}

fn drop_privileges(kind: &str, item: &mut Map<String, Value>, notes: &mut Notes) {
    for (_, field, default) in PRIVILEGES.into_iter().filter(|(of, ..)| *of == kind) {
        if let Some(value) = item.remove(field) {
            let says_nothing = match &value {
                Value::Null => true,
                Value::Bool(flag) => !flag,
                Value::String(text) => text == default || text.is_empty(),
                Value::Array(list) => list.is_empty(),
                Value::Object(object) => object.is_empty(),
                Value::Number(_) => false,
            };
            if !says_nothing {
                notes.push((Why::Untrusted, format!("{kind}.{field}")));
            }
        }
    }
}

/// A channel that was named by its members until one was deleted has an id that only usher gives.
fn name_channel(kind: &str, item: &mut Map<String, Value>) {
    let field = if kind == "channel" { "id" } else { "channel_id" };
    if let Some(Value::String(id)) = item.get_mut(field)
        && id.starts_with(ENDED)
    {
        id.remove(0);
    }
}

/// False where an id that it needs is none of a user.
fn check_ids(kind: &str, item: &mut Map<String, Value>, notes: &mut Notes) -> bool {
    let of_kind = match kind {
        "user" => Some("id"),
        "flag" if item.get("entity_type").is_some_and(|entity| entity == "user") => Some("entity_id"),
        _ => None,
    };
    let mut persons = PERSONS.into_iter().chain(of_kind).filter_map(|field| item.get(field));
    let mut members = WHOLE.into_iter().filter_map(|field| item.get(field)?.as_array()).flatten();
    if persons.any(is_bad_id) || members.any(is_bad_id) {
        return false;
    }
    if item.get("pinned_by_id").is_some_and(is_bad_id) {
        for field in ["pinned_by_id", "pinned_at", "pin_expires"] {
            item.remove(field);
        }
        notes.push((Why::Id, format!("{kind}.pinned_by_id")));
    }
    for field in LISTS {
        let Some(Value::Array(list)) = item.get_mut(field) else { continue };
        let before = list.len();
        list.retain(|id| !is_bad_id(id));
        notes.extend((list.len()..before).map(|_| (Why::Id, format!("{kind}.{field}"))));
        // An empty list of those who may see it means everybody.
        if field == "restricted_visibility" && list.is_empty() && before > 0 {
            return false;
        }
    }
    true
}

/// Text that is not a valid id. The server refuses a value that is not text.
fn is_bad_id(value: &Value) -> bool {
    value.as_str().is_some_and(|id| !id.is_empty() && UserId::parse(id).is_err())
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
