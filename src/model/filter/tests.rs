//! What the parser takes, means and refuses.

use serde_json::{Value as Json, json};

use super::*;
use crate::model::clock::Timestamp;
use crate::model::user::{User, UserInput};
use crate::model::violation::{Rule, Violations};

fn read(filter: &Json) -> Result<Filter, Vec<(String, String)>> {
    let mut bad = Violations::new();
    let filter = parse(filter.as_object().unwrap(), &mut bad);
    bad.into_result(()).map(|()| filter.unwrap()).map_err(|found| {
        assert!(found.iter().all(|one| one.rule == Rule::Filter));
        found.into_iter().map(|one| (one.field, one.description)).collect()
    })
}

fn refused(filter: &Json) -> Vec<String> {
    read(filter).unwrap_err().into_iter().map(|(field, _)| field).collect()
}

fn user() -> User {
    let input = UserInput {
        id: "ada".to_owned(),
        custom: json!({
            "n": 1, "t": "1", "flag": true, "null": null, "list": [1, "a", null, [2]],
            "deep": {"er": {"0": "x"}}, "username": "countess", "name": "custom name", "id": 7,
        })
        .as_object()
        .cloned()
        .unwrap(),
        teams: vec!["red".to_owned(), "blue".to_owned()],
        ..UserInput::default()
    };
    User {
        profile: input.check(&mut Violations::new()).unwrap(),
        created_at: Timestamp::from_micros(1_700_000_000_123_456),
        updated_at: Timestamp::from_micros(1_700_000_000_123_456),
        deactivated_at: None,
        deactivation: crate::model::history::Cause::default(),
        deleted_at: None,
        tokens_revoked_before: None,
        last_active: None,
        avg_response_time: None,
        version: 1,
    }
}

#[track_caller]
fn holds(filter: &Json, expected: bool) {
    assert_eq!(evaluate::matches(&read(filter).unwrap(), &user()), expected, "{filter}");
}

#[test]
fn an_empty_filter_is_refused_wherever_it_stands() {
    assert_eq!(refused(&json!({})), ["filter"]);
    for operator in ["$and", "$or", "$nor"] {
        assert_eq!(refused(&json!({operator: [{"id": "a"}, {}]})), [format!("filter.{operator}[1]")]);
    }
    let nested = json!({"$and": [{"$or": [{}, {"id": "a"}]}, {"$nor": [{}]}]});
    assert_eq!(refused(&nested), ["filter.$and[0].$or[0]", "filter.$and[1].$nor[0]"]);
}

#[test]
fn absent_fields_fail_every_positive_test_and_pass_its_negation() {
    for test in [json!({"$eq": 1}), json!({"$in": [1]}), json!({"$gt": 0}), json!({"$exists": true})] {
        holds(&json!({"missing": test}), false);
        holds(&json!({"$nor": [{"missing": test}]}), true);
    }
    for test in [json!({"$ne": 1}), json!({"$nin": [1]}), json!({"$exists": false}), json!(null)] {
        holds(&json!({"missing": test}), true);
    }
    holds(&json!({"name": null}), true);
    holds(&json!({"name": ""}), true);
    holds(&json!({"deactivated_at": {"$exists": false}}), true);
    holds(&json!({"id": null}), false);
}

#[test]
fn null_is_absent_but_exists() {
    holds(&json!({"null": null}), true);
    holds(&json!({"null": {"$exists": true}}), true);
    holds(&json!({"null": {"$ne": null}}), false);
    holds(&json!({"n": {"$ne": null}}), true);
    holds(&json!({"missing": {"$in": [5, null]}}), true);
    holds(&json!({"n": {"$in": []}}), false);
    holds(&json!({"n": {"$nin": []}}), true);
}

#[test]
fn types_never_mix() {
    holds(&json!({"n": 1.0}), true);
    holds(&json!({"n": "1"}), false);
    holds(&json!({"n": true}), false);
    holds(&json!({"t": 1}), false);
    holds(&json!({"flag": 1}), false);
    holds(&json!({"flag": true}), true);
    holds(&json!({"t": {"$gt": 0}}), false);
    holds(&json!({"list": {"$gt": 0}}), false);
    holds(&json!({"list": "a"}), false);
}

#[test]
fn paths_lead_into_objects_only_and_custom_is_optional() {
    holds(&json!({"deep.er.0": "x"}), true);
    holds(&json!({"custom.deep.er.0": "x"}), true);
    holds(&json!({"list.0": {"$exists": true}}), false);
    holds(&json!({"custom.name": "custom name"}), true);
    holds(&json!({"custom.id": 7}), true);
    holds(&json!({"username": "countess"}), true);
    holds(&json!({"list": {"$contains": "a"}, "n": {"$gte": 1, "$lt": 2}}), true);
    holds(&json!({"list": {"$contains": null}}), true);
    holds(&json!({"list": {"$contains": 2}}), false);
    holds(&json!({"t": {"$contains": "1"}}), false);
}

