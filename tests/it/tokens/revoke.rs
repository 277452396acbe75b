//! `RevokeUserTokens`, `RevokeAppTokens`: what was minted before is refused, what is minted after is good.

use std::time::{Duration, Instant};

use serde_json::json;
use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, TestServer, aside, each_backend, fields_of, now, on_postgres, pb, told, user,
};

/// No replica may accept a revoked token for longer.
const BOUND: Duration = Duration::from_secs(1);

async fn revoke(caller: &Caller, ids: &[&str]) {
    let user_ids = ids.iter().map(ToString::to_string).collect();
    let request = pb::RevokeUserTokensRequest { user_ids, ..Default::default() };
    caller.tokens().revoke_user_tokens(request).await.answered();
}

async fn clear(caller: &Caller, id: &str) {
    let request =
        pb::RevokeUserTokensRequest { user_ids: vec![id.to_owned()], clear: true, ..Default::default() };
    caller.tokens().revoke_user_tokens(request).await.answered();
}

fn seconds(seconds: u64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: i64::try_from(seconds).unwrap(), nanos: 0 }
}

/// Empty where the token is good, the reason otherwise.
async fn verdict(caller: &Caller, token: &str) -> String {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    let verdict = caller.tokens().verify_token(request).await.answered();
    assert_eq!(verdict.valid, verdict.reason.is_empty());
    verdict.reason
}

/// How long `caller`'s server goes on accepting `token`.
async fn accepted_for(caller: &Caller, token: &str, since: Instant) -> Duration {
    while verdict(caller, token).await.is_empty() {}
    since.elapsed()
}

