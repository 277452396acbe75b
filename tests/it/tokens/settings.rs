//! What an app asks of tokens: how long they may be valid, how far clocks may differ, who issues them for whom.

use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, eventually, fields_of, now, on_postgres, pb, user,
};

#[expect(clippy::unnecessary_wraps, reason = "as the message has it")]
const fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn verdict(caller: &Caller, claims: &Value) -> String {
    let request = pb::VerifyTokenRequest { token: caller.credentials().sign(claims) };
    caller.tokens().verify_token(request).await.answered().reason
}

/// The verdict once what was remembered of the app has grown old.
async fn becomes(caller: &Caller, claims: &Value, reason: &str) {
    eventually("the verdict by the new setting", || async {
        (verdict(caller, claims).await == reason).then_some(())
    })
    .await;
}

async fn life_of_a_token(
    caller: &Caller,
    validity: Option<prost_types::Duration>,
) -> Result<i64, Vec<String>> {
    let request = pb::CreateUserTokenRequest { user_id: "ada".to_owned(), validity, claims: None };
    match caller.tokens().create_user_token(request).await {
        Ok(minted) => {
            let request = pb::VerifyTokenRequest { token: minted.into_inner().token };
            let verdict = caller.tokens().verify_token(request).await.answered();
            assert!(verdict.valid, "{}", verdict.reason);
            Ok(verdict.expires_at.unwrap().seconds - verdict.issued_at.unwrap().seconds)
        }
        refused => Err(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD"))),
    }
}

each_backend! {
    async fn no_token_is_minted_for_longer_than_the_app_allows(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let settings = pb::AppSettings { max_token_validity: seconds(600), ..Default::default() };
        server.set_up(settings, &["max_token_validity"]).await;
        assert_eq!(life_of_a_token(&server, None).await, Ok(600), "an hour is more than that");
        assert_eq!(life_of_a_token(&server, seconds(600)).await, Ok(600));
        assert_eq!(life_of_a_token(&server, seconds(601)).await, Err(vec!["validity".to_owned()]));
        let settings = pb::AppSettings { max_token_validity: seconds(7_200), ..Default::default() };
        server.set_up(settings, &["max_token_validity"]).await;
        assert_eq!(life_of_a_token(&server, None).await, Ok(3_600));
    }

    async fn a_token_too_long_to_be_judged_is_not_minted(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let cid = |number: usize| format!("{}:{number:0>64}", "t".repeat(64));
        let token_with = async |calls: usize| {
            let call_cids = (0..calls).map(cid).collect();
            let request = pb::CreateCallTokenRequest { user_id: "ada".to_owned(), call_cids, ..Default::default() };
            server.tokens().create_call_token(request).await
        };
        let token = token_with(40).await.answered().token;
        let verdict = server.tokens().verify_token(pb::VerifyTokenRequest { token }).await.answered();
        assert!(verdict.valid && verdict.call_cids.len() == 40, "{}", verdict.reason);
        assert_eq!(fields_of(&token_with(100).await.refused(Code::InvalidArgument, "TOO_LARGE")), ["call_cids"]);
    }

    async fn the_leeway_says_how_far_ahead_a_clock_may_be(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let ahead = |seconds: u64| json!({"user_id": "ada", "iat": now() + seconds});
        assert_eq!(verdict(&server, &ahead(60)).await, "TOKEN_NOT_YET_VALID");
        let settings = pb::AppSettings { token_leeway: seconds(120), ..Default::default() };
        server.set_up(settings, &["token_leeway"]).await;
        assert_eq!(verdict(&server, &ahead(60)).await, "");
        server.tokens().revoke_user_tokens(pb::RevokeUserTokensRequest {
            user_ids: vec!["ada".to_owned()], ..Default::default()
        }).await.answered();
        becomes(&server, &ahead(60), "TOKEN_REVOKED").await;
        let settings = pb::AppSettings { token_leeway: seconds(0), ..Default::default() };
        server.set_up(settings, &["token_leeway"]).await;
        becomes(&server, &ahead(60), "TOKEN_NOT_YET_VALID").await;
    }

    async fn where_the_app_names_an_issuer_and_an_audience_users_tokens_must_carry_them(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let fit = json!({"user_id": "ada", "iss": "login", "aud": "chat"});
        let unfit = [
            json!({"user_id": "ada"}),
            json!({"user_id": "ada", "iss": "login"}),
            json!({"user_id": "ada", "aud": "chat"}),
            json!({"user_id": "ada", "iss": "Login", "aud": "chat"}),
            json!({"user_id": "ada", "iss": "login", "aud": "video"}),
            json!({"user_id": "ada", "iss": "login", "aud": []}),
            json!({"user_id": "ada", "iss": "login", "aud": null}),
            json!({"user_id": "ada", "iss": "login", "aud": {"chat": true}}),
            json!({"user_id": "ada", "iss": ["login"], "aud": "chat"}),
            json!({"user_id": "ada", "iss": 5, "aud": "chat"}),
            json!({"user_id": "ada", "iss": "login", "aud": "chat "}),
        ];
        for claims in unfit.iter().chain([&fit]) {
            assert_eq!(verdict(&server, claims).await, "", "nobody asks for it: {claims}");
        }
        let settings = pb::AppSettings {
            token_issuer: "login".to_owned(), token_audience: "chat".to_owned(), ..Default::default()
        };
        server.set_up(settings, &["token_issuer", "token_audience"]).await;
        for claims in &unfit {
            becomes(&server, claims, "TOKEN_INVALID").await;
        }
        let one_of_several = json!({"user_id": "ada", "iss": "login", "aud": ["video", "chat"]});
        for claims in [&fit, &one_of_several, &json!({"server": true})] {
            assert_eq!(verdict(&server, claims).await, "", "{claims}");
        }
        assert_eq!(life_of_a_token(&server, None).await, Ok(3_600), "tokens minted here carry them");
    }
}

on_postgres! {
    async fn a_setting_reaches_every_replica_within_the_bound(backend: Backend) {
        let servers = backend.start_together(2).await;
        let (here, there) = (&servers[0], &servers[1]);
        here.upsert(vec![user("ada")]).await;
        let claims = json!({"user_id": "ada"});
        assert_eq!(verdict(there, &claims).await, "");
        let settings = pb::AppSettings { token_issuer: "login".to_owned(), ..Default::default() };
        here.set_up(settings, &["token_issuer"]).await;
        let since = std::time::Instant::now();
        while verdict(there, &claims).await.is_empty() {
            assert!(since.elapsed() < std::time::Duration::from_secs(1));
        }
    }
}
