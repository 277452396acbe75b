//! Words of text, as `$autocomplete` knows them: between the word boundaries of Unicode, folded.
//!
//! Where one word follows another with nothing in between, as in scripts that are written without spaces, they
//! are a run. A run is found from each of its words on, so that what was typed is found anywhere in it, in order.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation as _;

use super::fold::fold;

/// Words of a text that count; those behind them do not.
const MAX_WORDS: usize = 50;
/// Characters that count of a word, and of a run from a word on.
pub const MAX_CHARS: usize = 64;
/// Words, and runs, that count of what was typed.
const MAX_TYPED: usize = 10;
/// Bytes that are read of what was typed: more than any name has.
const MAX_TYPED_BYTES: usize = 4_096;

/// What `text` is found by, each once: each of its words, with what follows it in its run.
pub fn words(text: &str) -> BTreeSet<String> {
    let folded = fold(text);
    let starts =
        runs(&folded).into_iter().flat_map(|run| run.starts.into_iter().map(move |at| (at, run.end)));
    starts.take(MAX_WORDS).filter_map(|(at, end)| folded.get(at..end)).map(cut).collect()
}

/// Whether, for each of `prefixes`, a word of `text` begins with it.
pub fn match_all(text: &str, prefixes: &[String]) -> bool {
    let words = words(text);
    prefixes.iter().all(|prefix| words.iter().any(|word| word.starts_with(prefix.as_str())))
}

/// Reads what somebody has typed so far: the beginnings of words, each once, and whole runs. What is longer than
/// what texts are found by is cut.
pub fn parse_prefixes(text: &str) -> Result<Vec<String>, &'static str> {
    let folded = fold(text.get(..text.floor_char_boundary(MAX_TYPED_BYTES)).unwrap_or_default());
    let mut prefixes = Vec::new();
    for run in runs(&folded) {
        let typed = run.starts.first().and_then(|start| folded.get(*start..run.end)).map(cut);
        prefixes.extend(typed.filter(|typed| !prefixes.contains(typed)));
        if prefixes.len() == MAX_TYPED {
            break;
        }
    }
    if prefixes.is_empty() {
        return Err("must have a letter or a digit: it is empty, or symbols only");
    }
    Ok(prefixes)
}

/// Words that follow each other with nothing in between: where each begins, and where the last one ends.
struct Run {
    starts: Vec<usize>,
    end: usize,
}

fn runs(folded: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, word) in folded.unicode_word_indices() {
        let starts = starts_in(word).map(|start| at + start);
        match runs.last_mut().filter(|run| run.end == at) {
            Some(run) => run.starts.extend(starts),
            None => runs.push(Run { starts: starts.collect(), end: at }),
        }
        if let Some(run) = runs.last_mut() {
            run.end = at + word.len();
        }
    }
    runs
}

/// Where something may begin that is looked for: at the word; and at each letter of katakana, which Unicode takes
/// together although there are no spaces between its words either.
fn starts_in(word: &str) -> impl Iterator<Item = usize> {
    let is_katakana = |c: char| matches!(c, '\u{30a1}'..='\u{30fa}' | '\u{31f0}'..='\u{31ff}');
    let all = word.chars().next().is_some_and(is_katakana);
    word.char_indices().filter(move |(at, c)| *at == 0 || (all && is_katakana(*c))).map(|(at, _)| at)
}

fn cut(word: &str) -> String {
    word.chars().take(MAX_CHARS).collect()
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
            ("\u{ff21}\u{ff44}\u{ff41}", "ad"),
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
    fn scripts_without_spaces_match_as_a_run_in_order() {
        for (text, typed) in [
            ("田中花子", "田中"),
            ("田中花子", "中花"),
            ("田中花子", "花子"),
            ("田中花子", "花"),
            ("田中 花子", "花子 田中"),
            ("山田 田中", "田中"),
            ("東京タワー", "京タ"),
            ("ヤマダタロウ", "タロウ"),
            ("ﾔﾏﾀﾞﾀﾛｳ", "ダタ"),
            ("たなかはなこさんじゅうろう", "たなかはなこさんじゅうろう"),
            ("たなかはなこさんじゅうろう", "はなこさん"),
            ("สมชาย ใจดีมากเหลือเกิน", "สมชาย ใจดีมากเหลือเกิน"),
            ("สมชาย ใจดีมากเหลือเกิน", "ดีมาก"),
            ("ສົມພອນ", "ພອນ"),
            ("သန္တာ", "သန္တာ"),
            ("សុខា", "សុ"),
            ("iPhone時計", "iphone時"),
            ("iPhone時計", "計"),
        ] {
            assert!(found(text, typed), "{text} {typed}");
        }
        for (text, typed) in [
            ("花中子田", "田中"),
            ("田 中", "田中"),
            ("田x中", "田中"),
            ("中田", "田中"),
            ("はなこ", "こなは"),
            ("ใจดี", "ดีใจ"),
            ("タワー", "ー"),
        ] {
            assert!(!found(text, typed), "{text} {typed}");
        }
    }

    #[test]
    fn what_is_typed_must_have_something_to_look_for() {
        for bad in ["", " ", "%", "_", "-- !", "\u{1f600}"] {
            assert!(parse_prefixes(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_prefixes("%a% A *").unwrap(), ["a"]);
    }

    #[test]
    fn what_is_longer_than_what_is_looked_up_is_cut() {
        assert_eq!(
            parse_prefixes("k j i h g f e d c b a").unwrap(),
            ["k", "j", "i", "h", "g", "f", "e", "d", "c", "b"]
        );
        assert!(found(&"y".repeat(5_000), &"y".repeat(300)));
        assert!(found(&"田".repeat(255), &"田".repeat(255)));
        assert!(!found(&"y".repeat(63), &"y".repeat(64)));
        assert!(found("a b", &"a ".repeat(100_000)));
        let many = (0..60).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
        assert!(found(&many, &many), "a whole name finds itself");
    }

    #[test]
    fn work_and_answers_are_bounded() {
        let many = (0..5_000).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&many).len(), MAX_WORDS);
        assert_eq!(words(&"y".repeat(5_000)).first().unwrap().len(), MAX_CHARS);
        let run: String = ('\u{4e00}'..'\u{5000}').collect();
        let found = words(&run);
        assert_eq!(found.len(), MAX_WORDS);
        assert!(found.iter().all(|word| word.chars().count() == MAX_CHARS));
    }
}
