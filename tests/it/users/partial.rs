//! `UpdateUsersPartial`: what it changes and what it leaves, and that a batch is done whole or not at all.

use serde_json::{Value, json};
use tonic::{Code, Response, Status};

use crate::harness::{
    Answer, Caller, TestServer, each_backend, fields_of, metadata_of, now, pb, struct_of, user, user_ids,
};

fn patch(id: &str, set: Value, unset: &[&str]) -> pb::UserPatch {
    pb::UserPatch {
        id: id.to_owned(),
        set: Some(struct_of(set)),
        unset: unset.iter().map(ToString::to_string).collect(),
        expected_version: None,
    }
}

async fn update(
    caller: &Caller,
    users: Vec<pb::UserPatch>,
) -> Result<Response<pb::UpdateUsersPartialResponse>, Status> {
    caller.users().update_users_partial(pb::UpdateUsersPartialRequest { users }).await
}

/// Changes one user, which must succeed.
async fn changed(caller: &Caller, id: &str, set: Value, unset: &[&str]) -> pb::User {
    update(caller, vec![patch(id, set, unset)]).await.answered().users.remove(0)
}

fn with_custom(id: &str, custom: Value) -> pb::UserInput {
    pb::UserInput { custom: Some(struct_of(custom)), ..user(id) }
}

const ON: Option<pb::PrivacySetting> = Some(pb::PrivacySetting { enabled: true });
const OFF: Option<pb::PrivacySetting> = Some(pb::PrivacySetting { enabled: false });

/// Empty where the token is good, the reason otherwise.
async fn verdict(caller: &Caller, token: &str) -> String {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    caller.tokens().verify_token(request).await.answered().reason
}

fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap();
    usher::model::clock::Timestamp::from_parts(seconds, 0).unwrap().to_string()
}