each_backend! {
    async fn tokens_from_before_are_refused_and_tokens_from_after_are_good(server: TestServer) {
        server.upsert(vec![user("ada"), user("grace")]).await;
        let others = server.user_token("grace").await;
        // Several within one second: no clock tells them apart.
        for _ in 0..10 {
            let before = server.user_token("ada").await;
            assert_eq!(verdict(&server, &before).await, "");
            revoke(&server, &["ada"]).await;
            let after = server.user_token("ada").await;
            assert_eq!(verdict(&server, &after).await, "");
            assert_eq!(verdict(&server, &before).await, "TOKEN_REVOKED");
        }
        assert_eq!(verdict(&server, &others).await, "");
    }

    async fn a_revocation_survives_a_restart(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada")]).await;
        let before = server.user_token("ada").await;
        revoke(&server, &["ada"]).await;
        let after = server.user_token("ada").await;
        let server = server.restart().await;
        assert_eq!(verdict(&server, &before).await, "TOKEN_REVOKED");
        assert_eq!(verdict(&server, &after).await, "");
    }

    async fn a_revocation_shows_and_is_a_change_of_the_user(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        revoke(&server, &["ada"]).await;
        let revoked = server.user("ada").await;
        assert_eq!((revoked.version, revoked.revoke_tokens_issued_before.is_some()), (2, true));
        clear(&server, "ada").await;
        let cleared = server.user("ada").await;
        assert_eq!((cleared.version, cleared.revoke_tokens_issued_before), (3, None));
    }

    async fn an_upsert_does_not_bring_revoked_tokens_back(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let before = server.user_token("ada").await;
        revoke(&server, &["ada"]).await;
        server.upsert(vec![user("ada")]).await;
        assert_eq!(verdict(&server, &before).await, "TOKEN_REVOKED");
    }

    async fn clearing_lets_what_was_revoked_pass_again(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let before = server.user_token("ada").await;
        revoke(&server, &["ada"]).await;
        clear(&server, "ada").await;
        assert_eq!(verdict(&server, &before).await, "");
    }

    async fn of_tokens_minted_elsewhere_those_in_doubt_are_refused(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let sign = |claims| server.credentials().sign(&claims);
        let without_iat = sign(json!({"user_id": "ada"}));
        let old = sign(json!({"user_id": "ada", "iat": now() - 100}));
        let same_second = sign(json!({"user_id": "ada", "iat": now()}));
        for token in [&without_iat, &old, &same_second] {
            assert_eq!(verdict(&server, token).await, "");
        }
        revoke(&server, &["ada"]).await;
        for token in [&without_iat, &old, &same_second, &sign(json!({"user_id": "ada", "iat": now() + 3}))] {
            assert_eq!(verdict(&server, token).await, "TOKEN_REVOKED");
        }
    }

    async fn a_time_in_the_past_hits_what_was_issued_before_it(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let minted_here = server.user_token("ada").await;
        let sign = |iat| server.credentials().sign(&json!({"user_id": "ada", "iat": iat}));
        let (old, new) = (sign(now() - 100), sign(now() - 10));
        let request = pb::RevokeUserTokensRequest {
            user_ids: vec!["ada".to_owned()],
            issued_before: Some(seconds(now() - 50)),
            clear: false,
        };
        server.tokens().revoke_user_tokens(request.clone()).await.answered();
        assert_eq!(verdict(&server, &old).await, "TOKEN_REVOKED");
        assert_eq!((verdict(&server, &new).await, verdict(&server, &minted_here).await), (String::new(), String::new()));

        let weaker = pb::RevokeUserTokensRequest { issued_before: Some(seconds(now() - 500)), ..request };
        server.tokens().revoke_user_tokens(weaker).await.answered();
        assert_eq!(verdict(&server, &old).await, "TOKEN_REVOKED", "what was revoked before stays so");
    }

    async fn what_cannot_be_asked_is_refused_with_its_path(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ask = |user_ids, issued_before, clear| pb::RevokeUserTokensRequest { user_ids, issued_before, clear };
        let cases = [
            (ask(vec![], None, false), vec!["user_ids"]),
            (ask(vec!["ada".to_owned(); 501], None, false), vec!["user_ids"]),
            (ask(ids(&["a b", "ada", ""]), None, false), vec!["user_ids[0]", "user_ids[2]"]),
            (ask(ids(&["ada"]), Some(seconds(now() + 60)), false), vec!["issued_before"]),
            (ask(ids(&["ada"]), Some(seconds(now() - 60)), true), vec!["clear"]),
            (ask(ids(&["ada"]), Some(prost_types::Timestamp { seconds: 0, nanos: -1 }), false), vec!["issued_before"]),
        ];
        for (request, fields) in cases {
            let refused = server.tokens().revoke_user_tokens(request).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), fields);
        }
        let unknown = server.tokens().revoke_user_tokens(ask(ids(&["ada", "nobody"]), None, false)).await;
        assert_eq!(fields_of(&unknown.refused(Code::NotFound, "USER_NOT_FOUND")), ["user_ids[1]"]);
        assert_eq!(server.user("ada").await.version, 1, "all of them or none");
    }

    async fn under_a_load_of_verifies_the_bound_holds_and_new_tokens_are_good(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        for _ in 0..3 {
            let before = server.user_token("ada").await;
            let verifiers: Vec<_> = (0..32)
                .map(|_| {
                    let (caller, token) = (server.clone(), before.clone());
                    aside(async move {
                        let mut last_accepted = Instant::now();
                        loop {
                            let begun = Instant::now();
                            if verdict(&caller, &token).await.is_empty() {
                                last_accepted = begun;
                            } else {
                                return last_accepted;
                            }
                        }
                    })
                })
                .collect();
            // Everybody has seen it accepted before it is revoked.
            assert_eq!(verdict(&server, &before).await, "");
            revoke(&server, &["ada"]).await;
            let revoked = Instant::now();
            let after = server.user_token("ada").await;
            for _ in 0..50 {
                assert_eq!(verdict(&server, &after).await, "", "whatever others remember of the user");
            }
            for last_accepted in futures_util::future::join_all(verifiers).await {
                let accepted_for = last_accepted.unwrap().saturating_duration_since(revoked);
                assert!(accepted_for < BOUND, "accepted {accepted_for:?} after the revocation had returned");
            }
        }
    }

    async fn revoking_the_app_hits_everybody_the_caller_too(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let before = server.user_token("ada").await;
        server.tokens().revoke_app_tokens(pb::RevokeAppTokensRequest::default()).await.answered();
        let request = pb::VerifyTokenRequest { token: before.clone() };
        let refused = server.tokens().verify_token(request).await;
        refused.refused(Code::Unauthenticated, "TOKEN_REVOKED");

        // Issued later, but not beyond what clocks may differ by.
        let later = server.credentials().sign(&json!({"server": true, "iat": now() + 4}));
        let refused = server.with_token(&later).tokens().verify_token(pb::VerifyTokenRequest::default()).await;
        refused.refused(Code::Unauthenticated, "TOKEN_REVOKED");
    }

    async fn a_user_that_cannot_act_has_no_working_token(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let token = server.user_token("ada").await;
        assert_eq!(verdict(&server, &token).await, "");
        let since = Instant::now();
        server.deactivate("ada").await;
        assert!(accepted_for(&server, &token, since).await < BOUND);
        assert_eq!(verdict(&server, &token).await, "USER_DEACTIVATED");
    }
}

