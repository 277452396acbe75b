//! Clocks that differ and clocks that are set back: what usher minted is good at once, and what others minted
//! within the app's leeway.

use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Answer, Backend, Caller, Credentials, TestServer, each_backend, now, pb, user};

use super::attacks::claims_of;

/// How far the clock of the first server is ahead of that of the second one, as a failpoint.
const AHEAD: &str = "clock_ahead=return(30)";

async fn verdict(caller: &Caller, token: &str) -> String {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    caller.tokens().verify_token(request).await.answered().reason
}

/// `token`, signed anew with some of its claims replaced.
fn with(key: &Credentials, token: &str, change: &[(&str, Value)]) -> String {
    let mut claims = claims_of(token);
    for (name, value) in change {
        claims[*name] = value.clone();
    }
    key.sign(&claims)
}

fn seconds(seconds: u64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: i64::try_from(seconds).unwrap(), nanos: 0 }
}

each_backend! {
    async fn a_token_minted_here_is_good_after_the_clock_was_set_back(backend: Backend) {
        let ahead = backend.launch().failpoints(AHEAD).start().await;
        ahead.upsert(vec![user("ada")]).await;
        let ada = ahead.user_token("ada").await;
        let request = pb::CreateGuestRequest::default();
        let guest = ahead.users().create_guest(request).await.answered().token;
        assert!(claims_of(&ada)["iat"].as_u64().unwrap() > now() + 20, "the clock was ahead");

        let server = ahead.kill().await.without_failpoints().start().await;

        for token in [&ada, &guest] {
            assert_eq!(verdict(&server, token).await, "");
            let request = pb::ConnectUserRequest { token: token.clone(), anonymous: false };
            server.users().connect_user(request).await.answered();
            let request = pb::KeepAliveRequest { session_ids: vec!["none".to_owned()] };
            server.with_token(token).users().keep_alive(request).await.answered();
        }
        let request = pb::RevokeUserTokensRequest { user_ids: vec!["ada".to_owned()], ..Default::default() };
        server.tokens().revoke_user_tokens(request).await.answered();
        assert_eq!(verdict(&server, &ada).await, "TOKEN_REVOKED", "its epoch decides, whatever its time");
    }

    async fn a_token_dated_ahead_is_good_only_as_usher_minted_it(backend: Backend) {
        let ahead = backend.launch().failpoints(AHEAD).start().await;
        ahead.upsert(vec![user("ada"), user("grace")]).await;
        let other = ahead.of_app(backend.create_app("other", ahead.launch().place()).await);
        other.upsert(vec![user("ada")]).await;
        let [ada, grace] = [ahead.user_token("ada").await, ahead.user_token("grace").await];
        let theirs = other.user_token("ada").await;

        let server = ahead.kill().await.without_failpoints().start().await;

        let key = server.credentials();
        let minted_at = claims_of(&ada)["usher_minted_at"].as_i64().unwrap();
        let proof_of = |token: &str| [("usher_proof", claims_of(token)["usher_proof"].clone())];
        assert_eq!(verdict(&server, &with(key, &ada, &[])).await, "", "signed anew, and all as it was");
        for (what, forged, reason) in [
            ("another user's proof", with(key, &ada, &proof_of(&grace)), "TOKEN_NOT_YET_VALID"),
            ("another app's proof", with(key, &ada, &proof_of(&theirs)), "TOKEN_NOT_YET_VALID"),
            ("another user", with(key, &ada, &[("user_id", "grace".into())]), "TOKEN_NOT_YET_VALID"),
            ("a time moved", with(key, &ada, &[("usher_minted_at", (minted_at ^ 1).into())]), "TOKEN_NOT_YET_VALID"),
            ("a date to begin", with(key, &ada, &[("nbf", (now() + 60).into())]), "TOKEN_NOT_YET_VALID"),
            ("an end that has passed", with(key, &ada, &[("exp", (now() - 1).into())]), "TOKEN_EXPIRED"),
        ] {
            assert_eq!(verdict(&server, &forged).await, reason, "{what}");
        }
    }

    async fn a_token_minted_after_a_revocation_by_time_is_good_although_the_clock_was_set_back(backend: Backend) {
        let ahead = backend.launch().failpoints(AHEAD).start().await;
        ahead.upsert(vec![user("ada")]).await;
        let request = pb::RevokeUserTokensRequest {
            user_ids: vec!["ada".to_owned()], issued_before: Some(seconds(now() + 29)), clear: false,
        };
        ahead.tokens().revoke_user_tokens(request).await.answered();

        let server = ahead.kill().await.without_failpoints().start().await;

        let after = server.user_token("ada").await;
        assert_eq!(verdict(&server, &after).await, "");
        let ends = claims_of(&after)["exp"].as_u64().unwrap();
        assert!(ends <= now() + 3_600, "its end follows the clock as it is now");
    }

    async fn a_clock_elsewhere_may_be_ahead_by_the_leeway_and_no_further(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let key = server.credentials();
        let bearers = [json!({"user_id": "ada"}), json!({"server": true})];
        for bearer in &bearers {
            let dated = |dates: &[(&str, u64)]| {
                let mut claims = bearer.clone();
                for (name, date) in dates {
                    claims[*name] = (*date).into();
                }
                key.sign(&claims)
            };
            let begun = now();
            for good in [
                dated(&[("iat", begun + 3), ("nbf", begun + 3), ("exp", begun + 60)]),
                dated(&[("nbf", begun + 3)]),
                dated(&[("nbf", begun + 5)]),
                dated(&[("iat", begun + 5)]),
            ] {
                assert_eq!(verdict(&server, &good).await, "", "{bearer}");
            }
            for bad in [
                dated(&[("iat", now() + 60), ("nbf", begun)]),
                dated(&[("iat", begun), ("nbf", now() + 60)]),
            ] {
                assert_eq!(verdict(&server, &bad).await, "TOKEN_NOT_YET_VALID", "{bearer}");
                let request = pb::KeepAliveRequest { session_ids: vec!["none".to_owned()] };
                let knocked = server.with_token(&bad).users().keep_alive(request).await;
                knocked.refused(Code::Unauthenticated, "TOKEN_NOT_YET_VALID");
            }
        }
        let settings = pb::AppSettings {
            token_leeway: Some(prost_types::Duration { seconds: 120, nanos: 0 }), ..Default::default()
        };
        server.set_up(settings, &["token_leeway"]).await;
        let token = key.sign(&json!({"user_id": "ada", "nbf": now() + 60}));
        assert_eq!(verdict(&server, &token).await, "", "the leeway of the app counts");
    }
}
