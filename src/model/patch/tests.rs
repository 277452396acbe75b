use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn object(value: Value) -> Object {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

fn parse(set: Value, unset: &[&str]) -> Result<Patch, Vec<String>> {
    let mut bad = Violations::new();
    let unset = unset.iter().map(ToString::to_string).collect();
    let patch = Patch::parse(object(set), unset, NOW, &mut bad);
    bad.into_result(patch).map_err(|found| found.into_iter().map(|one| one.field).collect())
}

/// The user that an import would make of `document`.
fn profile(document: &Value) -> Profile {
    let mut document = object(document.clone());
    document.insert("id".to_owned(), "ada".into());
    let mut bad = Violations::new();
    read_back(document, &mut bad).unwrap_or_else(|| panic!("{bad:?}"))
}

fn apply(patch: &Patch, to: Profile) -> Result<Profile, Vec<String>> {
    let mut bad = Violations::new();
    let patched = patch.apply(to, &mut bad);
    bad.into_result(()).map_err(|found| found.into_iter().map(|one| one.field).collect::<Vec<_>>())?;
    Ok(patched.expect("nothing is wrong"))
}

/// What becomes of `before`.
fn patched(before: &Value, set: Value, unset: &[&str]) -> Profile {
    apply(&parse(set, unset).expect("a sound patch"), profile(before)).expect("it can be applied")
}

#[test]
fn a_path_is_a_field_or_leads_into_free_data() {
    let before = json!({"name": "Ada", "custom": {"color": "red", "address": {"city": "x", "zip": 1}}});
    let set = json!({"name": "Countess", "color": "green", "custom.size": 3, "address.city": "Paris", "a.b.c": [1]});
    let after = json!({"name": "Countess", "custom":
        {"color": "green", "size": 3, "address": {"city": "Paris", "zip": 1}, "a": {"b": {"c": [1]}}}});
    assert_eq!(patched(&before, set, &[]), profile(&after));
}

#[test]
fn an_object_replaces_what_was_there() {
    let before = json!({"custom": {"address": {"city": "x", "zip": 1}, "color": "red"}});
    let after = json!({"custom": {"address": {"city": "y"}, "color": "red"}});
    assert_eq!(patched(&before, json!({"address": {"city": "y"}}), &[]), profile(&after));
    let whole = patched(&before, json!({"custom": {"a": 1}}), &[]);
    assert_eq!(whole, profile(&json!({"custom": {"a": 1}})));
    assert_eq!(patched(&before, json!({ "custom": null }), &[]), profile(&json!({})));
    let null = patched(&before, json!({"address": null}), &[]);
    assert_eq!(null, profile(&json!({"custom": {"address": null, "color": "red"}})), "null is a value there");
}

#[test]
fn privacy_settings_are_merged() {
    let before = json!({"privacy_settings": {"typing_indicators": {"enabled": false}}});
    let both = json!({"privacy_settings":
        {"typing_indicators": {"enabled": false}, "read_receipts": {"enabled": true}}});
    let set = json!({"privacy_settings": {"read_receipts": {"enabled": true}}});
    assert_eq!(patched(&before, set.clone(), &[]), profile(&both));
    assert_eq!(
        patched(&before, json!({"privacy_settings.read_receipts.enabled": true}), &[]),
        profile(&both)
    );
    assert_eq!(
        patched(&before, set, &["privacy_settings.typing_indicators"]),
        profile(&json!({
            "privacy_settings": {"read_receipts": {"enabled": true}}
        }))
    );
    assert_eq!(patched(&before, json!({"privacy_settings": {}}), &[]), profile(&before));
    assert_eq!(patched(&before, json!({ "privacy_settings": null }), &[]), profile(&json!({})));
    assert_eq!(patched(&before, json!({}), &["privacy_settings"]), profile(&json!({})));
}

#[test]
fn other_built_in_objects_are_replaced_and_have_parts() {
    let before = json!({"push_notifications": {"disabled": true, "disabled_until": "2030-01-01T00:00:00.000001Z"},
        "teams_role": {"red": "admin", "blue": "user"}, "teams": ["red"]});
    let set =
        json!({"push_notifications": {"disabled": true}, "teams_role": {"red": "user"}, "teams": ["blue"]});
    assert_eq!(patched(&before, set.clone(), &[]), profile(&set));
    let set = json!({"push_notifications.disabled": false, "teams_role.green": "guest"});
    let after = json!({"push_notifications": {"disabled": false, "disabled_until": "2030-01-01T00:00:00.000001Z"},
        "teams_role": {"blue": "user", "green": "guest"}, "teams": ["red"]});
    assert_eq!(patched(&before, set, &["teams_role.red"]), profile(&after));
}

#[test]
fn unset_keeps_the_parent_and_clears_what_is_built_in() {
    let before = json!({"name": "Ada", "role": "admin", "invisible": true, "language": "en", "image": "i",
        "teams": ["red"], "custom": {"test": {"passed": true}, "fields": {"a": 1, "b": 2}}});
    let unset = [
        "name",
        "role",
        "invisible",
        "language",
        "image",
        "teams",
        "test.passed",
        "fields.a",
        "no.such",
        "no",
    ];
    assert_eq!(
        patched(&before, json!({}), &unset),
        profile(&json!({"custom": {"test": {}, "fields": {"b": 2}}}))
    );
    assert_eq!(patched(&json!({"custom": {"a": 1}}), json!({}), &["custom"]), profile(&json!({})));
    assert_eq!(
        patched(&json!({"custom": {"a": 1}}), json!({}), &["a.b.c"]),
        profile(&json!({"custom": {"a": 1}}))
    );
}

#[test]
fn a_way_through_what_is_no_object_is_refused_by_the_user_it_meets() {
    for value in [json!("x"), json!(1), json!(null), json!([{"b": 1}]), json!(true)] {
        let patch = parse(json!({"a.b": 1, "c": 2, "a.d": 3}), &[]).unwrap();
        let met = profile(&json!({ "custom": { "a": value } }));
        assert_eq!(apply(&patch, met), Err(vec!["set.a.b".to_owned(), "set.a.d".to_owned()]));
    }
}

#[test]
fn the_rules_of_a_profile_hold_on_the_result() {
    let half = "x".repeat(3_000);
    let patch = parse(json!({ "b": half }), &[]).unwrap();
    assert_eq!(apply(&patch, profile(&json!({ "custom": { "a": half } }))), Err(vec![String::new()]));
    let swapped = parse(json!({ "b": half }), &["a"]).unwrap();
    assert!(apply(&swapped, profile(&json!({ "custom": { "a": half } }))).is_ok());

    let roles: BTreeMap<String, &str> = (0..250).map(|team| (team.to_string(), "user")).collect();
    let full = profile(&json!({ "teams_role": roles }));
    assert_eq!(
        apply(&parse(json!({"teams_role.more": "user"}), &[]).unwrap(), full.clone()),
        Err(vec!["teams_role".to_owned()])
    );
    assert!(apply(&parse(json!({"teams_role.more": "user"}), &["teams_role.7"]).unwrap(), full).is_ok());
}

#[test]
fn paths_that_are_none_are_refused() {
    let paths = [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a.",
        "a b",
        " ",
        "a.\tb",
        "a\u{a0}b",
        "a\0b",
        "custom.",
        "custom..a",
        "name.first",
        "teams.0",
        "teams_role.a.b",
        "privacy_settings.unknown",
        "privacy_settings.read_receipts.on",
        "push_notifications.until",
        "invisible.x",
        "role.x",
        "id",
        "id.x",
        "created_at",
        "updated_at",
        "online",
        "banned",
        "last_active",
        "version",
        "deleted_at",
        "deactivated_at",
        "blocked_user_ids",
        "devices",
        "shadow_banned",
        "revoke_tokens_issued_before.x",
        "avg_response_time.x",
        "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a",
    ];
    for path in paths {
        let field = format!("set.{}", path.replace(['\0', '\t'], "\u{fffd}"));
        assert_eq!(parse(json!({ path: null }), &[]).unwrap_err(), [field], "{path:?}");
        assert_eq!(parse(json!({}), &["fine", path]).unwrap_err(), ["unset[1]"], "{path:?}");
    }
    assert_eq!(parse(json!({}), &["privacy_settings.read_receipts.enabled"]).unwrap_err(), ["unset[0]"]);
    for path in
        ["custom.banned", "custom.id", "banned_by", "$set", "a-b", "é.ü", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"]
    {
        assert!(parse(json!({ path: 1 }), &[]).is_ok(), "{path:?}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused_by_the_path_that_was_written() {
    let long = "x".repeat(6_000);
    let cases = [
        (json!({"name": 5}), vec!["set.name"]),
        (json!({"name": "a\0"}), vec!["set.name"]),
        (json!({"role": ["admin"]}), vec!["set.role"]),
        (json!({"invisible": "yes"}), vec!["set.invisible"]),
        (json!({"teams": ["a", "", 3]}), vec!["set.teams[2]", "set.teams[1]"]),
        (json!({"teams": "red"}), vec!["set.teams"]),
        (json!({"teams_role.red": null}), vec!["set.teams_role"]),
        (json!({"custom": [1]}), vec!["set.custom"]),
        (json!({"privacy_settings": true}), vec!["set.privacy_settings"]),
        (json!({"privacy_settings": {"unknown": {}}}), vec!["set.privacy_settings"]),
        (
            json!({"privacy_settings.read_receipts": {"enable": true}}),
            vec!["set.privacy_settings.read_receipts"],
        ),
        (json!({"privacy_settings.read_receipts": 1}), vec!["set.privacy_settings.read_receipts"]),
        (
            json!({"push_notifications": {"disabled_until": "soon"}}),
            vec!["set.push_notifications.disabled_until"],
        ),
        (json!({"color": {"a": ["\0"]}}), vec!["set.color.a[0]"]),
        (json!({"custom.color": "\0"}), vec!["set.custom.color"]),
        (json!({ "text": long }), vec!["set.text"]),
        (json!({"revoke_tokens_issued_before": "yesterday"}), vec!["set.revoke_tokens_issued_before"]),
        (json!({"revoke_tokens_issued_before": 5}), vec!["set.revoke_tokens_issued_before"]),
        (
            json!({"revoke_tokens_issued_before": "2100-01-01T00:00:00Z"}),
            vec!["set.revoke_tokens_issued_before"],
        ),
        (json!({"avg_response_time": -1, "name": true}), vec!["set.avg_response_time", "set.name"]),
    ];
    for (set, fields) in cases {
        assert_eq!(parse(set.clone(), &[]).unwrap_err(), fields, "{set}");
    }
    let wide = parse(json!({ format!("\u{1}{}", "k".repeat(100_000)): "x".repeat(6_000) }), &[]).unwrap_err();
    assert!(wide[0].starts_with("set.\u{fffd}kkk") && wide[0].len() < 300, "what is told is short and plain");
    let deep = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "x": inner }));
    assert!(parse(json!({ "a.b": deep(14) }), &[]).is_ok());
    assert!(parse(json!({ "a.b": deep(15) }), &[]).is_err());
}

#[test]
fn a_path_within_another_is_refused_where_one_of_them_is_set() {
    let cases: [(Value, &[&str], &[&str]); 8] = [
        (json!({"a": 1, "custom.a": 2}), &[], &["set.custom.a"]),
        (json!({"a": 1, "a.b.c": 2}), &[], &["set.a.b.c"]),
        (json!({"custom": {}, "a": 1}), &[], &["set.a"]),
        (json!({"a": 1}), &["b", "a"], &["unset[1]"]),
        (json!({"a": 1}), &["custom.a.b"], &["unset[0]"]),
        (json!({"a.b": 1}), &["a"], &["set.a.b"]),
        (json!({"a": 1, "name": "x"}), &["custom"], &["set.a"]),
        (
            json!({"privacy_settings": {"read_receipts": {}}, "privacy_settings.read_receipts": null}),
            &[],
            &["set.privacy_settings.read_receipts"],
        ),
    ];
    for (set, unset, fields) in cases {
        assert_eq!(parse(set.clone(), unset).unwrap_err(), fields, "{set} {unset:?}");
    }
    assert!(parse(json!({"ab": 1, "a.b": 2, "name": "x"}), &["abc", "a.c", "a.c.d", "a.c"]).is_ok());
}

#[test]
fn what_only_servers_may_change_is_told() {
    let patch = parse(
        json!({"role": "admin", "name": "x", "teams_role.red": "user"}),
        &["teams", "avg_response_time"],
    );
    assert_eq!(patch.unwrap().privileged, ["set.role", "set.teams_role.red", "unset[0]", "unset[1]"]);
    let patch = parse(json!({"revoke_tokens_issued_before": null, "avg_response_time": 2.5}), &[]).unwrap();
    assert_eq!((patch.revocation, patch.avg_response_time), (Some(Revocation::Clear), Some(Some(2.5))));
    let patch = parse(json!({"revoke_tokens_issued_before": "2023-01-01T00:00:00Z"}), &["avg_response_time"])
        .unwrap();
    assert!(matches!(patch.revocation, Some(Revocation::IssuedBefore(_))));
    assert_eq!(patch.avg_response_time, Some(None));
}

/// Free data as a list of leaves, by path; an empty object is a leaf.
type Leaves = BTreeMap<Vec<String>, Value>;

fn flatten(path: &mut Vec<String>, value: &Value, leaves: &mut Leaves) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                path.push(name.clone());
                flatten(path, member, leaves);
                path.pop();
            }
        }
        leaf => {
            leaves.insert(path.clone(), leaf.clone());
        }
    }
}

