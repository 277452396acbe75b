//! Names of keys: what one may look like.

/// What [`check`] says when it refuses.
pub const RULE: &str = "must be 1 to 64 characters of A-Z a-z 0-9 _ -, and not `operator`";
/// The name in tokens of the operator, which no app can have.
const OPERATOR: &str = "operator";

/// Refuses what cannot be the name of an app's key.
pub fn check(kid: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&kid.len()) && kid.bytes().all(fits) && kid != OPERATOR { Ok(()) } else { Err(RULE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_short_and_plain() {
        for kid in ["k", "prod-2026_11", &"k".repeat(64), "Operator", "operator-1", "0"] {
            assert_eq!(check(kid), Ok(()), "{kid}");
        }
        for kid in ["", &"k".repeat(65), "operator", "a b", "a.b", "a/b", "\u{e9}", "a\0", "a\n", " a"] {
            assert_eq!(check(kid), Err(RULE), "{kid:?}");
        }
    }
}
