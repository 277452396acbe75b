//! Calls: their names, and what members are in them.

use super::clock::Timestamp;
use super::id::parse_cid;
use super::json::Object;

/// The role of a member where nobody said another one.
pub const DEFAULT_ROLE: &str = "call_member";

/// The name of a call, `type:id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cid {
    pub kind: String,
    pub id: String,
}

impl Cid {
    /// Takes `text` as a name if it is one.
    #[expect(clippy::expect_used, reason = "going on would make a call without a name")]
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = parse_cid(text.to_owned())?;
        let (kind, id) = text.split_once(':').expect("a cid has a colon");
        Ok(Self { kind: kind.to_owned(), id: id.to_owned() })
    }
}

impl std::fmt::Display for Cid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// A call as stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Call {
    pub cid: Cid,
    /// `None` where it came to be by redeeming a token.
    pub created_by_id: Option<String>,
    pub custom: Object,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

/// A member of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Member {
    pub user_id: String,
    pub role: String,
    pub created_at: Timestamp,
}

/// What a member of role `current` becomes by a token that grants `given`; `None` where it stays what it is.
///
/// A membership is never narrowed: the role changes only to one of a higher level.
pub fn widened<'a>(current: &str, given: &'a str) -> Option<&'a str> {
    (level(given) > level(current)).then_some(given)
}

/// How much a role permits in a call. Roles of one level stand beside each other.
fn level(role: &str) -> u8 {
    match role {
        DEFAULT_ROLE | "channel_member" => 0,
        "anonymous" => 1,
        "guest" => 2,
        "user" => 3,
        "admin" | "global_admin" => 5,
        // Moderators, and the app's own: `host`, `speaker`.
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_widened_and_never_narrowed() {
        for (current, given) in [
            (DEFAULT_ROLE, "host"),
            (DEFAULT_ROLE, "user"),
            ("guest", "user"),
            ("user", "host"),
            ("host", "admin"),
            ("moderator", "admin"),
        ] {
            assert_eq!(widened(current, given), Some(given), "{current} to {given}");
            assert_eq!(widened(given, current), None, "{given} to {current}");
        }
        for (one, other) in [("host", "speaker"), ("host", "moderator"), ("host", "host")] {
            assert_eq!((widened(one, other), widened(other, one)), (None, None), "{one} and {other}");
        }
    }
}
