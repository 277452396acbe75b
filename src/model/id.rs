//! Identifiers, valid by construction.

use std::fmt;

use uuid::Uuid;

/// A user's id: 1 to 255 characters of `A-Z a-z 0-9 _ - @`, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// What [`Self::parse`] tells when it refuses.
    pub const RULE: &'static str = "must be 1 to 255 characters of A-Z a-z 0-9 _ - @";

    /// Takes `text` as an id if it is one.
    pub fn parse(text: impl Into<String>) -> Result<Self, &'static str> {
        let text = text.into();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'@');
        if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err(Self::RULE)
        }
    }

    /// Takes an id from the database, where only valid ones are.
    pub fn stored(text: String) -> Self {
        debug_assert!(Self::parse(text.clone()).is_ok(), "the database holds valid ids only");
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for UserId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

/// A task's id.
pub type TaskId = Uuid;

/// An app's number. Small, since it leads every key of every table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub i32);

/// Text a caller chose to name a request or an import: 1 to 128 bytes, no control characters.
pub fn parse_request_id(text: String) -> Result<String, &'static str> {
    if (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err("must be 1 to 128 bytes without control characters")
    }
}

/// A word: 1 to 64 characters of `A-Z a-z 0-9 _ -`.
pub fn parse_word(text: String) -> Result<String, &'static str> {
    if is_word(&text) { Ok(text) } else { Err("must be 1 to 64 characters of A-Z a-z 0-9 _ -") }
}

/// The name of a channel or call: `type:id`, both words.
pub fn parse_cid(text: String) -> Result<String, &'static str> {
    match text.split_once(':') {
        Some((kind, id)) if is_word(kind) && is_word(id) => Ok(text),
        _ => Err("must be type:id, both 1 to 64 characters of A-Z a-z 0-9 _ -"),
    }
}

fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outside_the_pattern_are_refused() {
        for bad in ["", "a b", "é", "a|b", "a.b", "a\0", "a\n", &"x".repeat(256)] {
            assert!(UserId::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "A@b-c_9", &"x".repeat(255)] {
            assert!(UserId::parse(good).is_ok(), "{good:?}");
        }
    }
}
