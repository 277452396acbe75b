//! What the text of a refusal says first.

use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, TestServer, each_backend, pb, struct_of, user};

each_backend! {
    async fn a_refused_form_says_the_first_violation_and_how_many_more(server: TestServer) {
        let request = pb::UpsertUsersRequest { users: vec![user("ada"), user("a b"), user("c d"), user("")] };
        let refused = server.users().upsert_users(request).await;
        let refused = refused.refused(Code::InvalidArgument, "INVALID_FIELD");
        let rule = "must be 1 to 255 characters of A-Z a-z 0-9 _ - @";
        assert_eq!(refused.message(), format!("users[1].id: {rule} (and 2 more)"));

        let one = pb::UpsertUsersRequest { users: vec![user("a b")] };
        let refused = server.users().upsert_users(one).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(refused.message(), format!("users[0].id: {rule}"));
    }

    async fn a_refused_filter_says_which_operator(server: TestServer) {
        let filter = Some(struct_of(json!({"role": {"$near": 1}})));
        let request = pb::QueryUsersRequest { filter, ..Default::default() };
        let refused = server.users().query_users(request).await;
        let refused = refused.refused(Code::InvalidArgument, "FILTER_INVALID");
        assert!(refused.message().starts_with("filter.role.$near: "), "{}", refused.message());
    }

    async fn a_value_that_is_too_large_says_where_it_is(server: TestServer) {
        let custom = Some(struct_of(json!({"text": "x".repeat(200_000)})));
        let users = vec![user("ada"), pb::UserInput { custom, ..user("bob") }];
        let refused = server.users().upsert_users(pb::UpsertUsersRequest { users }).await;
        let refused = refused.refused(Code::InvalidArgument, "TOO_LARGE");
        assert!(refused.message().starts_with("users[1]"), "{}", refused.message());
    }

    async fn stored_state_that_conflicts_says_where_and_how_many_more(server: TestServer) {
        let patch = |id: &str| pb::UserPatch { id: id.to_owned(), ..Default::default() };
        let request = pb::UpdateUsersPartialRequest { users: vec![patch("x"), patch("y")] };
        let refused = server.users().update_users_partial(request).await;
        let refused = refused.refused(Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(refused.message(), "users[0]: there is no such user in this app (and 1 more)");
    }
}
