//! What a refusal of a token says: one text until the signature is known to be good, then the claim and its rule.

use serde_json::json;
use tonic::{Code, Status};

use crate::harness::{
    Answer, Caller, Credentials, TestServer, each_backend, fields_of, now, pb, reason_of, user,
};

use super::attacks::Forge;

/// What every door says of a token that it refuses: `VerifyToken`, `ConnectUser`, and where the caller sends it
/// as its own.
async fn said(server: &Caller, token: &str) -> [(String, String); 3] {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    let verdict = server.tokens().verify_token(request).await.answered();
    assert!(!verdict.valid);
    let request = pb::ConnectUserRequest { token: token.to_owned(), anonymous: false };
    let connected = server.users().connect_user(request).await.unwrap_err();
    assert_eq!(fields_of(&connected), ["token"]);
    let request = pb::KeepAliveRequest { session_ids: vec!["none".to_owned()] };
    let own = server.with_token(token).users().keep_alive(request).await.unwrap_err();
    let told = |status: Status| {
        assert_eq!(status.code(), Code::Unauthenticated);
        (reason_of(&status), status.message().to_owned())
    };
    [(verdict.reason, verdict.message), told(connected), told(own)]
}

async fn says(server: &Caller, token: &str, reason: &str, text: &str) {
    for (at, told) in said(server, token).await.into_iter().enumerate() {
        assert_eq!(told, (reason.to_owned(), text.to_owned()), "door {at}");
    }
}

async fn is_invalid(server: &Caller, token: &str, rule: &str) {
    says(server, token, "TOKEN_INVALID", &format!("the token is not valid: {rule}")).await;
}

each_backend! {
    async fn with_a_good_signature_the_text_names_the_claim_and_its_rule(server: TestServer) {
        let forge = Forge::of(&server).await;
        let date = "must be a whole number of seconds since 1970, not beyond the year 9999";
        let calls = "must be a list of calls as type:id, both 1 to 64 characters of A-Z a-z 0-9 _ -";
        let word = "must be 1 to 64 characters of A-Z a-z 0-9 _ -";
        let here = "must be as usher wrote it, next to the others of usher";
        let cases = [
            (r#"{"user_id":"ada","exp":1795891878.5}"#, format!("`exp` {date}")),
            (r#"{"user_id":"ada","nbf":"1700000000"}"#, format!("`nbf` {date}")),
            (r#"{"user_id":"ada","iat":-1}"#, format!("`iat` {date}")),
            ("{}", "`user_id` must be given, unless `server` is true".to_owned()),
            (r#"{"user_id":"a b"}"#, format!("`user_id` {}", usher::model::id::UserId::RULE)),
            (r#"{"user_id":5}"#, format!("`user_id` {}", usher::model::id::UserId::RULE)),
            (r#"{"server":1}"#, "`server` must be true or false, or be left out".to_owned()),
            (r#"{"server":true,"user_id":"ada"}"#, "`user_id` must not be given together with `server` true".to_owned()),
            (r#"{"server":true,"call_cids":["a:b"]}"#, "`call_cids` must not be given together with `server` true".to_owned()),
            (r#"{"user_id":"ada","call_cids":"a:b"}"#, format!("`call_cids` {calls}")),
            (r#"{"user_id":"ada","call_cids":["a"]}"#, format!("`call_cids` {calls}")),
            (r#"{"user_id":"ada","call_cids":["a:b"],"role":"ho st"}"#, format!("`role` {word}")),
            (r#"{"user_id":"ada","call_cids":["a:b"],"role":null}"#, format!("`role` {word}")),
            (r#"{"user_id":"ada","usher_user_epoch":1}"#, format!("`usher_app_epoch` {here}")),
            (r#"{"user_id":"ada","iat":7,"usher_user_epoch":1,"usher_app_epoch":1,"usher_minted_at":1}"#,
                "`iat` must be the time in `usher_minted_at`".to_owned()),
            (r#"{"user_id":"ada","exp":1,"exp":1}"#, "`exp` must be given once".to_owned()),
            (r#"{"user_id":"ada","secret":1,"secret":1}"#,
                "the claims must be a JSON object in which no name is given twice".to_owned()),
            (r#"["user_id","ada"]"#, "the claims must be one JSON object in UTF-8".to_owned()),
        ];
        for (claims, rule) in cases {
            is_invalid(&server, &forge.claims(claims), &rule).await;
        }
    }

    async fn a_date_that_is_against_it_is_named(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let sign = |claims| server.credentials().sign(&claims);
        let expired = sign(json!({"user_id": "ada", "exp": now() - 1}));
        says(&server, &expired, "TOKEN_EXPIRED", "the token has expired: `exp` has passed; get a new one").await;
        for date in ["nbf", "iat"] {
            let early = sign(json!({"user_id": "ada", date: now() + 60}));
            let text = format!(
                "the token is not valid yet: `{date}` lies further ahead than the app's `token_leeway`; wait, or set \
                 the minter's clock"
            );
            says(&server, &early, "TOKEN_NOT_YET_VALID", &text).await;
        }
    }

    async fn what_the_app_asks_of_tokens_is_named(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let settings = pb::AppSettings {
            token_issuer: "login".to_owned(), token_audience: "chat".to_owned(), ..Default::default()
        };
        server.set_up(settings, &["token_issuer", "token_audience"]).await;
        let sign = |claims| server.credentials().sign(&claims);
        let issuer = "`iss` must be the app's `token_issuer`";
        is_invalid(&server, &sign(json!({"user_id": "ada", "aud": "chat"})), issuer).await;
        let audience = "`aud` must be the app's `token_audience`, or hold it";
        is_invalid(&server, &sign(json!({"user_id": "ada", "iss": "login", "aud": ["video"]})), audience).await;
    }

    async fn the_state_of_its_user_is_named(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("ada"), user("off")]).await;
        let revoked = server.user_token("ada").await;
        let request = pb::RevokeUserTokensRequest { user_ids: vec!["ada".to_owned()], ..Default::default() };
        server.tokens().revoke_user_tokens(request).await.answered();
        server.deactivate("off").await;
        let of = |id: &str| server.credentials().sign(&json!({"user_id": id}));
        says(&server, &revoked, "TOKEN_REVOKED", "the token was revoked; get a new one").await;
        says(&server, &of("nobody"), "USER_NOT_FOUND", "the token's user does not exist").await;
        says(&server, &of("off"), "USER_DEACTIVATED", "the token's user is deactivated").await;
        says(&server, &of("gone"), "USER_DELETED", "the token's user is deleted").await;
    }

    async fn before_the_signature_is_known_to_be_good_there_is_one_text(server: TestServer) {
        let forge = Forge::of(&server).await;
        let strange = |kid: &str, secret: &str| Credentials { kid: kid.to_owned(), secret: secret.to_owned() };
        let bad = json!({"user_id": 5, "exp": "tomorrow"});
        let good = server.credentials().sign(&json!({"user_id": "ada"}));
        for token in [
            "junk".to_owned(),
            format!("{good}x"),
            strange(&server.credentials().kid, "another secret of 32 characters!").sign(&bad),
            strange("nobody", &server.credentials().secret).sign(&bad),
            forge.token(r#"{"alg":"none"}"#, bad.to_string()),
        ] {
            says(&server, &token, "TOKEN_INVALID", "the token is not valid").await;
        }
    }
}
