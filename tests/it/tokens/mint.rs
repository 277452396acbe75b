//! `CreateUserToken`.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost_types::Duration;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, pb, struct_of, user};

fn token_for(id: &str) -> pb::CreateUserTokenRequest {
    pb::CreateUserTokenRequest { user_id: id.to_owned(), ..Default::default() }
}

fn valid_for(seconds: i64, nanos: i32) -> pb::CreateUserTokenRequest {
    pb::CreateUserTokenRequest { validity: Some(Duration { seconds, nanos }), ..token_for("ada") }
}

fn with_claims(claims: Value) -> pb::CreateUserTokenRequest {
    pb::CreateUserTokenRequest { claims: Some(struct_of(claims)), ..token_for("ada") }
}

/// Header and claims as they travel.
fn parts(token: &str) -> (Value, Value) {
    let part = |at: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}

async fn mint(caller: &Caller, request: pb::CreateUserTokenRequest) -> pb::CreateUserTokenResponse {
    caller.tokens().create_user_token(request).await.answered()
}

async fn refused_fields(caller: &Caller, request: pb::CreateUserTokenRequest, reason: &str) -> Vec<String> {
    fields_of(&caller.tokens().create_user_token(request).await.refused(Code::InvalidArgument, reason))
}

each_backend! {
    async fn a_token_says_whose_it_is_and_how_long_it_is_valid(server: TestServer) {
        server.upsert(vec![user("ada")]).await;

        let minted = mint(&server, token_for("ada")).await;

        let (header, claims) = parts(&minted.token);
        assert_eq!(header, json!({"alg": "HS256", "typ": "JWT", "kid": server.credentials().kid}));
        assert_eq!((&claims["user_id"], &claims["sub"]), (&json!("ada"), &json!("ada")));
        let (issued, expires) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert_eq!(expires - issued, 3_600, "an hour, unless said otherwise");
        assert_eq!(minted.expires_at.unwrap().seconds, expires);
        assert!(claims["jti"].is_string());
        assert!(claims.get("server").is_none());
    }

    async fn the_token_is_signed_with_the_secret_as_it_stands(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let token = mint(&server, token_for("ada")).await.token;

        let key = jsonwebtoken::DecodingKey::from_secret(server.credentials().secret.as_bytes());
        let decoded = jsonwebtoken::decode::<Value>(&token, &key, &jsonwebtoken::Validation::default());

        assert_eq!(decoded.unwrap().claims["user_id"], "ada");
        let secret = &server.credentials().secret;
        assert!(
            secret.len() >= 32 && secret.bytes().all(|byte| byte.is_ascii_graphic()),
            "printable, and long enough"
        );
    }

    async fn no_two_tokens_are_alike(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let tokens = futures_util::future::join_all((0..20).map(|_| mint(&server, token_for("ada")))).await;
        assert_eq!(tokens.iter().map(|minted| &minted.token).collect::<HashSet<_>>().len(), 20);
    }

    async fn validity_goes_from_a_second_to_a_year(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        for seconds in [1, 60, 365 * 86_400] {
            let (_, claims) = parts(&mint(&server, valid_for(seconds, 0)).await.token);
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), seconds);
        }
        let refused = [
            (0, 0),
            (-1, 0),
            (365 * 86_400 + 1, 0),
            (i64::MAX, 0),
            (i64::MIN, 0),
            (1, 500_000_000),
            (0, 1),
            (1, -1),
            (1, i32::MAX),
        ];
        for (seconds, nanos) in refused {
            let fields = refused_fields(&server, valid_for(seconds, nanos), "INVALID_FIELD").await;
            assert_eq!(fields, ["validity"], "{seconds} s {nanos} ns");
        }
    }

    async fn claims_travel_as_sent_with_whole_numbers_as_integers(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let sent =
            json!({"device": "phone", "level": 3, "ratio": 0.5, "nested": {"list": [1, null, true, "é"]}});
        let token = mint(&server, with_claims(sent.clone())).await.token;

        let (_, claims) = parts(&token);
        for (name, value) in sent.as_object().unwrap() {
            assert_eq!(&claims[name], value);
        }
        assert!(claims["level"].is_u64());
        let verified = server.tokens().verify_token(pb::VerifyTokenRequest { token }).await.answered();
        assert_eq!(verified.claims, Some(struct_of(sent)), "and are given back");
    }

    async fn claims_with_a_meaning_of_their_own_are_refused(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let taken = [
            "iss",
            "sub",
            "aud",
            "exp",
            "nbf",
            "iat",
            "jti",
            "user_id",
            "server",
            "call_cids",
            "channel_cids",
            "role",
            "kid",
            "usher_",
            "usher_user_epoch",
            "usher_anything",
        ];
        for name in taken {
            let request = with_claims(json!({"fine": 1, name: true}));
            assert_eq!(refused_fields(&server, request, "INVALID_FIELD").await, [format!("claims.{name}")]);
        }
        mint(&server, with_claims(json!({"Server": true, "usher": 1, "username": "x"}))).await;
    }

    async fn claims_weigh_at_most_4_kib_and_are_sound_json(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let frame = json!({"t": ""}).to_string().len();
        let weighing = |bytes: usize| with_claims(json!({"t": "x".repeat(bytes - frame)}));
        let token = mint(&server, weighing(4_096)).await.token;
        let verified = server.tokens().verify_token(pb::VerifyTokenRequest { token }).await.answered();
        assert!(verified.valid, "the largest token that is minted is also accepted: {}", verified.reason);
        assert_eq!(refused_fields(&server, weighing(4_097), "TOO_LARGE").await, ["claims"]);

        let bad = [json!({"a": "x\0"}), json!({"a\0": 1})];
        for claims in bad {
            refused_fields(&server, with_claims(claims), "INVALID_FIELD").await;
        }
        let deep = (0..16).fold(json!(1), |inner, _| json!({"x": inner}));
        mint(&server, with_claims(deep.clone())).await;
        refused_fields(&server, with_claims(json!({"x": deep})), "INVALID_FIELD").await;
    }

    async fn only_users_that_can_use_one_get_a_token(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("off")]).await;
        server.deactivate("off").await;
        let refused = async |id: &str, code, reason: &str| {
            server.tokens().create_user_token(token_for(id)).await.refused(code, reason)
        };
        refused("nobody", Code::NotFound, "USER_NOT_FOUND").await;
        refused("off", Code::FailedPrecondition, "USER_DEACTIVATED").await;
        refused("gone", Code::FailedPrecondition, "USER_DELETED").await;
        for malformed in ["", "a b", "a\0", &"x".repeat(256)] {
            assert_eq!(
                fields_of(&refused(malformed, Code::InvalidArgument, "INVALID_FIELD").await),
                ["user_id"]
            );
        }
    }
}
