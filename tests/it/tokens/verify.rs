//! `VerifyToken`: a bad token is an answer, and only a good signature makes it tell more. What is no token at
//! all is in [`attacks`](super::attacks).

use jsonwebtoken::{Algorithm, Header};
use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, Caller, TestServer, each_backend, now, pb, struct_of, user};

async fn verify(caller: &Caller, token: &str) -> pb::VerifyTokenResponse {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    caller.tokens().verify_token(request).await.answered()
}

/// The token is not valid for this reason.
async fn judged(caller: &Caller, what: &str, token: &str, reason: &str) {
    let mut verdict = verify(caller, token).await;
    assert_eq!((verdict.valid, verdict.reason.as_str()), (false, reason), "{what}");
    if reason == "TOKEN_INVALID" {
        let claims = verdict.claims.take().unwrap_or_default();
        let message = verdict.message.clone();
        let silent = pb::VerifyTokenResponse { reason: reason.to_owned(), message, ..Default::default() };
        assert!(
            claims.fields.is_empty() && verdict == silent,
            "{what}: nothing is told of what nobody signed"
        );
    }
}

fn hs256() -> Header {
    Header::new(Algorithm::HS256)
}

each_backend! {
    async fn a_good_user_token_tells_whose_it_is(server: TestServer) {
        server.upsert(vec![pb::UserInput { role: "admin".to_owned(), ..user("ada") }]).await;
        let request = pb::CreateUserTokenRequest {
            user_id: "ada".to_owned(),
            claims: Some(struct_of(json!({"device": "phone"}))),
            ..Default::default()
        };
        let minted = server.tokens().create_user_token(request).await.answered();

        let verdict = verify(&server, &minted.token).await;

        assert!(verdict.valid && verdict.reason.is_empty() && !verdict.server);
        assert_eq!((verdict.user_id.as_str(), verdict.role.as_str()), ("ada", "admin"));
        assert_eq!(verdict.expires_at, minted.expires_at);
        assert!(verdict.issued_at.is_some() && verdict.call_cids.is_empty());
        assert_eq!(verdict.claims, Some(struct_of(json!({"device": "phone"}))));
    }

    async fn the_role_is_the_one_stored_now(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let token = server.user_token("ada").await;
        assert_eq!(verify(&server, &token).await.role, "user");
        server.upsert(vec![pb::UserInput { role: "moderator".to_owned(), ..user("ada") }]).await;
        assert_eq!(verify(&server, &token).await.role, "moderator");
    }

    async fn a_server_token_is_told_as_one(server: TestServer) {
        let verdict = verify(&server, &server.credentials().server_token()).await;
        assert!(verdict.valid && verdict.server);
        assert_eq!((verdict.user_id.as_str(), verdict.role.as_str()), ("", ""));
    }

    async fn tokens_minted_elsewhere_with_the_secret_are_good(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let key = server.credentials();
        for claims in [
            json!({"user_id": "ada"}),
            json!({"user_id": "ada", "iat": now(), "exp": now() + 60}),
            json!({"user_id": "ada", "server": false}),
        ] {
            assert!(verify(&server, &key.sign(&claims)).await.valid, "{claims}");
        }
        let without_kid = key.sign_as(&hs256(), &json!({"user_id": "ada"}));
        assert!(
            verify(&server, &without_kid).await.valid,
            "the caller's app is known, so its keys are tried"
        );
        let call =
            verify(&server, &key.sign(&json!({"user_id": "ada", "call_cids": ["livestream:final"]}))).await;
        assert_eq!(call.call_cids, ["livestream:final"]);
    }

    async fn of_an_expired_token_it_is_told_whose_it_was(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let expired = server.credentials().sign(&json!({"user_id": "ada", "exp": now() - 1}));
        judged(&server, "expired a second ago", &expired, "TOKEN_EXPIRED").await;
        let told = verify(&server, &expired).await;
        assert_eq!(told.user_id, "ada", "with a good signature it is told whose it was");
        assert!(told.expires_at.is_some());
    }

    async fn the_state_of_the_user_counts(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("off")]).await;
        let token = server.user_token("off").await;
        server.deactivate("off").await;
        let of = |id: &str| server.credentials().sign(&json!({"user_id": id}));
        judged(&server, "unknown", &of("nobody"), "USER_NOT_FOUND").await;
        judged(&server, "deleted", &of("gone"), "USER_DELETED").await;
        judged(&server, "deactivated", &token, "USER_DEACTIVATED").await;
        assert_eq!(verify(&server, &token).await.user_id, "off");

        let back = pb::ReactivateUserRequest { user_id: "off".to_owned(), ..Default::default() };
        server.users().reactivate_user(back).await.answered();
        assert!(verify(&server, &token).await.valid, "reactivation makes it good again");
    }

    async fn verifying_changes_nothing(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let before = server.user("ada").await;
        verify(&server, &server.user_token("ada").await).await;
        verify(&server, "junk").await;
        assert_eq!(server.user("ada").await, before);
    }

    async fn a_user_may_not_have_tokens_judged(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let ada = server.with_token(&server.user_token("ada").await);
        let request = pb::VerifyTokenRequest { token: server.credentials().server_token() };
        ada.tokens().verify_token(request).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn claims_come_back_in_a_form_that_clients_can_read(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        let claims =
            json!({"user_id": "ada", "iat": now(), "deep": deep, "big": 9_007_199_254_740_993_u64, "n": 7});
        let verdict = verify(&server, &server.credentials().sign(&claims)).await;
        assert!(verdict.valid);
        assert_eq!(verdict.claims, Some(struct_of(json!({"big": "9007199254740993", "n": 7}))));
    }
}
