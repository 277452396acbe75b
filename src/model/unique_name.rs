//! Which names count as the same.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The longest key, in bytes: both databases can have it in an index. Only names whose letters are shorthand
/// for many are cut to it.
const MAX_BYTES: usize = 1_500;

/// What two names have in common that count as one: letters, digits and what combines with them, in
/// whichever case, composed or not; spaces and special characters do not count. A name of nothing else is
/// compared as it stands. Never empty, unless `name` is.
pub fn key(name: &str) -> String {
    let folded: String = name
        .nfkc()
        .filter(|c| c.is_alphanumeric() || (is_combining_mark(*c) && !is_invisible(*c)))
        // Both ways: some letters have one upper case, or one lower case, in common.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect();
    let mut key = if folded.contains(char::is_alphanumeric) { folded } else { name.nfkc().collect() };
    key.truncate(key.floor_char_boundary(MAX_BYTES));
    key
}

/// Marks that change nothing one could see.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_take_for_the_same_have_one_key() {
        let same: [&[&str]; 8] = [
            &["John Doe", "john.doe", "JOHN-DOE", " j o h n\td_o_e ", "john\u{200d}doe", "John🎉Doe"],
            &["José", "jose\u{301}", "JOSÉ"],
            &["Straße", "STRASSE", "strasse"],
            &["Οδυσσεύς", "ΟΔΥΣΣΕΎΣ", "οδυσσεύσ"],
            &["ﬁn", "FIN"],
            &["Ａｄａ", "ada"],
            &["ada\u{fe0f}", "ada"],
            &["数学", "数 学"],
        ];
        for names in same {
            for name in names {
                assert_eq!(key(name), key(names[0]), "{name}");
            }
        }
    }

    #[test]
    fn names_that_differ_have_keys_that_differ() {
        let names = ["john", "jon", "jose", "josé", "1", "2", "कि", "की", "क", "!!!", "???", "🎉", "🏳️‍🌈", ""];
        let keys: std::collections::BTreeSet<String> = names.map(key).into();
        assert_eq!(keys.len(), names.len());
        assert_eq!(key(""), "");
        assert_eq!(key(&"\u{fdfa}".repeat(255)).len(), MAX_BYTES, "one letter that stands for many");
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_its_own_key_and_no_name_is_without(name in "\\PC{1,12}") {
            let once = key(&name);
            proptest::prop_assert!(!once.is_empty());
            proptest::prop_assert_eq!(key(&once), once);
        }
    }
}
