//! Terms: what users can be looked up by, each a row of `user_terms`, written in the transaction of the user.
//!
//! A term is a path and a value. Paths into free data have values that begin with their type and sort as the
//! data does; what is not free data has a path with a `$` in front, as no other path has. A lookup may find
//! too many, never too few: whoever asks tests the users that it finds. Words alone are exact.

pub mod lookup;
mod missing;
pub mod write;

pub(in crate::storage) use self::missing::complete;

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::model::filter::{CustomPath, Value};
use crate::model::json::Object;
use crate::model::role;
use crate::model::user::{Profile, User};
use crate::model::words::words;

pub(in crate::storage) const ID: &str = "$id";
pub(in crate::storage) const NAME: &str = "$name";
pub(in crate::storage) const USERNAME: &str = "$username";
const ROLE: &str = "$role";
const TEAM: &str = "$team";
/// Who has it has more free data than is written: every lookup in free data finds these too.
const MANY: &str = "$many";

/// Values of free data that are written for one user.
const MAX_VALUES: usize = 100;
/// Characters of a text that are written: an index takes no more than some bytes. Never a part of one, so
/// that what is written sorts as what it stands for.
const MAX_CHARS: usize = 64;

/// Path and value.
pub(in crate::storage) type Term = (String, String);

/// All terms of `user`. Where a later version of usher would have others, it marks them otherwise; see
/// [`write::mark`]: what stands is worked out with this.
pub(in crate::storage) fn terms_of(user: &User) -> BTreeSet<Term> {
    let mut terms = BTreeSet::new();
    add_own(&user.profile, &mut terms);
    add_free(&user.profile, &mut terms);
    terms
}

/// The terms that `before` and `after`, one user, do not share, and perhaps some that they do: what is the same
/// in both is not taken apart.
pub(in crate::storage) fn terms_of_both(before: &User, after: &User) -> [BTreeSet<Term>; 2] {
    let (before, after) = (&before.profile, &after.profile);
    let is_named_same = (&before.id, &before.name, &before.role, &before.teams)
        == (&after.id, &after.name, &after.role, &after.teams);
    let mut terms = [BTreeSet::new(), BTreeSet::new()];
    for (profile, terms) in [before, after].into_iter().zip(&mut terms) {
        if !is_named_same || username(before) != username(after) {
            add_own(profile, terms);
        }
        if before.custom != after.custom {
            add_free(profile, terms);
        }
    }
    terms
}

fn username(profile: &Profile) -> Option<&str> {
    profile.custom.get("username").and_then(Json::as_str)
}

/// What is not free data, and the words of names.
fn add_own(profile: &Profile, terms: &mut BTreeSet<Term>) {
    let mut add = |path: &str, value: String| terms.insert((path.to_owned(), value));
    // Of the role of nearly everybody it would tell nothing.
    if profile.role != role::DEFAULT {
        add(ROLE, cut(&profile.role));
    }
    for team in &profile.teams {
        add(TEAM, cut(team));
    }
    for (path, text) in
        [(ID, Some(profile.id.as_str())), (NAME, profile.name.as_deref()), (USERNAME, username(profile))]
    {
        for word in text.map(words).unwrap_or_default() {
            add(path, word);
        }
    }
}

fn add_free(profile: &Profile, terms: &mut BTreeSet<Term>) {
    let mut found = Vec::new();
    let complete = values_below("", &profile.custom, &mut found);
    if complete {
        terms.extend(found);
    } else {
        terms.insert((MANY.to_owned(), String::new()));
    }
}

/// The scalars of `object` and of the arrays in it, by the paths that a filter can name them by; false where
/// there are too many.
fn values_below(prefix: &str, object: &Object, found: &mut Vec<Term>) -> bool {
    object.iter().all(|(key, member)| {
        // A dot in a key is a path to everybody else.
        let Some(path) = Some(format!("{prefix}{key}")).filter(|path| !key.contains('.') && is_path(path))
        else {
            return true;
        };
        match member {
            Json::Object(inner) => values_below(&format!("{path}."), inner, found),
            Json::Array(members) => members.iter().all(|member| {
                let value = scalar(member).map(|value| as_member(&value));
                found.extend(value.map(|value| (path.clone(), value)));
                found.len() <= MAX_VALUES
            }),
            member => {
                found.extend(scalar(member).map(|value| (path, value)));
                found.len() <= MAX_VALUES
            }
        }
    })
}

