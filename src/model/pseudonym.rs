//! Taking the ids of users who are erased out of what callers wrote about them.

/// `text` with `stand_in` wherever `id` stands as a word of its own: not within letters or digits. `None` where
/// it does not.
pub fn replace_id(text: &str, id: &str, stand_in: &str) -> Option<String> {
    let (mut replaced, mut rest) = (String::new(), 0);
    for (at, _) in text.match_indices(id) {
        let (before, after) = (text.get(..at)?, text.get(at + id.len()..)?);
        if before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric) {
            continue;
        }
        replaced.push_str(text.get(rest..at)?);
        replaced.push_str(stand_in);
        rest = at + id.len();
    }
    (rest > 0).then(|| replaced + text.get(rest..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::replace_id;

    #[test]
    fn an_id_is_replaced_where_it_is_a_word_of_its_own() {
        for (text, id, expected) in [
            ("ann", "ann", Some("X")),
            ("delete-ann, and ann_2: (ann)", "ann", Some("delete-X, and X_2: (X)")),
            ("delete ann@x.org now", "ann@x.org", Some("delete X now")),
            ("annie joann ann2", "ann", None),
            ("joann ann", "ann", Some("joann X")),
            ("zoë ë", "ë", Some("zoë X")),
            ("a-a-a", "a-a", Some("X-a")),
            ("", "ann", None),
        ] {
            assert_eq!(replace_id(text, id, "X").as_deref(), expected, "{id} in {text}");
        }
    }
}
