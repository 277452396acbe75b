//! Words of text, as `$autocomplete` knows them: between the word boundaries of Unicode, without regard to case.
//!
//! Folded here and not by a database: each has another idea of letters, if any.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Words of a text that count; those behind them do not.
const MAX_WORDS: usize = 50;
/// Characters of a word that count.
pub const MAX_CHARS: usize = 64;

/// The words of `text`, each once.
pub fn words(text: &str) -> BTreeSet<String> {
    let folded = fold(text);
    folded.unicode_words().take(MAX_WORDS).map(|word| word.chars().take(MAX_CHARS).collect()).collect()
}

/// Whether, for each of `prefixes`, a word of `text` begins with it.
pub fn match_all(text: &str, prefixes: &[String]) -> bool {
    let words = words(text);
    prefixes.iter().all(|prefix| words.iter().any(|word| word.starts_with(prefix.as_str())))
}

/// Reads what somebody has typed so far: the beginnings of words, each once.
pub fn parse_prefixes(text: &str) -> Result<Vec<String>, &'static str> {
    const MOST: usize = 10;
    if text.len() > 1_024 {
        return Err("must be at most 1,024 bytes");
    }
    let folded = fold(text);
    let mut prefixes = BTreeSet::new();
    for word in folded.unicode_words() {
        if word.chars().nth(MAX_CHARS).is_some() {
            return Err("must have no word of more than 64 characters");
        }
        prefixes.insert(word.to_owned());
        if prefixes.len() > MOST {
            return Err("must be at most 10 words");
        }
    }
    if prefixes.is_empty() {
        return Err("must have a letter or a digit: it is empty, or symbols only");
    }
    Ok(prefixes.into_iter().collect())
}

/// One form for all texts that differ in case, or in how their characters are composed.
fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { fold_any(text) }
}

fn fold_any(text: &str) -> String {
    caseless::default_case_fold_str(&text.nfd().collect::<String>()).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, typed: &str) -> bool {
        match_all(text, &parse_prefixes(typed).unwrap())
    }

    #[test]
    fn a_word_is_found_by_its_beginning_whatever_its_case() {
        for (text, typed) in [
            ("Curiosity Rover", "ro"),
            ("Roxy", "RO"),
            ("rover_curiosity", "rove"),
            ("3f2504e0-4f89-41d3", "3F2504E0"),
            ("Stra\u{df}e", "STRASS"),
            ("\u{c9}mile", "e\u{301}mi"),
            (
                "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
                "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}",
            ),
            ("\u{6771}\u{4eac}", "\u{4eac}"),
            ("Ada Lovelace", "lov ad"),
            ("ada@example", "exa"),
        ] {
            assert!(found(text, typed), "{text} {typed}");
        }
        for (text, typed) in [("Ada Lovelace", "ovel"), ("\u{c9}mile", "emi"), ("ada", "ada b"), ("", "a")] {
            assert!(!found(text, typed), "{text} {typed}");
        }
    }

    #[test]
    fn plain_text_is_folded_as_any_other() {
        let all: String = (0..=127_u8).map(char::from).collect();
        assert_eq!(fold(&all), fold_any(&all));
    }

    #[test]
    fn what_is_typed_must_have_something_to_look_for() {
        let eleven = "a b c d e f g h i j k";
        for bad in ["", " ", "%", "_", "-- !", "\u{1f600}", &"x".repeat(65), eleven] {
            assert!(parse_prefixes(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_prefixes("%a% A *").unwrap(), ["a"]);
    }

    #[test]
    fn work_and_answers_are_bounded() {
        let many = (0..5_000).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&many).len(), MAX_WORDS);
        assert_eq!(words(&"y".repeat(5_000)).first().unwrap().len(), MAX_CHARS);
        assert!(found(&"y".repeat(5_000), &"y".repeat(64)));
    }
}
