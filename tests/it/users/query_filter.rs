//! `QueryUsers`: filters as callers write them, and filters that are refused. Their law is checked elsewhere.

use serde_json::{Value, json};
use tonic::{Code, Status};

use super::query::found;
use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, pb, struct_of, user};

fn filter(filter: Value) -> pb::QueryUsersRequest {
    let by_id = pb::SortKey { field: "id".to_owned(), ..Default::default() };
    pb::QueryUsersRequest { filter: Some(struct_of(filter)), sort: vec![by_id], ..Default::default() }
}

async fn seed(caller: &Caller) {
    let someone = |id: &str, name: &str, role: &str, custom: Value| pb::UserInput {
        name: name.to_owned(),
        role: role.to_owned(),
        custom: Some(struct_of(custom)),
        ..user(id)
    };
    caller
        .upsert(vec![
            someone(
                "ada",
                "Ada",
                "admin",
                json!({"level": 3, "city": "London", "tags": ["math", "code"], "address": {"zip": "1"}}),
            ),
            someone("bob", "Bob", "user", json!({"level": 1, "city": "Paris", "tags": [], "flag": true})),
            someone("cy", "", "user", json!({"level": "3", "city": null, "flag": 1})),
            someone("dee", "Dee", "moderator", json!({})),
        ])
        .await;
}

async fn refusal(caller: &Caller, bad: Value) -> Status {
    match caller.users().query_users(filter(bad.clone())).await {
        Ok(_) => panic!("should be refused: {bad}"),
        refused => refused.refused(Code::InvalidArgument, "FILTER_INVALID"),
    }
}

