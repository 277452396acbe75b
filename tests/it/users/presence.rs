//! `ConnectUser`, `KeepAlive`, `DisconnectUser`: who may connect, what a call token grants, who is online.

use std::time::Duration;

use serde_json::json;
use tonic::{Code, Response, Status};

use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, eventually, fields_of, now, on_postgres, pb, user,
};

/// No sign of life may be later.
const LATEST: Duration = Duration::from_secs(15);

fn with(token: &str) -> pb::ConnectUserRequest {
    pb::ConnectUserRequest { token: token.to_owned(), anonymous: false }
}

async fn try_connect(caller: &Caller, token: &str) -> Result<Response<pb::ConnectUserResponse>, Status> {
    caller.users().connect_user(with(token)).await
}

async fn connect(caller: &Caller, id: &str) -> pb::ConnectUserResponse {
    try_connect(caller, &caller.user_token(id).await).await.answered()
}

async fn keep_alive(caller: &Caller, ids: &[&str]) -> Vec<(String, String)> {
    let session_ids = ids.iter().map(ToString::to_string).collect();
    let answer = caller.users().keep_alive(pb::KeepAliveRequest { session_ids }).await.answered();
    answer.ended.into_iter().map(|ended| (ended.session_id, ended.reason)).collect()
}

async fn disconnect(caller: &Caller, session_id: &str) {
    let request = pb::DisconnectUserRequest { session_id: session_id.to_owned() };
    caller.users().disconnect_user(request).await.answered();
}

async fn is_online_within_the_bound(caller: &Caller, id: &str, online: bool) {
    let since = std::time::Instant::now();
    eventually("the presence as told", || async { (caller.user(id).await.online == online).then_some(()) })
        .await;
    assert!(since.elapsed() < LATEST);
}

async fn call_token(caller: &Caller, id: &str, calls: &[&str], role: &str) -> String {
    let request = pb::CreateCallTokenRequest {
        user_id: id.to_owned(),
        call_cids: calls.iter().map(ToString::to_string).collect(),
        role: role.to_owned(),
        ..Default::default()
    };
    caller.tokens().create_call_token(request).await.answered().token
}

/// The members of a call as `user:role`, every page.
async fn members(caller: &Caller, cid: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::GetCallRequest { cid: cid.to_owned(), limit: 2, page_token };
        let answer = caller.content().get_call(request).await.answered();
        let call = answer.call.unwrap();
        members.extend(call.members.into_iter().map(|member| format!("{}:{}", member.user_id, member.role)));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            assert_eq!(usize::try_from(call.members_total).unwrap(), members.len());
            return members;
        }
    }
}

