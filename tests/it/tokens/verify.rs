//! `VerifyToken`: a bad token is an answer, and only a good signature makes it tell more.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Answer, Caller, Credentials, TestServer, each_backend, now, pb, struct_of, user};

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
        let silent = pb::VerifyTokenResponse { reason: reason.to_owned(), ..Default::default() };
        assert!(
            claims.fields.is_empty() && verdict == silent,
            "{what}: nothing is told of what nobody signed"
        );
    }
}

fn hs256() -> Header {
    Header::new(Algorithm::HS256)
}

/// A token with any header, signed as HS256 whatever the header says.
fn forged(header: &Value, claims: &Value, key: &Credentials) -> String {
    let real = key.sign(&json!({}));
    assert_eq!(real.split('.').count(), 3);
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(
        message.as_bytes(),
        &jsonwebtoken::EncodingKey::from_secret(key.secret.as_bytes()),
        Algorithm::HS256,
    );
    format!("{message}.{}", signature.unwrap())
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

    async fn text_that_is_no_token_is_invalid(server: TestServer) {
        let good = server.credentials().server_token();
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let cases = [
            ("nothing", String::new()),
            ("a word", "token".to_owned()),
            ("dots", "..".to_owned()),
            ("two parts", format!("{header}.{claims}")),
            ("four parts", format!("{good}.{signature}")),
            ("no signature", format!("{header}.{claims}.")),
            ("a space before", format!(" {good}")),
            ("a line end behind", format!("{good}\n")),
            ("its scheme before", format!("Bearer {good}")),
            ("padding", format!("{good}=")),
            ("a NUL", format!("{good}\0")),
            ("no text of ours", "é".repeat(100)),
            (
                "longer than 8 KiB",
                server.credentials().sign(&json!({"server": true, "x": "y".repeat(9_000)})),
            ),
        ];
        for (what, token) in cases {
            judged(&server, what, &token, "TOKEN_INVALID").await;
        }
    }

    async fn a_token_changed_anywhere_is_invalid(server: TestServer) {
        let good = server.credentials().server_token();
        for at in (0..good.len()).step_by(7).chain([good.len() - 1]) {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            judged(&server, &format!("changed at {at}"), &changed, "TOKEN_INVALID").await;
        }
    }

    async fn base64_is_read_strictly(server: TestServer) {
        let good = server.credentials().server_token();
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        judged(&server, "padded", &format!("{header}.{claims}.{}", URL_SAFE.encode(&bytes)), "TOKEN_INVALID")
            .await;
        let claims_json = URL_SAFE_NO_PAD.decode(claims).unwrap();
        judged(
            &server,
            "padded claims",
            &format!("{header}.{}.{signature}", STANDARD.encode(claims_json)),
            "TOKEN_INVALID",
        )
        .await;
        // 32 bytes leave two unused bits in the last character; setting one must not pass.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.iter().position(|byte| *byte == signature.as_bytes()[42]).unwrap();
        let stray = char::from(alphabet[last | 1]);
        judged(
            &server,
            "stray bits",
            &format!("{header}.{claims}.{}{stray}", &signature[..42]),
            "TOKEN_INVALID",
        )
        .await;
    }

    async fn the_header_chooses_neither_algorithm_nor_key(server: TestServer) {
        let key = server.credentials();
        let claims = json!({"server": true, "iat": now()});
        let kid = key.kid.as_str();
        let cases = [
            json!({"alg": "none", "typ": "JWT", "kid": kid}),
            json!({"alg": "None", "kid": kid}),
            json!({"alg": "HS384", "kid": kid}),
            json!({"alg": "HS512", "kid": kid}),
            json!({"alg": "RS256", "kid": kid}),
            json!({"alg": "ES256", "kid": kid}),
            json!({"alg": "hs256", "kid": kid}),
            json!({"alg": "", "kid": kid}),
            json!({"alg": null, "kid": kid}),
            json!({"alg": 1, "kid": kid}),
            json!({"kid": kid}),
            json!({"alg": "HS256", "kid": kid, "jku": "http://127.0.0.1:1/keys"}),
            json!({"alg": "HS256", "kid": kid, "x5u": "http://127.0.0.1:1/"}),
            json!({"alg": "HS256", "kid": kid, "jwk": {"kty": "oct", "k": "AA"}}),
            json!({"alg": "HS256", "kid": kid, "crit": ["exp"]}),
            json!({"alg": "HS256", "kid": kid, "b64": false}),
            json!({"alg": "HS256", "kid": kid, "zip": "DEF"}),
            json!({"alg": "HS256", "kid": kid, "cty": "JWT"}),
            json!({"alg": "HS256", "kid": kid, "typ": "at+jwt"}),
            json!({"alg": "HS256", "kid": kid, "typ": 5}),
            json!({"alg": "HS256", "kid": "another"}),
            json!({"alg": "HS256", "kid": ""}),
            json!({"alg": "HS256", "kid": null}),
            json!({"alg": "HS256", "kid": 5}),
            json!({"alg": "HS256", "kid": "../../etc/passwd"}),
            json!({"alg": "HS256", "kid": "a\u{0}"}),
            json!([]),
            json!("HS256"),
        ];
        for header in cases {
            judged(&server, &header.to_string(), &forged(&header, &claims, key), "TOKEN_INVALID").await;
        }
        let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": kid}).to_string());
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        judged(&server, "unsigned", &format!("{unsigned}.{body}."), "TOKEN_INVALID").await;
        assert!(
            verify(&server, &forged(&json!({"alg": "HS256", "kid": kid}), &claims, key)).await.valid,
            "the forger can do it"
        );
        assert!(
            verify(&server, &forged(&json!({"alg": "HS256", "kid": kid, "typ": "jwt"}), &claims, key))
                .await
                .valid
        );
    }

    async fn another_secret_signs_nothing(server: TestServer) {
        let key = server.credentials();
        let secrets =
            ["", "secret", &key.secret[1..], &format!("{}\n", key.secret), &key.kid, &"0".repeat(64)];
        for secret in secrets {
            let foreign = Credentials { kid: key.kid.clone(), secret: secret.to_owned() };
            judged(&server, secret, &foreign.server_token(), "TOKEN_INVALID").await;
        }
    }

    async fn claims_of_the_wrong_shape_are_invalid(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let cases = [
            json!({}),
            json!({"server": "true"}),
            json!({"server": 1}),
            json!({"server": false}),
            json!({"server": null}),
            json!({"server": true, "user_id": "ada"}),
            json!({"user_id": 5}),
            json!({"user_id": ""}),
            json!({"user_id": "a b"}),
            json!({"user_id": "ada\0"}),
            json!({"user_id": ["ada"]}),
            json!({"user_id": null}),
            json!({"sub": "ada"}),
            json!({"user_id": "ada", "exp": "soon"}),
            json!({"user_id": "ada", "exp": 1e19}),
            json!({"user_id": "ada", "exp": 4_102_444_800.5}),
            json!({"user_id": "ada", "exp": -1}),
            json!({"user_id": "ada", "exp": null}),
            json!({"user_id": "ada", "nbf": "now"}),
            json!({"user_id": "ada", "iat": true}),
            json!({"user_id": "ada", "iat": u64::MAX}),
            json!({"user_id": "ada", "call_cids": "a:b"}),
            json!({"user_id": "ada", "call_cids": [5]}),
            json!({"user_id": "ada", "usher_user_epoch": "1"}),
        ];
        for claims in cases {
            judged(&server, &claims.to_string(), &server.credentials().sign(&claims), "TOKEN_INVALID").await;
        }
    }

    async fn dates_are_kept_to(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let at = |name: &str, seconds: i64| {
            server
                .credentials()
                .sign(&json!({"user_id": "ada", name: i64::try_from(now()).unwrap() + seconds}))
        };
        judged(&server, "long expired", &at("exp", -1_000_000), "TOKEN_EXPIRED").await;
        judged(&server, "expired a second ago", &at("exp", -1), "TOKEN_EXPIRED").await;
        judged(&server, "expires now", &at("exp", 0), "TOKEN_EXPIRED").await;
        judged(&server, "not yet", &at("nbf", 30), "TOKEN_NOT_YET_VALID").await;
        judged(&server, "issued in the future", &at("iat", 30), "TOKEN_NOT_YET_VALID").await;
        for (name, seconds) in
            [("exp", 30), ("nbf", 0), ("nbf", -30), ("iat", 0), ("iat", 4), ("iat", -1_000_000)]
        {
            assert!(verify(&server, &at(name, seconds)).await.valid, "{name} {seconds}");
        }
        let told = verify(&server, &at("exp", -1)).await;
        assert_eq!(told.user_id, "ada", "with a good signature it is told whose it was");
        assert!(told.expires_at.is_some());
        let expired_server = server.credentials().sign(&json!({"server": true, "exp": 1}));
        judged(&server, "a server token expires too", &expired_server, "TOKEN_EXPIRED").await;
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

    async fn a_kid_that_no_key_can_have_is_invalid_on_every_database(server: TestServer) {
        for kid in ["a\0b", "", " ", "é", &"k".repeat(65)] {
            let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
            let token = forged(&header, &json!({"server": true}), server.credentials());
            judged(&server, kid, &token, "TOKEN_INVALID").await;
            let refused =
                server.with_token(&token).tokens().verify_token(pb::VerifyTokenRequest::default()).await;
            refused.refused(Code::Unauthenticated, "TOKEN_INVALID");
        }
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
