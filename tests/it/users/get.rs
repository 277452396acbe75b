//! `GetUsers`.

use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, TestServer, each_backend, fields_of, pb, user, user_ids};

fn get(ids: &[&str]) -> pb::GetUsersRequest {
    pb::GetUsersRequest { user_ids: ids.iter().map(ToString::to_string).collect(), include_deleted: false }
}

fn ids_of(answer: &pb::GetUsersResponse) -> Vec<&str> {
    answer.users.iter().map(|user| user.id.as_str()).collect()
}

each_backend! {
    async fn users_come_in_the_order_of_the_request_and_missing_ids_beside(server: TestServer) {
        server.upsert(vec![user("a"), user("B"), user("c")]).await;

        let answer = server.users().get_users(get(&["c", "nobody", "a", "B", "no-one"])).await.answered();

        assert_eq!(ids_of(&answer), ["c", "a", "B"]);
        assert_eq!(answer.missing_ids, ["nobody", "no-one"]);
    }

    async fn an_id_named_twice_counts_once(server: TestServer) {
        server.upsert(vec![user("a"), user("b")]).await;

        let answer = server.users().get_users(get(&["b", "x", "a", "b", "x"])).await.answered();

        assert_eq!(ids_of(&answer), ["b", "a"]);
        assert_eq!(answer.missing_ids, ["x"]);
    }

    async fn deactivated_users_are_included_and_deleted_ones_on_request_only(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("a"), user("off")]).await;
        server.deactivate("off").await;

        let answer = server.users().get_users(get(&["gone", "off", "a"])).await.answered();
        assert_eq!(ids_of(&answer), ["off", "a"]);
        assert_eq!(answer.missing_ids, ["gone"]);
        assert!(answer.users[0].deactivated_at.is_some());

        let request = pb::GetUsersRequest { include_deleted: true, ..get(&["gone", "off", "a"]) };
        let answer = server.users().get_users(request).await.answered();
        assert_eq!(ids_of(&answer), ["gone", "off", "a"]);
        assert_eq!(answer.users[0].deleted_at.unwrap().seconds, 1_714_564_800);
    }

    async fn five_hundred_ids_are_taken_and_one_more_or_none_is_refused(server: TestServer) {
        let ids = user_ids("u", 501);
        let request = pb::GetUsersRequest { user_ids: ids[..500].to_vec(), include_deleted: false };
        assert_eq!(server.users().get_users(request).await.answered().missing_ids.len(), 500);

        for ids in [ids, Vec::new()] {
            let request = pb::GetUsersRequest { user_ids: ids, include_deleted: false };
            let status =
                server.users().get_users(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["user_ids"]);
        }
    }

    async fn ids_outside_the_pattern_are_refused_by_their_position(server: TestServer) {
        let long = "x".repeat(256);
        let status = server.users().get_users(get(&["ok", "a b", "", "a\0", &long])).await;
        let status = status.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["user_ids[1]", "user_ids[2]", "user_ids[3]", "user_ids[4]"]);
    }

    async fn an_answer_stays_within_what_stock_clients_read(server: TestServer) {
        let ids = user_ids("u", 500);
        let heavy = |id: &String| pb::UserInput {
            custom: Some(crate::harness::struct_of(json!({"t": "x".repeat(5_000)}))),
            ..user(id)
        };
        for some in ids.chunks(250) {
            server.upsert(some.iter().map(heavy).collect()).await;
        }
        let request = pb::GetUsersRequest { user_ids: ids, include_deleted: false };
        assert_eq!(server.users().get_users(request).await.answered().users.len(), 500);
    }
}