#[test]
fn teams_are_a_set() {
    holds(&json!({"teams": "red"}), true);
    holds(&json!({"teams": {"$contains": "green"}}), false);
    holds(&json!({"teams": {"$in": ["green", "blue"]}}), true);
    holds(&json!({"teams": {"$eq": ["blue", "red", "red"]}}), true);
    holds(&json!({"teams": ["red"]}), false);
    holds(&json!({"teams": null}), false);
    holds(&json!({"teams": []}), false);
    assert_eq!(refused(&json!({"teams": ""})), ["filter.teams"]);
    assert_eq!(refused(&json!({"teams": {"$in": ["a", ""]}})), ["filter.teams.$in[1]"]);
    assert_eq!(refused(&json!({"teams": {"$eq": [null]}})), ["filter.teams.$eq"]);
    assert_eq!(refused(&json!({"teams": {"$contains": null}})), ["filter.teams.$contains"]);
    assert_eq!(refused(&json!({"teams": {"$contains": ["a"]}})), ["filter.teams.$contains"]);
}

#[test]
fn times_are_truncated_to_microseconds() {
    holds(&json!({"created_at": "2023-11-14T22:13:20.123456999Z"}), true);
    holds(&json!({"created_at": {"$gt": "2023-11-14T23:13:20.123456+01:00"}}), false);
    for bad in [json!("yesterday"), json!(""), json!(5), json!("2023-11-14"), json!(true)] {
        assert_eq!(refused(&json!({"created_at": {"$gt": bad}})), ["filter.created_at.$gt"], "{bad}");
    }
}

#[test]
fn an_operator_that_a_field_does_not_take_is_refused_naming_both() {
    let cases = [
        ("name", "$gt"),
        ("name", "$ne"),
        ("role", "$exists"),
        ("language", "$nin"),
        ("invisible", "$in"),
        ("created_at", "$ne"),
        ("teams", "$ne"),
        ("username", "$gt"),
        ("id", "$contains"),
        ("x", "$regex"),
        ("role", "$autocomplete"),
        ("a", "$autocomplete"),
        ("banned", "$in"),
        ("shadow_banned", "$exists"),
        ("last_active", "$nin"),
        ("id", "eq"),
        ("x", "y"),
        ("id", "$and"),
    ];
    for (field, operator) in cases {
        let found = read(&json!({field: {operator: "a"}})).unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, format!("filter.{field}.{operator}"));
        assert!(found[0].1.starts_with(&format!("{field} does not take {operator};")), "{}", found[0].1);
    }
}

#[test]
fn built_in_fields_out_of_the_table_are_refused_by_name() {
    for name in [
        "image",
        "online",
        "deleted_at",
        "devices",
        "version",
        "privacy_settings",
        "teams_role",
        "push_notifications",
        "custom",
        "name.first",
        "teams.0",
        "privacy_settings.read_receipts",
        "blocked_user_ids",
        "ban_expires",
        "avg_response_time",
        "revoke_tokens_issued_before",
    ] {
        assert_eq!(refused(&json!({name: 1})), [format!("filter.{name}")]);
        assert!(read(&json!({format!("custom.{name}"): 1})).is_ok(), "{name}");
    }
}