fn is_path(path: &str) -> bool {
    CustomPath::parse(&format!("custom.{path}")).is_ok()
}

fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::Bool(flag) => Some(flag_value(*flag)),
        Json::Number(number) => number.as_f64().map(number_value),
        Json::String(text) => Some(text_value(text)),
        // Null is looked for together with what is absent, which has no terms.
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The written form of what a filter compares with; null has none.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag_value(*flag)),
        Value::Number(number) => Some(number_value(*number)),
        Value::Text(text) => Some(text_value(text)),
        Value::Null | Value::Time(_) => None,
    }
}

fn flag_value(flag: bool) -> String {
    format!("b{}", u8::from(flag))
}

fn text_value(text: &str) -> String {
    format!("s{}", cut(text))
}

/// Sixteen digits that sort as numbers do.
fn number_value(number: f64) -> String {
    let bits = number.to_bits();
    let sortable = if number.is_sign_negative() { !bits } else { bits | 1 << 63 };
    format!("n{sortable:016x}")
}

fn as_member(value: &str) -> String {
    format!("[{value}")
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::clock::Timestamp;
    use crate::model::history::Cause;
    use crate::model::id::UserId;

    #[test]
    fn numbers_sort_by_their_digits() {
        let rising = [f64::MIN, -1e17, -1.5, -1.0, -5e-324, 0.0, 5e-324, 0.1, 1.0, 2.0, 10.0, 1e300];
        let written: Vec<String> = rising.into_iter().map(number_value).collect();
        assert!(written.is_sorted(), "{written:?}");
    }

    #[test]
    fn every_value_that_a_filter_can_name_has_a_term() {
        let data = json!({
            "a": {"b": 1, "$x": 2, "c.d": 3, "": 4}, "list": ["x", true, null, [1], {"a": 1}], "none": null, "q\"": 5,
        });
        let mut found = Vec::new();
        assert!(values_below("", data.as_object().unwrap(), &mut found));
        found.sort();
        let expected = [("a.b", number_value(1.0)), ("list", "[b1".to_owned()), ("list", "[sx".to_owned())];
        assert_eq!(found, expected.map(|(path, value)| (path.to_owned(), value)));
    }

    #[test]
    fn what_two_users_do_not_share_is_the_same_with_and_without_what_they_do() {
        let user = |name: &str, custom: serde_json::Value| {
            let profile = Profile {
                name: Some(name.to_owned()),
                custom: custom.as_object().cloned().unwrap(),
                ..Profile::bare(UserId::stored("ada".to_owned()), "user".to_owned())
            };
            let time = Timestamp::from_micros(1);
            User {
                profile,
                created_at: time,
                updated_at: time,
                deactivated_at: None,
                deactivation: Cause::default(),
                deleted_at: None,
                tokens_revoked_before: None,
                last_active: None,
                avg_response_time: None,
                version: 1,
            }
        };
        let many: Vec<usize> = (0..=MAX_VALUES).collect();
        let users = [
            user("Ada", json!({"level": 1, "tags": ["x"]})),
            user("Ada", json!({"level": 2, "tags": ["x", "y"]})),
            user("Bob", json!({"level": 2, "tags": ["x", "y"]})),
            user("Bob", json!({"level": 2, "username": "rover"})),
            user("Ada", json!({"level": 1, "many": many})),
        ];
        for (before, after) in users.iter().flat_map(|one| users.iter().map(move |other| (one, other))) {
            let [had, has] = terms_of_both(before, after);
            let (all_before, all_after) = (terms_of(before), terms_of(after));
            assert!(had.difference(&has).eq(all_before.difference(&all_after)));
            assert!(has.difference(&had).eq(all_after.difference(&all_before)));
        }
    }

    #[test]
    fn too_many_values_are_told_and_not_worked_on() {
        let mut found = Vec::new();
        let data = json!({"list": vec![1; 5_000], "a": "b"});
        assert!(!values_below("", data.as_object().unwrap(), &mut found));
        assert!(found.len() <= MAX_VALUES + 2);
    }
}
