//! Calls made to cost more than they are worth. Each ends within the limit of a test, which a server that
//! does the work they ask for does not.

use std::time::Duration;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, TestServer, each_backend, pb, user, user_item};

/// Below what any of these takes where work grows with the product of two sizes.
const SOON: Duration = Duration::from_secs(20);

/// One key of a million characters that holds a hundred thousand values: their paths would be 100 GB.
fn wide(kind: &Kind) -> Struct {
    let list = ListValue { values: vec![Value { kind: Some(kind.clone()) }; 100_000] };
    let member = Value { kind: Some(Kind::ListValue(list)) };
    Struct { fields: [("k".repeat(1_000_000), member)].into() }
}

each_backend! {
    async fn wide_data_below_a_long_name_is_refused_at_once(server: TestServer) {
        for kind in [Kind::NullValue(0), Kind::NumberValue(f64::NAN), Kind::StringValue("\0".to_owned())] {
            let ended = tokio::time::timeout(SOON, async {
                let input = pb::UserInput { custom: Some(wide(&kind)), ..user("ada") };
                let upsert = pb::UpsertUsersRequest { users: vec![input] };
                let status = server.users().upsert_users(upsert).await.expect_err("should be refused");
                assert_eq!(status.code(), Code::InvalidArgument);

                let query = pb::QueryUsersRequest { filter: Some(wide(&kind)), ..Default::default() };
                let status = server.users().query_users(query).await.expect_err("should be refused");
                assert_eq!(status.code(), Code::InvalidArgument);

                let claims = pb::CreateUserTokenRequest {
                    user_id: "ada".to_owned(),
                    claims: Some(wide(&kind)),
                    ..Default::default()
                };
                let status = server.tokens().create_user_token(claims).await.expect_err("should be refused");
                assert_eq!(status.code(), Code::InvalidArgument);
            });
            ended.await.expect("work that grows with the product of two sizes");
        }
    }

    async fn wide_data_below_a_long_path_is_refused_at_once(server: TestServer) {
        for kind in [Kind::NullValue(0), Kind::NumberValue(f64::NAN), Kind::StringValue("\0".to_owned())] {
            let patch = pb::UserPatch { id: "ada".to_owned(), set: Some(wide(&kind)), ..Default::default() };
            let update = pb::UpdateUsersPartialRequest { users: vec![patch] };
            let mut users = server.users();
            let ended = tokio::time::timeout(SOON, users.update_users_partial(update)).await;
            let status = ended.expect("work that grows with the product of two sizes").expect_err("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    }

    async fn more_blocks_than_a_user_can_have_are_refused_and_the_import_goes_on(server: TestServer) {
        let blocked = |number: usize| -> Vec<String> { (0..number).map(|at| format!("b{at}")).collect() };
        let mut import = server.import("blocks", pb::ImportMode::Upsert).await;
        import.send(0, &user_item(&json!({"id": "most", "blocked_user_ids": blocked(1_000)}))).await;
        import.send(1, &user_item(&json!({"id": "more", "blocked_user_ids": blocked(20_000)}))).await;
        import.send(2, &user_item(&json!({"id": "none"}))).await;
        let tally = import.finish().await;

        assert_eq!((tally.accepted, tally.refused.len()), (2, 1));
        let refusal = &tally.refused[0];
        assert_eq!((refusal.reason.as_str(), refusal.field.as_str()), ("TOO_LARGE", "blocked_user_ids"));
        let request = pb::GetUsersRequest { user_ids: vec!["most".to_owned()], include_deleted: false };
        let got = server.users().get_users(request).await.answered();
        assert_eq!(got.users[0].blocked_user_ids.len(), 1_000);
    }
}