#[test]
fn paths_that_databases_could_read_differently_are_refused() {
    let deep = vec!["a"; 17].join(".");
    let long = "é".repeat(128);
    for name in
        ["", ".", "a.", ".a", "a..b", "custom.", "custom..a", "a\"b", "a\\b", "a\u{7f}", "a\nb", "a.$b"]
    {
        assert_eq!(refused(&json!({name: 1})).len(), 1, "{name:?}");
    }
    assert_eq!(refused(&json!({deep: 1})).len(), 1);
    assert_eq!(refused(&json!({long: 1})).len(), 1);
    assert_eq!(refused(&json!({"a\0b": 1})), ["filter.a\u{fffd}b"]);
    assert_eq!(refused(&json!({"$where": "1"})), ["filter.$where"]);
    for name in [&*vec!["a"; 16].join("."), "é ü", "0", "a b", "x$", "custom.custom", "'", "%"] {
        assert!(read(&json!({name: 1})).is_ok(), "{name:?}");
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let cases = [
        (json!({"id": 5}), "filter.id"),
        (json!({"id": {"$in": "a"}}), "filter.id.$in"),
        (json!({"id": {"$in": ["a", 1, "b"]}}), "filter.id.$in[1]"),
        (json!({"id": {"$gt": null}}), "filter.id.$gt"),
        (json!({"id": {"$exists": "true"}}), "filter.id.$exists"),
        (json!({"id": {"$exists": null}}), "filter.id.$exists"),
        (json!({"id": {}}), "filter.id"),
        (json!({"id": ["a"]}), "filter.id"),
        (json!({"name": "a\0"}), "filter.name"),
        (json!({"invisible": "true"}), "filter.invisible"),
        (json!({"x": {"$eq": {"a": 1}}}), "filter.x.$eq"),
        (json!({"x": [1]}), "filter.x"),
        (json!({"x": {"$gt": true}}), "filter.x.$gt"),
        (json!({"x": {"$lte": null}}), "filter.x.$lte"),
        (json!({"x": {"$contains": [1]}}), "filter.x.$contains"),
        (json!({"x": {"$nin": [[1]]}}), "filter.x.$nin[0]"),
        (json!({"x": 9_007_199_254_740_993_u64}), "filter.x"),
        (json!({"x": {"a": 1}}), "filter.x.a"),
        (json!({"$or": []}), "filter.$or"),
        (json!({"$and": {}}), "filter.$and"),
        (json!({"$nor": [1]}), "filter.$nor[0]"),
    ];
    for (filter, path) in cases {
        assert_eq!(refused(&filter), [path], "{filter}");
    }
}

#[test]
fn everything_wrong_is_told_at_once_with_its_path() {
    let filter =
        json!({"$or": [{"id": "a"}, {"custom.color": {"$gt": true, "$lt": null}, "$x": 1}], "online": true});
    let mut found = refused(&filter);
    found.sort();
    assert_eq!(
        found,
        [
            "filter.$or[1].$x",
            "filter.$or[1].custom.color.$gt",
            "filter.$or[1].custom.color.$lt",
            "filter.online"
        ]
    );
}

#[test]
fn eight_levels_are_taken_and_nine_refused() {
    let nest = |levels: usize| (0..levels).fold(json!({"id": "a"}), |inner, _| json!({"$and": [inner]}));
    assert!(read(&nest(8)).is_ok());
    assert_eq!(refused(&nest(9)), [format!("filter{}.$and", ".$and[0]".repeat(8))]);
}

#[test]
fn a_hundred_tests_are_taken_and_members_of_lists_count_a_tenth() {
    let tests = |count: usize| json!({"$or": vec![json!({"id": "a"}); count]});
    let list = |count: usize| json!({"id": {"$in": vec!["a"; count]}});
    assert!(read(&tests(100)).is_ok());
    assert_eq!(refused(&tests(101)), ["filter"]);
    assert!(read(&list(1_000)).is_ok());
    assert_eq!(refused(&list(1_001)), ["filter"]);
    assert!(read(&json!({"$and": [tests(95), list(50)]})).is_ok());
    assert_eq!(refused(&json!({"$and": [tests(95), list(51)]})), ["filter"]);
}

#[test]
fn reading_ends_where_there_is_too_much() {
    let hostile = [
        json!({"$or": vec![json!({}); 20_000]}),
        json!({"$or": vec![json!({"$or": []}); 20_000]}),
        json!({"$or": vec![json!({"id": {"$in": []}}); 20_000]}),
        json!({"$or": vec![json!([]); 20_000]}),
        json!({"x": {"$in": vec![json!({}); 20_000]}}),
        Json::Object((0..20_000).map(|at| (format!("${at}"), json!(1))).collect()),
        json!({"x": Json::Object((0..20_000).map(|at| (format!("${at}"), json!(1))).collect())}),
    ];
    for filter in hostile {
        let found = refused(&filter);
        assert!(found.len() <= 101 && found.contains(&"filter".to_owned()), "{}", found.len());
    }
    let long = refused(&json!({"$".repeat(1_000_000): 1}));
    assert!(long[0].len() < 100);
}

#[test]
fn words_are_found_by_their_beginnings() {
    holds(&json!({"id": {"$autocomplete": "AD"}}), true);
    holds(&json!({"username": {"$autocomplete": "count"}}), true);
    holds(&json!({"custom.username": {"$autocomplete": "count"}, "username": {"$exists": true}}), true);
    holds(&json!({"username": {"$autocomplete": "ount"}}), false);
    holds(&json!({"name": {"$autocomplete": "c"}}), false);
    holds(&json!({"$nor": [{"name": {"$autocomplete": "c"}}]}), true);
    for bad in [json!(""), json!("%"), json!("a\0"), json!(1), json!(null), json!(["a"])] {
        assert_eq!(refused(&json!({"name": {"$autocomplete": bad}})), ["filter.name.$autocomplete"], "{bad}");
    }
    let ten = json!({"$or": vec![json!({"name": {"$autocomplete": "a b c d e f g h i j"}}); 10]});
    assert!(read(&ten).is_ok());
    assert_eq!(refused(&json!({"$and": [ten, {"id": "a"}]})), ["filter"]);
}

#[test]
fn nobody_is_banned_and_some_were_never_active() {
    holds(&json!({"banned": false, "shadow_banned": {"$ne": true}}), true);
    holds(&json!({"banned": true}), false);
    holds(&json!({"banned": null}), false);
    holds(&json!({"last_active": null}), true);
    holds(&json!({"last_active": {"$exists": false}}), true);
    holds(&json!({"last_active": {"$gt": "2020-01-01T00:00:00Z"}}), false);
}

#[test]
fn ids_are_compared_byte_by_byte() {
    holds(&json!({"id": {"$gt": "Zed", "$lt": "b"}}), true);
    holds(&json!({"id": {"$in": ["Ada"]}}), false);
}