each_backend! {
    async fn filters_find_who_they_should(server: TestServer) {
        seed(&server).await;
        let cases: Vec<(Value, &[&str])> = vec![
            (json!({"id": "ada"}), &["ada"]),
            (json!({"id": {"$in": ["dee", "ada", "nobody"]}}), &["ada", "dee"]),
            (json!({"id": {"$in": []}}), &[]),
            (json!({"id": {"$gt": "ada", "$lt": "dee"}}), &["bob", "cy"]),
            (json!({"role": {"$ne": "user"}}), &["ada", "dee"]),
            (json!({"name": {"$exists": false}}), &["cy"]),
            (json!({"name": "Ada", "role": "admin"}), &["ada"]),
            (json!({"name": "ada"}), &[]),
            (json!({"custom.level": 3}), &["ada"]),
            (json!({"level": "3"}), &["cy"]),
            (json!({"level": {"$gte": 1}}), &["ada", "bob"]),
            (json!({"level": {"$ne": 3}}), &["bob", "cy", "dee"]),
            (json!({"level": {"$nin": [1, 3]}}), &["cy", "dee"]),
            (json!({"city": null}), &["cy", "dee"]),
            (json!({"city": {"$exists": true}}), &["ada", "bob", "cy"]),
            (json!({"flag": true}), &["bob"]),
            (json!({"flag": 1}), &["cy"]),
            (json!({"tags": {"$contains": "math"}}), &["ada"]),
            (json!({"address.zip": "1"}), &["ada"]),
            (json!({"name": {"$autocomplete": "a"}}), &["ada"]),
            (json!({"name": {"$autocomplete": "a ".repeat(2_000)}}), &["ada"]),
            (json!({"id": {"$autocomplete": "D"}, "banned": false}), &["dee"]),
            (json!({"$nor": [{"id": {"$autocomplete": "d"}}, {"shadow_banned": true}]}), &["ada", "bob", "cy"]),
            (json!({"last_active": {"$exists": false}}), &["ada", "bob", "cy", "dee"]),
            (json!({"$or": [{"id": "bob"}, {"custom.city": "London"}]}), &["ada", "bob"]),
            (json!({"$nor": [{"role": "user"}, {"level": 3}]}), &["dee"]),
            (json!({"$and": [{"role": "user"}, {"$or": [{"level": 1}, {"level": "3"}]}]}), &["bob", "cy"]),
            (
                json!({"created_at": {"$gt": "2020-01-01T00:00:00Z", "$lt": "2999-01-01T00:00:00+02:00"}}),
                &["ada", "bob", "cy", "dee"],
            ),
        ];
        for (asked, expected) in cases {
            assert_eq!(found(&server, filter(asked.clone())).await, expected, "{asked}");
        }
    }

    async fn the_place_of_a_mistake_is_named(server: TestServer) {
        let cases = [
            (json!({"id": {"$regex": ".*"}}), "filter.id.$regex"),
            (json!({"name": {"$gt": "a"}}), "filter.name.$gt"),
            (json!({"role": {"$autocomplete": "a"}}), "filter.role.$autocomplete"),
            (json!({"name": {"$autocomplete": "-%"}}), "filter.name.$autocomplete"),
            (json!({"banned": {"$in": [true]}}), "filter.banned.$in"),
            (json!({"role": {"$exists": true}}), "filter.role.$exists"),
            (json!({"$xor": []}), "filter.$xor"),
            (json!({"$or": {}}), "filter.$or"),
            (json!({"$or": [{"id": "a"}, 5]}), "filter.$or[1]"),
            (json!({"$and": [{"id": "a"}, {"$or": [{"id": {"$bad": 1}}]}]}), "filter.$and[1].$or[0].id.$bad"),
            (json!({"created_at": "yesterday"}), "filter.created_at"),
        ];
        for (bad, place) in cases {
            let status = refusal(&server, bad.clone()).await;
            assert_eq!(fields_of(&status), [place], "{bad}");
        }
    }

    async fn what_is_no_filter_is_refused(server: TestServer) {
        let cases = [
            json!({"id": 5}),
            json!({"id": {}}),
            json!({"id": ["a"]}),
            json!({"id": {"$in": "a"}}),
            json!({"id": {"$in": [["a"]]}}),
            json!({"id": {"$eq": {"a": 1}}}),
            json!({"id": {"$exists": "yes"}}),
            json!({"level": {"$eq": {"a": 1}}}),
            json!({"level": {"a": 1}}),
            json!({"$and": []}),
            json!({"$or": []}),
            json!({"$nor": []}),
            json!({"$or": [{}, "a"]}),
            json!({"role": {"$in": [1]}}),
            json!({"": 1}),
            json!({"custom": 1}),
            json!({"custom.": 1}),
            json!({".a": 1}),
            json!({"a..b": 1}),
            json!({"a.": 1}),
            json!({"level": {"$gt": null}}),
            json!({"level": {"$gt": [1]}}),
            json!({"id": "a\0"}),
            json!({"a\0": 1}),
            json!({"city": "a\0"}),
            json!({"city": {"$in": ["a\0"]}}),
        ];
        for bad in cases {
            refusal(&server, bad).await;
        }
    }

    async fn names_and_values_never_become_sql(server: TestServer) {
        seed(&server).await;
        for text in [
            "' OR 1=1 --",
            "\" OR 1=1 --",
            "$.a",
            "a']",
            "a\"]",
            "%",
            "_",
            "\\",
            "a->>b",
            "{}",
            "[0]",
            "é",
            "`",
        ] {
            for asked in [
                json!({"city": text}),
                json!({"id": text}),
                json!({"name": {"$in": [text]}}),
                json!({text: "x"}),
                json!({format!("custom.{text}"): {"$exists": true}}),
                json!({"tags": {"$contains": text}}),
            ] {
                match server.users().query_users(filter(asked.clone())).await {
                    Ok(answer) => assert!(answer.into_inner().users.is_empty(), "{asked}"),
                    Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{asked}: {status:?}"),
                }
            }
        }
    }

    async fn filters_nest_eight_deep_and_no_deeper(server: TestServer) {
        seed(&server).await;
        let nest =
            |levels: usize| (0..levels).fold(json!({"id": "ada"}), |inner, _| json!({"$and": [inner]}));
        assert_eq!(found(&server, filter(nest(8))).await, ["ada"]);
        refusal(&server, nest(9)).await;
    }

    async fn a_hundred_tests_are_taken_where_members_of_a_list_count_a_tenth(server: TestServer) {
        seed(&server).await;
        let test = |number: usize| json!({format!("f{number}"): 1});
        let tests = |count: usize| json!({"$or": (0..count).map(test).collect::<Vec<_>>()});
        assert!(found(&server, filter(tests(100))).await.is_empty());
        refusal(&server, tests(101)).await;

        let members = |count: usize| (0..count).map(|number| format!("u{number}")).collect::<Vec<_>>();
        assert!(found(&server, filter(json!({"id": {"$in": members(900)}}))).await.is_empty());
        refusal(&server, json!({"id": {"$in": members(1_001)}})).await;
        refusal(&server, json!({"id": {"$nin": members(1_001)}})).await;
        refusal(&server, json!({"$or": [{"id": {"$in": members(600)}}, {"role": {"$in": members(600)}}]}))
            .await;
    }

    async fn filter_bombs_are_refused_and_not_worked_on(server: TestServer) {
        let deep = (0..12).fold(json!({"id": "a"}), |inner, _| json!({"$nor": [inner]}));
        refusal(&server, deep).await;
        let wide = json!({"$or": vec![json!({"level": {"$gt": 1}}); 20_000]});
        refusal(&server, wide).await;
        refusal(&server, json!({"id": {"$in": vec!["x"; 100_000]}})).await;
        refusal(&server, json!({"x".repeat(100_000): 1})).await;
        let long_path = vec!["a"; 5_000].join(".");
        refusal(&server, json!({long_path: 1})).await;
        let doubling = (0..8).fold(json!({"id": "a"}), |inner, _| json!({"$or": [inner.clone(), inner]}));
        refusal(&server, doubling).await;
    }

    async fn a_struct_nested_beyond_the_decoder_is_no_internal_error(server: TestServer) {
        let deep = (0..200).fold(json!({"id": "a"}), |inner, _| json!({"$nor": [inner]}));
        let status = server.users().query_users(filter(deep)).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}
