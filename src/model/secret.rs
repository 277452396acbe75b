//! Secrets of keys: what one may look like.

use std::collections::BTreeSet;

/// What [`check`] tells when it refuses.
pub const RULE: &str = "must be 32 to 512 printable ASCII characters without spaces, from a random generator";

const LENGTH: std::ops::RangeInclusive<usize> = 32..=512;
/// What a random generator makes has more different characters than this.
const MIN_DISTINCT: usize = 10;
/// Secrets that stand in documentation, where everybody has read them.
const KNOWN: [&str; 5] = [
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "this-is-a-secret-key-for-jwt-token-generation",
    "0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz123456",
];

/// Refuses what cannot be an HMAC key that nobody guesses (RFC 7518, 3.2): too short, not random, well known.
pub fn check(secret: &str) -> Result<(), &'static str> {
    let printable = secret.bytes().all(|byte| byte.is_ascii_graphic());
    let distinct = secret.bytes().collect::<BTreeSet<_>>().len();
    let known = KNOWN.contains(&secret.to_ascii_lowercase().as_str());
    if LENGTH.contains(&secret.len()) && printable && distinct >= MIN_DISTINCT && !known {
        Ok(())
    } else {
        Err(RULE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_refused() {
        let short = "abcdefghijklmnopqrstuvwxyz01234";
        let weak =
            ["", "secret", short, &"0".repeat(64), &"password".repeat(4), &"abc123".repeat(8), KNOWN[0], "A"];
        for weak in weak {
            assert!(check(weak).is_err(), "{weak}");
        }
        for odd in ["\u{e9}", " ", "\n", "\0", "\u{7f}"] {
            assert!(check(&format!("kP3v9XqL0sT7mZ2bR5nW8yC1dF4gH6jK{odd}")).is_err(), "{odd:?}");
        }
        assert!(check(&"kP3v9XqL0sT7mZ2bR5nW8yC1dF4gH6jK".repeat(17)).is_err(), "too long");
        assert!(check("kP3v9XqL0sT7mZ2bR5nW8yC1dF4gH6jK").is_ok());
    }
}
