//! `QueryUsers`: what is found, in which order, and what is refused. Filters and pages have files of their
//! own.

use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, pb, struct_of, user, user_ids};

pub(super) async fn found(caller: &Caller, request: pb::QueryUsersRequest) -> Vec<String> {
    let answer = caller.users().query_users(request).await.answered();
    answer.users.into_iter().map(|user| user.id).collect()
}

pub(super) fn by(field: &str, direction: pb::SortDirection, kind: pb::SortType) -> pb::SortKey {
    pb::SortKey { field: field.to_owned(), direction: direction.into(), r#type: kind.into() }
}

fn ascending(field: &str) -> pb::SortKey {
    by(field, pb::SortDirection::Asc, pb::SortType::Unspecified)
}

fn sorted(sort: Vec<pb::SortKey>) -> pb::QueryUsersRequest {
    pb::QueryUsersRequest { sort, ..Default::default() }
}

fn custom(id: &str, custom: Value) -> pb::UserInput {
    pb::UserInput { custom: Some(struct_of(custom)), ..user(id) }
}

each_backend! {
    async fn an_empty_query_finds_everybody_newest_first(server: TestServer) {
        for id in ["b", "a", "c"] {
            server.upsert(vec![user(id)]).await;
        }
        assert_eq!(found(&server, pb::QueryUsersRequest::default()).await, ["c", "a", "b"]);
    }

    async fn a_filter_that_is_there_and_empty_is_refused(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        for (filter, field) in [
            (json!({}), "filter"),
            (json!({"$and": [{}]}), "filter.$and[0]"),
            (json!({"$or": [{"id": "ada"}, {}]}), "filter.$or[1]"),
            (json!({"$nor": [{}]}), "filter.$nor[0]"),
        ] {
            let filter = Some(struct_of(filter));
            let query = pb::QueryUsersRequest { filter: filter.clone(), with_total: true, ..Default::default() };
            let stream = pb::StreamUsersRequest { filter, ..Default::default() };
            for status in [
                server.users().query_users(query).await.refused(Code::InvalidArgument, "FILTER_INVALID"),
                server.users().stream_users(stream).await.refused(Code::InvalidArgument, "FILTER_INVALID"),
            ] {
                assert_eq!(fields_of(&status), [field]);
            }
        }
    }

    async fn a_value_without_a_kind_is_refused_in_a_filter(server: TestServer) {
        let filter = prost_types::Struct { fields: [("level".to_owned(), prost_types::Value { kind: None })].into() };
        let query = pb::QueryUsersRequest { filter: Some(filter), ..Default::default() };
        let status = server.users().query_users(query).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["filter.level"]);
    }

    async fn an_app_without_users_answers_with_none(server: TestServer) {
        let request = pb::QueryUsersRequest { with_total: true, ..Default::default() };
        let answer = server.users().query_users(request).await.answered();
        assert_eq!(answer, pb::QueryUsersResponse { total: Some(0), ..Default::default() });
    }

    async fn deactivated_and_deleted_users_are_found_on_request_only(server: TestServer) {
        server
            .import_users(
                "gone",
                &[
                    json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"}),
                    json!({
                        "id": "off-and-gone",
                        "deactivated_at": "2024-05-01T12:00:00Z",
                        "deleted_at": "2024-05-01T12:00:00Z",
                    }),
                ],
            )
            .await;
        server.upsert(vec![user("on"), user("off")]).await;
        server.deactivate("off").await;
        let query = |deactivated, deleted| pb::QueryUsersRequest {
            include_deactivated_users: deactivated,
            include_deleted_users: deleted,
            with_total: true,
            ..sorted(vec![ascending("id")])
        };
        let expected: [(bool, bool, &[&str]); 4] = [
            (false, false, &["on"]),
            (true, false, &["off", "on"]),
            (false, true, &["gone", "on"]),
            (true, true, &["gone", "off", "off-and-gone", "on"]),
        ];
        for (deactivated, deleted, ids) in expected {
            let answer = server.users().query_users(query(deactivated, deleted)).await.answered();
            assert_eq!(answer.users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ids);
            assert_eq!(
                answer.total,
                Some(i64::try_from(ids.len()).unwrap()),
                "the total follows the same rules"
            );
        }
    }

    async fn ids_and_text_sort_by_bytes_on_both_databases(server: TestServer) {
        let bytewise = ["-a", "0", "@", "A", "B", "Z", "_", "a", "b"];
        let mut shuffled = bytewise.map(user).to_vec();
        shuffled.rotate_left(4);
        server.upsert(shuffled).await;
        assert_eq!(found(&server, sorted(vec![ascending("id")])).await, bytewise);
        let mut down =
            found(&server, sorted(vec![by("id", pb::SortDirection::Desc, pb::SortType::Unspecified)])).await;
        down.reverse();
        assert_eq!(down, bytewise);

        let names = ["-a", "B", "_", "a", "é", "z"];
        let mut order: Vec<&str> = names.to_vec();
        order.sort_unstable();
        let users = names
            .iter()
            .enumerate()
            .map(|(at, name)| pb::UserInput { name: (*name).to_owned(), ..user(&format!("n{at}")) });
        server.upsert(users.collect()).await;
        let filter = Some(struct_of(json!({"name": {"$exists": true}})));
        let answer = server
            .users()
            .query_users(pb::QueryUsersRequest { filter, ..sorted(vec![ascending("name")]) })
            .await
            .answered();
        assert_eq!(answer.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), order);
    }

    async fn ties_end_on_the_id_in_the_direction_of_the_last_key(server: TestServer) {
        server.upsert(["b", "a", "c"].map(user).to_vec()).await;
        assert_eq!(found(&server, sorted(vec![ascending("role")])).await, ["a", "b", "c"]);
        let down = by("role", pb::SortDirection::Desc, pb::SortType::Unspecified);
        assert_eq!(found(&server, sorted(vec![down])).await, ["c", "b", "a"]);
        assert_eq!(
            found(&server, pb::QueryUsersRequest::default()).await,
            ["c", "b", "a"],
            "created at once: by id, downwards"
        );
    }

    async fn absent_values_come_last_in_both_directions(server: TestServer) {
        let name = |id: &str, name: &str| pb::UserInput { name: name.to_owned(), ..user(id) };
        server.upsert(vec![name("1", "b"), user("2"), name("3", "a"), user("4")]).await;
        assert_eq!(found(&server, sorted(vec![ascending("name")])).await, ["3", "1", "2", "4"]);
        let down = by("name", pb::SortDirection::Desc, pb::SortType::Unspecified);
        assert_eq!(found(&server, sorted(vec![down])).await, ["1", "3", "4", "2"]);
    }

    async fn free_data_sorts_by_the_type_asked_for_or_by_type_first_and_others_come_last(server: TestServer) {
        use pb::SortDirection::{Asc, Desc};
        use pb::SortType::{Boolean, Number, String as Text, Unspecified};
        server
            .upsert(vec![
                custom("number-10", json!({"v": 10})),
                custom("number-9", json!({"v": 9})),
                custom("number-9_5", json!({"v": 9.5})),
                custom("text-10", json!({"v": "10"})),
                custom("text-9", json!({"v": "9"})),
                custom("true", json!({"v": true})),
                custom("false", json!({"v": false})),
                custom("null", json!({"v": null})),
                custom("object", json!({"v": {"x": 1}})),
                user("absent"),
            ])
            .await;
        let order =
            async |kind, direction| found(&server, sorted(vec![by("custom.v", direction, kind)])).await;

        assert_eq!(order(Number, Asc).await[..3], ["number-9", "number-9_5", "number-10"]);
        assert_eq!(order(Number, Desc).await[..3], ["number-10", "number-9_5", "number-9"]);
        assert_eq!(order(Text, Asc).await[..2], ["text-10", "text-9"]);
        let up = ["number-9", "number-9_5", "number-10", "text-10", "text-9", "false", "true"];
        let mut down = up;
        down.reverse();
        assert_eq!(order(Unspecified, Asc).await[..7], up, "by type, then by value");
        assert_eq!(order(Unspecified, Asc).await[7..], ["absent", "null", "object"]);
        assert_eq!(order(Unspecified, Desc).await[..7], down);
        assert_eq!(order(Unspecified, Desc).await[7..], ["object", "null", "absent"]);
        assert_eq!(order(Boolean, Asc).await[..2], ["false", "true"]);
        assert_eq!(order(Boolean, Desc).await[..2], ["true", "false"]);
        assert_eq!(
            order(Number, Asc).await[3..],
            ["absent", "false", "null", "object", "text-10", "text-9", "true"],
            "by id"
        );
        assert_eq!(
            order(Number, Desc).await[3..],
            ["true", "text-9", "text-10", "object", "null", "false", "absent"]
        );
    }

    async fn several_keys_sort_within_each_other(server: TestServer) {
        server
            .upsert(vec![
                custom("1", json!({"a": "x", "b": 1})),
                custom("2", json!({"a": "y", "b": 1})),
                custom("3", json!({"a": "x", "b": 2})),
                custom("4", json!({"a": "y", "b": 2})),
            ])
            .await;
        let sort = vec![
            by("custom.a", pb::SortDirection::Desc, pb::SortType::String),
            by("custom.b", pb::SortDirection::Asc, pb::SortType::Number),
        ];
        assert_eq!(found(&server, sorted(sort)).await, ["2", "4", "1", "3"]);
    }

    async fn bad_sort_keys_are_refused(server: TestServer) {
        let keys =
            |count| (0..count).map(|number| ascending(&format!("custom.k{number}"))).collect::<Vec<_>>();
        found(&server, sorted(keys(5))).await;
        let six = server.users().query_users(sorted(keys(6))).await;
        assert_eq!(fields_of(&six.refused(Code::InvalidArgument, "INVALID_FIELD")), ["sort"]);

        for field in ["", "custom", "custom.", ".a", "custom..a", "custom.a\0", "teams", &"x".repeat(3_000)] {
            let status =
                match server.users().query_users(sorted(vec![ascending("id"), ascending(field)])).await {
                    Ok(_) => panic!("{field:?} should be refused"),
                    refused => refused.refused(Code::InvalidArgument, "INVALID_FIELD"),
                };
            assert!(
                fields_of(&status).iter().all(|path| path.starts_with("sort[1]")),
                "{field:?}: {status:?}"
            );
        }
        let unknown = pb::SortKey { field: "id".to_owned(), direction: 7, r#type: 0 };
        let status = server
            .users()
            .query_users(sorted(vec![unknown]))
            .await
            .refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["sort[0].direction"]);
        let unknown = pb::SortKey { field: "id".to_owned(), direction: 0, r#type: 9 };
        let status = server
            .users()
            .query_users(sorted(vec![unknown]))
            .await
            .refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["sort[0].type"]);
    }

    async fn blocks_are_left_out_unless_the_full_view_is_asked_for(server: TestServer) {
        server.import_users("blocks", &[json!({"id": "ada", "blocked_user_ids": ["eve", "bob"]})]).await;
        for view in [pb::UserView::Unspecified, pb::UserView::Basic, pb::UserView::Full] {
            let request = pb::QueryUsersRequest { view: view.into(), ..Default::default() };
            let users = server.users().query_users(request).await.answered().users;
            let expected: &[&str] = if view == pb::UserView::Full { &["bob", "eve"] } else { &[] };
            assert_eq!(users[0].blocked_user_ids, expected);
        }
        let unknown = pb::QueryUsersRequest { view: 9, ..Default::default() };
        let status =
            server.users().query_users(unknown).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["view"]);
    }

    async fn the_total_counts_all_pages_and_comes_on_request_only(server: TestServer) {
        server.seed(&user_ids("u", 25)).await;
        let request = pb::QueryUsersRequest { limit: 10, offset: 5, with_total: true, ..Default::default() };
        let answer = server.users().query_users(request).await.answered();
        assert_eq!((answer.users.len(), answer.total), (10, Some(25)));
        let answer = server.users().query_users(pb::QueryUsersRequest::default()).await.answered();
        assert_eq!(answer.total, None);
    }
}