each_backend! {
    async fn whoever_connects_is_told_who_it_is_and_gets_a_session(server: TestServer) {
        server.upsert(vec![pb::UserInput { role: "moderator".to_owned(), name: "Ada".to_owned(), ..user("ada") }]).await;
        let connected = connect(&server, "ada").await;
        let ada = connected.user.unwrap();
        assert_eq!((ada.id.as_str(), ada.name.as_str(), ada.online), ("ada", "Ada", true));
        assert!(ada.last_active.is_some());
        assert_eq!((connected.role.as_str(), connected.permissions), ("moderator", vec!["read-user-owner".to_owned(), "update-user-owner".to_owned()]));
        assert!(!connected.session_id.is_empty() && connected.session_id.len() <= 1_024);
        assert!(connected.expires_at.is_some() && connected.call_cids.is_empty());
        let again = connect(&server, "ada").await;
        assert_ne!(again.session_id, connected.session_id);
    }

    async fn users_and_anonymous_callers_connect_themselves(server: TestServer) {
        server.upsert(vec![user("ada"), user("grace")]).await;
        let token = server.user_token("ada").await;
        let ada = server.with_token(&token);
        let connected = ada.users().connect_user(pb::ConnectUserRequest::default()).await.answered();
        assert_eq!(connected.user.unwrap().id, "ada");
        assert_eq!(keep_alive(&ada, &[&connected.session_id]).await, []);

        for request in [pb::ConnectUserRequest::default(), pb::ConnectUserRequest { anonymous: true, ..Default::default() }] {
            let nobody = server.nobody().users().connect_user(request).await.answered();
            assert_eq!((nobody.user, nobody.role.as_str()), (None, "anonymous"));
            assert!(nobody.permissions.is_empty() && !nobody.session_id.is_empty());
            assert_eq!(keep_alive(&server.nobody(), &[&nobody.session_id]).await, []);
            disconnect(&server.nobody(), &nobody.session_id).await;
        }
        let by_edge = pb::ConnectUserRequest { anonymous: true, ..Default::default() };
        assert_eq!(server.users().connect_user(by_edge).await.answered().role, "anonymous");

        let other = server.user_token("grace").await;
        for caller in [&ada, &server.nobody()] {
            try_connect(caller, &other).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let as_nobody = pb::ConnectUserRequest { anonymous: true, ..Default::default() };
        ada.users().connect_user(as_nobody).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn what_cannot_connect_is_refused_with_the_field_and_the_reason(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("ada"), user("off")]).await;
        let revoked = server.user_token("ada").await;
        server.tokens().revoke_user_tokens(pb::RevokeUserTokensRequest {
            user_ids: vec!["ada".to_owned()], ..Default::default()
        }).await.answered();
        server.deactivate("off").await;
        let sign = |claims| server.credentials().sign(&claims);
        let cases = [
            ("junk".to_owned(), "TOKEN_INVALID"),
            (sign(json!({"user_id": "off", "exp": now() - 1})), "TOKEN_EXPIRED"),
            (sign(json!({"user_id": "ada", "nbf": now() + 60})), "TOKEN_NOT_YET_VALID"),
            (revoked, "TOKEN_REVOKED"),
            (sign(json!({"user_id": "nobody"})), "USER_NOT_FOUND"),
            (sign(json!({"user_id": "off"})), "USER_DEACTIVATED"),
            (sign(json!({"user_id": "gone"})), "USER_DELETED"),
        ];
        for (token, reason) in cases {
            let status = try_connect(&server, &token).await.refused(Code::Unauthenticated, reason);
            assert_eq!(fields_of(&status), ["token"], "{reason}");
        }
        let unfit = [
            pb::ConnectUserRequest::default(),
            with(&server.credentials().server_token()),
        ];
        for request in unfit {
            let status = server.users().connect_user(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["token"]);
        }
        let both = pb::ConnectUserRequest { anonymous: true, ..with(&server.user_token("ada").await) };
        let status = server.users().connect_user(both).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["anonymous"]);
    }

    async fn a_user_is_online_while_any_session_lives(server: TestServer) {
        server.upsert(vec![user("ada"), user("grace")]).await;
        assert!(!server.user("ada").await.online);
        let (one, two) = (connect(&server, "ada").await.session_id, connect(&server, "ada").await.session_id);
        is_online_within_the_bound(&server, "ada", true).await;
        disconnect(&server, &one).await;
        assert_eq!(keep_alive(&server, &[&one, &two]).await, [(one.clone(), "SESSION_ENDED".to_owned())]);
        is_online_within_the_bound(&server, "ada", true).await;
        disconnect(&server, &two).await;
        disconnect(&server, &two).await;
        is_online_within_the_bound(&server, "ada", false).await;
        let page = server.users().query_users(pb::QueryUsersRequest::default()).await.answered();
        assert!(page.users.iter().all(|user| !user.online));
    }

    async fn presence_is_no_change_of_the_user(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let before = server.user("ada").await;
        assert_eq!(before.last_active, None);
        let session = connect(&server, "ada").await.session_id;
        is_online_within_the_bound(&server, "ada", true).await;
        let connected = server.user("ada").await;
        assert!(connected.last_active.is_some());
        assert_eq!((connected.version, connected.updated_at), (before.version, before.updated_at));

        // A write of the user takes nothing of it away.
        server.upsert(vec![user("ada")]).await;
        let written = server.user("ada").await;
        assert_eq!((written.last_active, written.online), (connected.last_active, true));

        assert_eq!(keep_alive(&server, &[&session]).await, []);
        eventually("a later last sign of life", || async {
            let later = server.user("ada").await.last_active;
            (later.map(|at| (at.seconds, at.nanos)) > written.last_active.map(|at| (at.seconds, at.nanos))).then_some(())
        }).await;
    }

    async fn whoever_is_invisible_or_cannot_act_is_not_online(server: TestServer) {
        server.upsert(vec![pb::UserInput { invisible: true, ..user("ada") }, user("off"), user("there")]).await;
        for id in ["ada", "off", "there"] {
            connect(&server, id).await;
        }
        is_online_within_the_bound(&server, "there", true).await;
        assert!(!server.user("ada").await.online);
        let off = server.deactivate("off").await;
        assert!(!off.online && !server.user("off").await.online);
        server.upsert(vec![user("ada")]).await;
        is_online_within_the_bound(&server, "ada", true).await;
    }

    async fn sessions_end_with_the_right_to_have_them(server: TestServer) {
        server.upsert(vec![user("ada"), user("off"), user("stays")]).await;
        let elsewhere = server.credentials().sign(&json!({"user_id": "ada", "iat": now()}));
        let mut sessions = vec![connect(&server, "ada").await.session_id];
        sessions.push(try_connect(&server, &elsewhere).await.answered().session_id);
        sessions.push(connect(&server, "off").await.session_id);
        sessions.push(connect(&server, "stays").await.session_id);
        let ids: Vec<&str> = sessions.iter().map(String::as_str).collect();
        assert_eq!(keep_alive(&server, &ids).await, []);

        server.tokens().revoke_user_tokens(pb::RevokeUserTokensRequest {
            user_ids: vec!["ada".to_owned()], ..Default::default()
        }).await.answered();
        server.deactivate("off").await;
        let ended = keep_alive(&server, &ids).await;
        let reasons: Vec<&str> = ended.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(reasons, ["TOKEN_REVOKED", "TOKEN_REVOKED", "USER_DEACTIVATED"]);
        assert_eq!(ended.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ids[..3]);
        let fresh = connect(&server, "ada").await.session_id;
        assert_eq!(keep_alive(&server, &[&fresh]).await, [], "a session under a new token lives");
        is_online_within_the_bound(&server, "ada", true).await;
    }

    async fn what_is_no_session_of_the_caller_is_told(backend: Backend) {
        let server = backend.start().await;
        let other = server.of_app(backend.create_app("other", server.place()).await);
        server.upsert(vec![user("ada"), user("grace")]).await;
        other.upsert(vec![user("ada")]).await;
        let theirs = connect(&other, "ada").await.session_id;
        let ours = connect(&server, "grace").await.session_id;
        for unknown in [theirs.as_str(), "junk", "", &ours[1..]] {
            assert_eq!(keep_alive(&server, &[unknown]).await, [(unknown.to_owned(), "SESSION_ENDED".to_owned())]);
            let request = pb::DisconnectUserRequest { session_id: unknown.to_owned() };
            let refused = server.users().disconnect_user(request).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["session_id"]);
        }
        let ada = server.with_token(&server.user_token("ada").await);
        let request = pb::DisconnectUserRequest { session_id: ours.clone() };
        ada.users().disconnect_user(request).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        let request = pb::KeepAliveRequest { session_ids: vec![ours.clone()] };
        ada.users().keep_alive(request).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        for count in [0, 1_001] {
            let request = pb::KeepAliveRequest { session_ids: vec![ours.clone(); count] };
            let refused = server.users().keep_alive(request).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["session_ids"]);
        }
    }

    async fn a_drain_writes_what_was_seen(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada")]).await;
        let session = connect(&server, "ada").await.session_id;
        let server = server.restart().await;
        let ada = server.user("ada").await;
        assert!(ada.online && ada.last_active.is_some());
        assert_eq!(keep_alive(&server, &[&session]).await, [], "and sessions go on after a restart");
    }

    async fn a_session_that_was_silent_for_a_minute_is_over(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada")]).await;
        let session = connect(&server, "ada").await.session_id;
        let place = server.place().clone();
        server.stop().await;
        backend.meddle(&place, "UPDATE sessions SET seen_at = seen_at - 66000000").await;
        let server = backend.try_start_at(&place).await.unwrap();
        assert!(!server.user("ada").await.online);
        assert!(server.user("ada").await.last_active.is_some());
        assert_eq!(keep_alive(&server, &[&session]).await, [(session, "SESSION_ENDED".to_owned())]);
    }

    async fn a_call_token_makes_its_user_a_member_of_its_calls(server: TestServer) {
        server.upsert(vec![user("ada"), user("grace"), user("edsger")]).await;
        let token = call_token(&server, "ada", &["livestream:final", "default:standup"], "moderator").await;
        let connected = try_connect(&server, &token).await.answered();
        assert_eq!(connected.call_cids, ["default:standup", "livestream:final"]);
        assert_eq!(connected.role, "user", "the role in the app is another one");
        for id in ["grace", "edsger"] {
            try_connect(&server, &call_token(&server, id, &["livestream:final"], "").await).await.answered();
        }
        assert_eq!(members(&server, "livestream:final").await, ["ada:moderator", "edsger:call_member", "grace:call_member"]);
        assert_eq!(members(&server, "default:standup").await, ["ada:moderator"]);
        let request = pb::GetCallRequest { cid: "livestream:final".to_owned(), ..Default::default() };
        let call = server.content().get_call(request).await.answered().call.unwrap();
        assert!(call.created_by_id.is_empty() && call.created_at.is_some());
    }

    async fn verifying_a_call_token_makes_nobody_a_member(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let token = call_token(&server, "ada", &["livestream:final"], "moderator").await;
        server.tokens().verify_token(pb::VerifyTokenRequest { token }).await.answered();
        let request = pb::GetCallRequest { cid: "livestream:final".to_owned(), ..Default::default() };
        server.content().get_call(request).await.refused(Code::NotFound, "CALL_NOT_FOUND");
    }

    async fn a_membership_is_widened_by_a_call_token_and_never_narrowed(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        server.has_call_roles(&["host", "speaker"]).await;
        for (granted, role) in [("", "call_member"), ("channel_member", "call_member"), ("user", "user"),
            ("host", "host"), ("", "host"), ("user", "host"), ("speaker", "host"), ("moderator", "host"),
            ("admin", "admin"), ("host", "admin"), ("global_admin", "admin")] {
            try_connect(&server, &call_token(&server, "ada", &["a:b"], granted).await).await.answered();
            assert_eq!(members(&server, "a:b").await, [format!("ada:{role}")], "after {granted:?}");
        }
    }

    async fn of_edges_that_redeem_at_the_same_time_each_succeeds_and_one_membership_is_made(server: TestServer) {
        server.upsert(vec![user("ada"), user("grace")]).await;
        let calls: Vec<String> = (0..20).map(|number| format!("race:{number}")).collect();
        let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
        let reversed: Vec<&str> = calls.iter().rev().copied().collect();
        let tokens = [
            call_token(&server, "ada", &calls, "moderator").await,
            call_token(&server, "ada", &reversed, "moderator").await,
            call_token(&server, "grace", &reversed, "").await,
            call_token(&server, "grace", &calls, "moderator").await,
        ];
        let edges = tokens.iter().cycle().take(16).map(|token| try_connect(&server, token));
        for connected in futures_util::future::join_all(edges).await {
            connected.answered();
        }
        for cid in calls {
            assert_eq!(members(&server, cid).await, ["ada:moderator", "grace:moderator"], "{cid}");
        }
    }

    async fn a_call_that_cannot_be_read_is_told_with_its_field(server: TestServer) {
        for cid in ["", "call", "a:b:c", "a b:c", ":x", &format!("a:{}", "x".repeat(65))] {
            let request = pb::GetCallRequest { cid: cid.to_owned(), ..Default::default() };
            let refused = server.content().get_call(request).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["cid"], "{cid}");
        }
        let request = pb::GetCallRequest { cid: "a:b".to_owned(), limit: 1_001, page_token: "junk".to_owned() };
        server.content().get_call(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
    }
}

on_postgres! {
    async fn a_session_is_good_on_every_replica(backend: Backend) {
        let servers = backend.start_together(2).await;
        let (here, there) = (&servers[0], &servers[1]);
        here.upsert(vec![user("ada")]).await;
        let session = connect(here, "ada").await.session_id;
        assert_eq!(keep_alive(there, &[&session]).await, [], "also where nothing was heard of it");
        is_online_within_the_bound(there, "ada", true).await;
        disconnect(there, &session).await;
        is_online_within_the_bound(here, "ada", false).await;
        assert_eq!(keep_alive(here, &[&session]).await, [(session, "SESSION_ENDED".to_owned())]);
    }
}