/// The same change, made on the list of leaves; `None` where a leaf is in the way.
fn reference(leaves: &mut Leaves, path: &[String], value: Option<&Value>) -> Option<()> {
    let parents = (0..path.len()).map(|length| path[..length].to_vec());
    let in_the_way = parents.clone().any(|parent| leaves.get(&parent).is_some_and(|leaf| *leaf != json!({})));
    let before = leaves.len();
    leaves.retain(|leaf, _| !leaf.starts_with(path));
    if let Some(value) = value {
        if in_the_way {
            return None;
        }
        leaves.retain(|leaf, _| !path.starts_with(leaf) || leaf.len() == path.len());
        flatten(&mut path.to_vec(), value, leaves);
    } else if leaves.len() < before {
        let parent = &path[..path.len() - 1];
        if !leaves.keys().any(|leaf| leaf.starts_with(parent)) {
            leaves.insert(parent.to_vec(), json!({}));
        }
    }
    Some(())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(1)),
        Just(json!("x")),
        Just(json!([1, {}])),
        Just(json!({}))
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|members| members.into_iter().collect())
    })
}

fn custom() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]", value(), 0..4).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn a_patch_does_what_the_reference_does_in_whichever_order(
        before in custom(),
        set in prop::collection::btree_map("[abc](\\.[abc]){0,3}", value(), 0..4),
        unset in prop::collection::vec("[abc](\\.[abc]){0,3}", 0..3),
        backwards in any::<bool>(),
    ) {
        let names: Vec<&str> = unset.iter().map(String::as_str).collect();
        let Ok(mut patch) = parse(json!(set), &names) else { return Ok(()) };
        if backwards {
            patch.edits.reverse();
        }
        let got = apply(&patch, profile(&json!({ "custom": before })));

        let mut leaves = Leaves::new();
        flatten(&mut Vec::new(), &before, &mut leaves);
        let path = |key: &str| key.split('.').map(str::to_owned).collect::<Vec<_>>();
        let unsets = unset.iter().map(|key| (path(key), None));
        let sets = set.iter().map(|(key, value)| (path(key), Some(value)));
        let mut whole = true;
        for (path, value) in unsets.chain(sets) {
            whole &= reference(&mut leaves, &path, value).is_some();
        }
        prop_assert_eq!(got.is_ok(), whole);
        let Ok(got) = got else { return Ok(()) };
        let mut seen = Leaves::new();
        flatten(&mut Vec::new(), &Value::Object(got.custom), &mut seen);
        prop_assert_eq!(seen, leaves);
    }

    #[test]
    fn a_profile_survives_the_way_into_json_and_back(before in custom(), name in "[a-z]{0,3}", hidden in any::<bool>()) {
        let before = profile(&json!({"custom": before, "name": name, "invisible": hidden, "role": "admin",
            "push_notifications": {"disabled_until": "2030-01-01T00:00:00.123456Z"}, "privacy_settings": {}}));
        prop_assert_eq!(apply(&Patch::default(), before.clone()), Ok(before));
    }
}
