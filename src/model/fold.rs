//! One form for all texts that people take for the same: search and unique names compare by it.
//!
//! Folded here and not by a database: each has another idea of letters, if any.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// `text` whatever its case, its width, and how its characters are composed; without what cannot be seen.
pub fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { fold_kept(text, |c| !is_invisible(c)) }
}

/// The same with nothing but letters, digits and what combines with them.
pub fn fold_letters(text: &str) -> String {
    if text.is_ascii() {
        return text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    }
    fold_kept(text, |c| c.is_alphanumeric() || (is_combining_mark(c) && !is_invisible(c)))
}

fn fold_kept(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    text.nfkc()
        .filter(|c| is_kept(*c))
        // Both ways: some letters have one upper case, or one lower case, in common.
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

/// Marks and joiners that change nothing one could see.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{200c}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_folded_as_any_other() {
        let all: String = (0..=127_u8).map(char::from).collect();
        assert_eq!(fold(&all), fold_kept(&all, |c| !is_invisible(c)));
        assert_eq!(fold_letters(&all), fold_kept(&all, char::is_alphanumeric));
    }

    #[test]
    fn what_people_take_for_the_same_is_folded_to_the_same() {
        for same in [
            &["Ada", "ADA", "\u{ff21}\u{ff44}\u{ff41}", "a\u{ad}da", "ada\u{fe0f}"][..],
            &["Stra\u{df}e", "STRASSE", "STRA\u{1e9e}E"],
            &["\u{c9}mile", "e\u{301}mile"],
            &["\u{fb01}n", "FIN"],
            &[
                "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
                "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}",
            ],
            &["\u{ff80}\u{ff9e}", "\u{30c0}"],
            &["\u{645}\u{6cc}\u{200c}\u{62e}", "\u{645}\u{6cc}\u{62e}"],
        ] {
            for text in same {
                assert_eq!(fold(text), fold(same[0]), "{text}");
                assert_eq!(fold_letters(text), fold_letters(same[0]), "{text}");
            }
        }
        assert_ne!(fold("\u{c9}mile"), fold("emile"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_folded_stays_as_it_is(text in "\\PC{0,12}") {
            let once = fold(&text);
            proptest::prop_assert_eq!(fold(&once), once);
        }
    }
}
