//! User items.

use super::ItemRefusal;
use super::fields::custom;
use crate::model::clock::Timestamp;
use crate::model::id::UserId;
use crate::model::json::Object;
use crate::model::user::{Profile, PushNotifications, UserInput};
use crate::model::user_json::{self, KEPT, object, only_known, text, texts, time};
use crate::model::violation::Violations;

/// Users that one user can have blocked.
pub const MAX_BLOCKED: usize = 1_000;

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

/// Reads a user item.
pub(super) fn parse(mut item: Object) -> Result<ImportUser, ItemRefusal> {
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
    // usher knows no mutes. As free data they would name users who may be erased one day.
    for mutes in ["channel_mutes", "user_mutes"] {
        texts(&mut item, mutes, &mut bad);
    }
    let preferences = push_preferences(&mut item, &mut bad);
    let fields = user_json::read(&mut item, &mut bad);
    let push_notifications = fields.push_notifications.or(preferences);
    let input = UserInput { custom: custom(item, &mut bad), push_notifications, ..fields };
    let profile = input.check(&mut bad);
    match (bad.into_result(()), profile) {
        (Ok(()), Some(profile)) => {
            Ok(ImportUser { profile, created_at, deactivated_at, deleted_at, blocked_user_ids })
        }
        (result, _) => Err(result.err().unwrap_or_default().into()),
    }
}

/// What the newer of two names for the same says. Levels between all and nothing count as all.
fn push_preferences(item: &mut Object, bad: &mut Violations) -> Option<PushNotifications> {
    const FIELD: &str = "push_preferences";
    const LEVELS: [&str; 6] = ["all", "all_mentions", "mentions", "direct_mentions", "none", "default"];
    let mut preferences = object(item, FIELD, bad)?;
    let mut inner = Violations::new();
    let level = text(&mut preferences, "chat_level", &mut inner);
    if !level.is_empty() && !LEVELS.contains(&level.as_str()) {
        inner.add("chat_level", format!("must be one of {}", LEVELS.join(", ")));
    }
    let disabled_until = time(&mut preferences, "disabled_until", &mut inner).map(Timestamp::micros);
    bad.extend(FIELD, inner.into_result(()).err().unwrap_or_default());
    only_known(FIELD, &preferences, bad);
    Some(PushNotifications { disabled: level == "none", disabled_until })
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