each_backend! {
    async fn what_is_named_changes_and_the_rest_stays(server: TestServer) {
        let before = server
            .upsert(vec![pb::UserInput {
                name: "Ada".to_owned(),
                role: "admin".to_owned(),
                teams: vec!["red".to_owned()],
                ..with_custom("ada", json!({"color": "red", "address": {"city": "x", "zip": 1}, "n": 1}))
            }])
            .await
            .remove(0);

        let set = json!({"image": "i.png", "color": "green", "custom.size": 2.5, "address.city": "Paris", "a.b": []});
        let after = changed(&server, "ada", set, &["n", "name"]).await;

        let custom = json!({"color": "green", "size": 2.5, "address": {"city": "Paris", "zip": 1}, "a": {"b": []}});
        let expected = pb::User {
            name: String::new(),
            image: "i.png".to_owned(),
            custom: Some(struct_of(custom)),
            updated_at: after.updated_at,
            version: 2,
            ..before
        };
        assert_eq!(after, expected);
        assert_eq!(server.user("ada").await, after, "and is read as answered");
    }

    async fn every_field_can_be_set_and_unset(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let set = json!({
            "name": "Ada", "image": "i", "role": "moderator", "language": "pt-BR", "invisible": true,
            "teams": ["red", "blue", "red"], "teams_role": {"red": "admin"}, "custom": {"x": {"y": null}},
            "privacy_settings": {"typing_indicators": {"enabled": false}},
            "push_notifications": {"disabled": true, "disabled_until": "2100-01-01T00:00:00.123456789+01:00"},
            "avg_response_time": 12.5,
        });
        let full = changed(&server, "ada", set, &[]).await;
        assert_eq!((full.name.as_str(), full.role.as_str(), full.language.as_str()), ("Ada", "moderator", "pt-BR"));
        assert_eq!((full.teams.as_slice(), full.invisible), (["red".to_owned(), "blue".to_owned()].as_slice(), true));
        assert_eq!(full.teams_role, [("red".to_owned(), "admin".to_owned())].into());
        assert_eq!(full.privacy_settings.unwrap().typing_indicators, OFF);
        let push = full.push_notifications.unwrap();
        let until = push.disabled_until.unwrap();
        assert_eq!((push.disabled, until.seconds, until.nanos), (true, 4_102_441_200, 123_456_000));
        assert_eq!(full.avg_response_time, Some(12.5));
        assert_eq!(server.upsert(vec![user("ada")]).await[0].avg_response_time, Some(12.5), "an upsert leaves it");

        changed(&server, "ada", json!({"name": "Ada", "role": "admin", "teams": ["red"], "x": 1}), &[]).await;
        let fields = ["name", "image", "role", "language", "invisible", "teams", "teams_role", "custom",
            "privacy_settings", "push_notifications", "avg_response_time"];
        let bare = changed(&server, "ada", json!({}), &fields).await;
        let expected = pb::User {
            id: "ada".to_owned(),
            role: "user".to_owned(),
            created_at: bare.created_at,
            updated_at: bare.updated_at,
            version: 5,
            ..pb::User::default()
        };
        assert_eq!(bare, expected);
    }

    async fn privacy_settings_are_merged(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let set = |name: &str, enabled: bool| json!({"privacy_settings": {name: {"enabled": enabled}}});
        changed(&server, "ada", set("typing_indicators", false), &[]).await;
        let both = changed(&server, "ada", set("read_receipts", true), &[]).await.privacy_settings.unwrap();
        assert_eq!((both.typing_indicators, both.read_receipts), (OFF, ON));
        assert_eq!(both.delivery_receipts, None);

        let unset = changed(&server, "ada", json!({"privacy_settings.delivery_receipts.enabled": false}), &["privacy_settings.read_receipts"]).await;
        let left = unset.privacy_settings.unwrap();
        assert_eq!((left.typing_indicators, left.read_receipts, left.delivery_receipts), (OFF, None, OFF));
    }

    async fn unset_keeps_the_parent(server: TestServer) {
        server.upsert(vec![with_custom("ada", json!({"test": {"passed": true}, "fields": {"a": 1, "b": 2}}))]).await;
        let after = changed(&server, "ada", json!({}), &["test.passed", "fields.a", "no.such.path"]).await;
        assert_eq!(after.custom, Some(struct_of(json!({"test": {}, "fields": {"b": 2}}))));
    }

    async fn nothing_is_lost_of_what_32_writers_change_at_the_same_time(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let write = |number: usize| {
            let caller = server.on_another_connection();
            async move {
                for round in 0..5 {
                    let key = format!("writers.w{number}.r{round}");
                    changed(&caller, "ada", json!({ key: round }), &[]).await;
                }
            }
        };

        futures_util::future::join_all((0..32).map(write)).await;

        let after = server.user("ada").await;
        let rounds: Value = (0..5).map(|round| (format!("r{round}"), json!(round))).collect();
        let writers: Value = (0..32).map(|number| (format!("w{number}"), rounds.clone())).collect();
        assert_eq!(after.custom, Some(struct_of(json!({ "writers": writers }))));
        assert_eq!(after.version, 1 + 32 * 5, "each write counts once");
    }

    async fn whole_batches_race_and_none_waits_in_a_circle(server: TestServer) {
        let ids = user_ids("u", 20);
        server.seed(&ids).await;
        let write = |number: usize| {
            let (caller, mut ids) = (server.on_another_connection(), ids.clone());
            ids.rotate_left(number);
            async move {
                let key = format!("w{number}");
                let batch = ids.iter().map(|id| patch(id, json!({ key.as_str(): 1 }), &[])).collect();
                update(&caller, batch).await.answered()
            }
        };
        futures_util::future::join_all((0..16).map(write)).await;
        for user in server.read(&ids).await {
            assert_eq!((user.version, user.custom.unwrap().fields.len()), (17, 16));
        }
    }

    async fn a_write_may_name_the_version_it_expects(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let expecting = |version| pb::UserPatch { expected_version: Some(version), ..patch("ada", json!({"a": 1}), &[]) };
        assert_eq!(update(&server, vec![expecting(1)]).await.answered().users[0].version, 2);
        for wrong in [0, 1, 3] {
            let batch = vec![patch("bob", json!({"a": 1}), &[]), expecting(wrong)];
            let status = update(&server, batch).await.refused(Code::Aborted, "VERSION_MISMATCH");
            assert_eq!(fields_of(&status), ["users[1].expected_version"]);
        }
        let negative = update(&server, vec![expecting(-1)]).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&negative), ["users[0].expected_version"]);
        assert_eq!(server.user("bob").await.version, 1, "nothing is half written");
    }

    async fn of_racing_writers_that_expect_one_version_one_wins(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let write = |number: usize| {
            let caller = server.on_another_connection();
            let expecting = pb::UserPatch { expected_version: Some(1), ..patch("ada", json!({ "w": number }), &[]) };
            async move { update(&caller, vec![expecting]).await }
        };
        let ended = futures_util::future::join_all((0..16).map(write)).await;
        let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), server.user("ada").await.version), (1, 2));
        for loser in lost {
            loser.refused(Code::Aborted, "VERSION_MISMATCH");
        }
    }

    async fn a_user_that_cannot_be_written_fails_the_whole_batch(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("ada"), user("off")]).await;
        server.deactivate("off").await;
        let cases = [
            ("nobody", json!({}), Code::NotFound, "USER_NOT_FOUND", "users[1]"),
            ("gone", json!({}), Code::FailedPrecondition, "USER_DELETED", "users[1]"),
            ("off", json!({}), Code::FailedPrecondition, "USER_DEACTIVATED", "users[1]"),
            ("bob", json!({"role": "knight"}), Code::NotFound, "ROLE_NOT_FOUND", "users[1].set.role"),
            ("bob", json!({"teams_role.x": "knight"}), Code::NotFound, "ROLE_NOT_FOUND", "users[1].set.teams_role"),
        ];
        server.upsert(vec![user("bob")]).await;
        for (id, set, code, reason, field) in cases {
            let batch = vec![patch("ada", json!({"a": 1}), &[]), patch(id, set, &[])];
            assert_eq!(fields_of(&update(&server, batch).await.refused(code, reason)), [field]);
        }
        assert_eq!(server.user("ada").await.version, 1, "nothing is half written");
    }

    async fn every_violation_is_listed_by_its_path(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let batch = vec![
            patch("a b", json!({"address..city": 1, "a b": 1, "fine": 1}), &["x.", "fine2", ".y"]),
            patch("ada", json!({"created_at": "2024-05-01T12:00:00Z", "name": 1, "color": 1, "custom.color": 2}), &["color"]),
            patch("ada", json!({}), &[]),
        ];
        let status = update(&server, batch).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        let mut fields = fields_of(&status);
        fields.sort();
        assert_eq!(fields, [
            "users[0].id", "users[0].set.a b", "users[0].set.address..city", "users[0].unset[0]", "users[0].unset[2]",
            "users[1].set.created_at", "users[1].set.custom.color", "users[1].set.name", "users[1].unset[0]", "users[2].id",
        ]);
        for count in [0, 501] {
            let ids = user_ids("u", count);
            let batch = ids.iter().map(|id| patch(id, json!({}), &[])).collect();
            let status = update(&server, batch).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["users"]);
        }
        assert_eq!((server.user("ada").await.version, server.user("bob").await.version), (1, 1));
    }

    async fn what_only_the_stored_user_can_tell_is_told_by_path_too(server: TestServer) {
        server.upsert(vec![with_custom("ada", json!({"a": "x"})), with_custom("bob", json!({"t": "x".repeat(3_000)}))]).await;
        let status = update(&server, vec![patch("bob", json!({"n": 1}), &[]), patch("ada", json!({"a.b": 1}), &[])]).await;
        assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), ["users[1].set.a.b"]);

        let status = update(&server, vec![patch("bob", json!({"u": "x".repeat(3_000)}), &[])]).await;
        assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "TOO_LARGE")), ["users[0]"]);
        assert_eq!(server.user("bob").await.version, 1);
    }

    async fn what_would_not_fit_into_an_answer_is_not_stored(server: TestServer) {
        // As JSON these are below 5 KiB, on the wire they are five times as much.
        let ids = user_ids("u", 500);
        let batch = ids.iter().map(|id| with_custom(id, json!({ "n": vec![1; 300] }))).collect::<Vec<_>>();
        for some in batch.chunks(250) {
            server.upsert(some.to_vec()).await;
        }
        let more = |ids: &[String]| ids.iter().map(|id| patch(id, json!({ "m": vec![1; 600] }), &[])).collect();
        update(&server, more(&ids[..200])).await.answered();
        for ids in [&ids[..], &ids[..400]] {
            update(&server, more(ids)).await.refused(Code::ResourceExhausted, "TOO_LARGE");
        }
        assert_eq!(server.user(&ids[399]).await.version, 1);
    }

    async fn five_hundred_users_are_changed_in_their_order(server: TestServer) {
        let mut ids = user_ids("u", 500);
        server.seed(&ids).await;
        ids.reverse();
        let batch = ids.iter().map(|id| patch(id, json!({ "me": id }), &[])).collect();
        let users = update(&server, batch).await.answered().users;
        assert_eq!(users.iter().map(|user| user.id.clone()).collect::<Vec<_>>(), ids);
    }

    async fn revoking_by_a_field_is_revoking(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let sign = |iat| server.credentials().sign(&json!({"user_id": "ada", "iat": iat}));
        let (old, new, minted) = (sign(now() - 100), sign(now() - 10), server.user_token("ada").await);
        let half = json!({"revoke_tokens_issued_before": rfc3339(now() - 50)});
        let by_field = changed(&server, "ada", half, &[]).await;
        assert_eq!([verdict(&server, &old).await, verdict(&server, &new).await, verdict(&server, &minted).await],
            ["TOKEN_REVOKED".to_owned(), String::new(), String::new()]);
        let request = pb::RevokeUserTokensRequest {
            user_ids: vec!["bob".to_owned()],
            issued_before: by_field.revoke_tokens_issued_before,
            clear: false,
        };
        server.tokens().revoke_user_tokens(request).await.answered();
        let by_call = server.user("bob").await;
        assert_eq!(by_field.revoke_tokens_issued_before, by_call.revoke_tokens_issued_before);
        assert_eq!(by_field.version, by_call.version);

        // Now, by a clock that may be a little ahead.
        changed(&server, "ada", json!({"revoke_tokens_issued_before": rfc3339(now() + 1)}), &[]).await;
        assert_eq!(verdict(&server, &minted).await, "TOKEN_REVOKED");
        let after = server.user_token("ada").await;
        assert_eq!(verdict(&server, &after).await, "", "minted after the call");

        let cleared = changed(&server, "ada", json!({"revoke_tokens_issued_before": null}), &[]).await;
        assert_eq!((cleared.revoke_tokens_issued_before, verdict(&server, &minted).await), (None, String::new()));
        changed(&server, "ada", json!({"revoke_tokens_issued_before": rfc3339(now() + 1)}), &[]).await;
        assert_eq!(verdict(&server, &minted).await, "TOKEN_REVOKED");
        changed(&server, "ada", json!({}), &["revoke_tokens_issued_before"]).await;
        assert_eq!(verdict(&server, &minted).await, "");
        let ahead = update(&server, vec![patch("ada", json!({"revoke_tokens_issued_before": rfc3339(now() + 60)}), &[])]);
        ahead.await.refused(Code::InvalidArgument, "INVALID_FIELD");
    }

    async fn a_user_changes_itself_and_nobody_else(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob"), pb::UserInput { role: "guest".to_owned(), ..user("guest") }]).await;
        let ada = server.with_token(&server.user_token("ada").await);
        let set = json!({"name": "Ada", "color": "red", "invisible": true, "privacy_settings": {"read_receipts": {"enabled": false}}});
        let after = changed(&ada, "ada", set, &["image", "language"]).await;
        assert_eq!((after.name.as_str(), after.version), ("Ada", 2));
        let guest = server.with_token(&server.user_token("guest").await);
        changed(&guest, "guest", json!({"name": "Guest"}), &[]).await;

        for batch in [vec![patch("bob", json!({"name": "x"}), &[])], vec![patch("ada", json!({}), &[]), patch("nobody", json!({}), &[])]] {
            update(&ada, batch).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let set = json!({"role": "admin", "teams": ["red"], "teams_role.red": "admin", "avg_response_time": 1, "name": "x"});
        let status = update(&ada, vec![patch("ada", set, &["revoke_tokens_issued_before"])]).await;
        let mut fields = fields_of(&status.refused(Code::PermissionDenied, "PERMISSION_MISSING"));
        fields.sort();
        let expected = ["set.avg_response_time", "set.role", "set.teams", "set.teams_role.red", "unset[0]"];
        assert_eq!(fields, expected.map(|field| format!("users[0].{field}")));
        let anonymous = server.nobody();
        update(&anonymous, vec![patch("ada", json!({}), &[])]).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(server.user("ada").await.version, 2);
    }

    async fn many_violations_are_counted(server: TestServer) {
        let set: Value = (0..200).map(|number| (format!("a..{number}"), json!(1))).collect();
        let status = update(&server, vec![patch("ada", set, &[])]).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        // As many as fit into the trailers.
        assert!((30..=50).contains(&fields_of(&status).len()), "{status:?}");
        assert_eq!(metadata_of(&status).get("violations_total").map(String::as_str), Some("200"));
    }
}