on_postgres! {
    async fn every_replica_refuses_within_the_bound_and_takes_new_tokens_at_once(backend: Backend) {
        let servers = backend.start_together(2).await;
        let (here, there) = (&servers[0], &servers[1]);
        here.upsert(vec![user("ada")]).await;
        for _ in 0..5 {
            let before = here.user_token("ada").await;
            assert_eq!((verdict(here, &before).await, verdict(there, &before).await), (String::new(), String::new()));
            revoke(here, &["ada"]).await;
            let since = Instant::now();
            let after = here.user_token("ada").await;
            assert_eq!(verdict(there, &after).await, "", "good at once, where the revocation was not heard of yet");
            assert!(accepted_for(there, &before, since).await < BOUND);
        }
    }

    async fn a_replica_whose_wall_clock_is_an_hour_off_keeps_the_promise(backend: Backend) {
        let here = backend.launch().start().await;
        for offset in ["+3600s", "-3600s"] {
            let Some(launch) = backend.launch().at_another_time(offset) else { return };
            let there = launch.start().await;
            here.upsert(vec![user("ada")]).await;
            // Each mints, each revokes, each judges.
            for (one, other) in [(&here, &there), (&there, &here)] {
                let before = one.user_token("ada").await;
                assert_eq!((verdict(one, &before).await, verdict(other, &before).await), (String::new(), String::new()));
                revoke(other, &["ada"]).await;
                let since = Instant::now();
                let after = [one.user_token("ada").await, other.user_token("ada").await];
                for token in &after {
                    assert_eq!((verdict(one, token).await, verdict(other, token).await), (String::new(), String::new()));
                }
                assert!(accepted_for(one, &before, since).await < BOUND);
                assert!(accepted_for(other, &before, since).await < BOUND);
            }
            // Dates are judged by the time that all replicas have in common.
            let expired = there.credentials().sign(&json!({"user_id": "ada", "exp": now() - 10}));
            let good = there.credentials().sign(&json!({"user_id": "ada", "iat": now() + 4, "exp": now() + 60}));
            clear(&here, "ada").await;
            assert_eq!(verdict(&there, &expired).await, "TOKEN_EXPIRED");
            assert_eq!(verdict(&there, &good).await, "");
        }
    }

    async fn a_replica_without_its_database_refuses_rather_than_guess(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada")]).await;
        let token = server.user_token("ada").await;
        assert_eq!(verdict(&server, &token).await, "");
        backend.cut_off(true).await;
        let since = Instant::now();
        let request = pb::VerifyTokenRequest { token };
        let refused = loop {
            if let Err(status) = server.tokens().verify_token(request.clone()).await {
                break status;
            }
            assert!(since.elapsed() < BOUND, "what was remembered counts for less than the bound");
        };
        assert_eq!(refused.code(), Code::Unavailable, "{}", told(&refused));
        // Connections that were open are gone by now, and a new one is refused: that is no fault of usher.
        for _ in 0..10 {
            let refused = server.tokens().verify_token(request.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{}", told(&refused));
        }
        backend.cut_off(false).await;
    }
}
