//! `ImportContent`: items that are refused, each for a reason and with the field at fault.

use serde_json::{Value, json};

use crate::harness::{Caller, Tally, TestServer, each_backend, pb, user_item};

/// Imports these raw items, with a good user before and behind, and tells what became of them.
async fn import(caller: &Caller, import_id: &str, items: &[Vec<u8>]) -> Tally {
    let mut import = caller.import(import_id, pb::ImportMode::Upsert).await;
    import.send(0, &user_item(&json!({"id": format!("{import_id}-before")}))).await;
    for (at, item) in items.iter().enumerate() {
        import.send(1 + i64::try_from(at).unwrap(), item).await;
    }
    import.send(1_000_000, &user_item(&json!({"id": format!("{import_id}-behind")}))).await;
    let tally = import.finish().await;
    assert_eq!(tally.committed_offset, Some(1_000_000), "a refused item does not stop the import");
    tally
}

/// Each of these items is refused for this reason, at this field.
async fn all_refused(caller: &Caller, import_id: &str, cases: Vec<(Vec<u8>, &str, &str)>) {
    let items: Vec<_> = cases.iter().map(|(item, ..)| item.clone()).collect();
    let tally = import(caller, import_id, &items).await;
    for (at, (item, reason, field)) in cases.iter().enumerate() {
        let text = String::from_utf8_lossy(&item[..item.len().min(200)]);
        let offset = 1 + i64::try_from(at).unwrap();
        let refusal = tally.refused.iter().find(|refusal| refusal.offset == offset);
        let refusal = refusal.unwrap_or_else(|| panic!("should be refused: {text}"));
        assert_eq!(
            (refusal.reason.as_str(), refusal.field.as_str()),
            (*reason, *field),
            "{text}: {}",
            refusal.message
        );
        assert!(!refusal.message.is_empty() && !refusal.message.contains("canary"), "{}", refusal.message);
    }
    assert_eq!((tally.accepted, tally.refused.len()), (2, cases.len()));
}

fn user_cases(cases: Vec<(Value, &'static str)>) -> Vec<(Vec<u8>, &'static str, &'static str)> {
    cases.into_iter().map(|(item, field)| (user_item(&item), "INVALID_FIELD", field)).collect()
}

each_backend! {
    async fn what_is_no_json_object_is_refused(server: TestServer) {
        let texts: Vec<&[u8]> = vec![
            b"",
            b" ",
            b"canary",
            b"{",
            b"{}}",
            b"[]",
            b"null",
            b"5",
            b"\"user\"",
            b"{\"type\":\"user\",}",
            b"{'type':'user'}",
            b"\xff\xfe",
            b"{\"type\":\"user\",\"item\":{\"id\":\"\xc3\x28\"}}",
            b"{\"type\":\"user\",\"item\":{\"id\":\"a\"}} {}",
            b"{\"type\":\"user\",\"item\":{\"id\":\"a\",\"n\":1e999}}",
            b"{\"type\":\"user\",\"item\":{\"id\":\"a\",\"n\":NaN}}",
            b"{\"type\":\"user\",\"item\":{\"id\":\"a\",\"t\":\"\\ud800\"}}",
            b"\xef\xbb\xbf{\"type\":\"user\",\"item\":{\"id\":\"a\"}}",
        ];
        all_refused(
            &server,
            "text",
            texts.into_iter().map(|text| (text.to_vec(), "INVALID_FIELD", "")).collect(),
        )
        .await;
    }

    async fn nesting_bombs_are_refused(server: TestServer) {
        let deep = |open: &str, close: &str| {
            format!(
                "{{\"type\":\"user\",\"item\":{{\"id\":\"a\",\"x\":{}1{}}}}}",
                open.repeat(5_000),
                close.repeat(5_000)
            )
            .into_bytes()
        };
        let tally = import(&server, "bombs", &[deep("[", "]"), deep("{\"a\":", "}")]).await;
        assert_eq!((tally.accepted, tally.refused.len()), (2, 2));
        assert!(tally.refused.iter().all(|refusal| refusal.reason == "INVALID_FIELD"));
    }

    async fn envelopes_that_are_wrong_are_refused(server: TestServer) {
        let raw = |value: Value, field| (value.to_string().into_bytes(), "INVALID_FIELD", field);
        all_refused(
            &server,
            "envelopes",
            vec![
                raw(json!({}), "type"),
                raw(json!({"item": {"id": "a"}}), "type"),
                raw(json!({"type": 5, "item": {"id": "a"}}), "type"),
                raw(json!({"type": "", "item": {"id": "a"}}), "type"),
                raw(json!({"type": "usr", "item": {"id": "a"}}), "type"),
                raw(json!({"type": "User", "item": {"id": "a"}}), "type"),
                raw(json!({"type": "user"}), "item"),
                raw(json!({"type": "user", "item": null}), "item"),
                raw(json!({"type": "user", "item": []}), "item"),
                raw(json!({"type": "user", "item": {"id": "a"}, "data": {"id": "a"}}), ""),
            ],
        )
        .await;
    }

    async fn kinds_that_cannot_be_imported_are_refused_by_name(server: TestServer) {
        let kinds = ["channel_mute", "user_mute"];
        let items: Vec<_> =
            kinds.iter().map(|kind| json!({"type": kind, "item": {}}).to_string().into_bytes()).collect();
        let tally = import(&server, "kinds", &items).await;
        assert_eq!(tally.refused.len(), kinds.len());
        for (refusal, kind) in tally.refused.iter().zip(kinds) {
            assert_eq!((refusal.reason.as_str(), refusal.field.as_str()), ("KIND_UNSUPPORTED", "type"));
            assert!(refusal.message.contains(kind), "{}", refusal.message);
        }
    }

    async fn fields_that_usher_keeps_itself_are_refused(server: TestServer) {
        let reserved = [
            "online",
            "last_active",
            "updated_at",
            "banned",
            "ban_expires",
            "shadow_banned",
            "version",
            "devices",
        ];
        let cases =
            reserved.map(|field| (user_item(&json!({"id": "a", field: null})), "INVALID_FIELD", field));
        all_refused(&server, "reserved", cases.to_vec()).await;
    }

    async fn users_that_break_a_rule_are_refused_at_the_field(server: TestServer) {
        let teams: Vec<String> = (0..251).map(|number| format!("t{number}")).collect();
        all_refused(
            &server,
            "users",
            user_cases(vec![
                (json!({}), "id"),
                (json!({"id": ""}), "id"),
                (json!({"id": "a canary"}), "id"),
                (json!({"id": 5}), "id"),
                (json!({"id": "x".repeat(256)}), "id"),
                (json!({"id": "a", "name": 5}), "name"),
                (json!({"id": "a", "name": "é".repeat(256)}), "name"),
                (json!({"id": "a", "name": "canary\0"}), "name"),
                (json!({"id": "a", "image": ["x"]}), "image"),
                (json!({"id": "a", "role": 5}), "role"),
                (json!({"id": "a", "language": "l".repeat(65)}), "language"),
                (json!({"id": "a", "invisible": "yes"}), "invisible"),
                (json!({"id": "a", "teams": "red"}), "teams"),
                (json!({"id": "a", "teams": ["red", 5]}), "teams[1]"),
                (json!({"id": "a", "teams": ["red", "x".repeat(101)]}), "teams[1]"),
                (json!({"id": "a", "teams": teams}), "teams"),
                (json!({"id": "a", "teams_role": ["red"]}), "teams_role"),
                (json!({"id": "a", "teams_role": {"red": 5}}), "teams_role"),
                (json!({"id": "a", "privacy_settings": true}), "privacy_settings"),
                (
                    json!({"id": "a", "privacy_settings": {"typing_indicators": true}}),
                    "privacy_settings.typing_indicators",
                ),
                (
                    json!({"id": "a", "privacy_settings": {"read_receipts": {"enabled": "yes"}}}),
                    "privacy_settings.read_receipts.enabled",
                ),
                (json!({"id": "a", "push_notifications": {"disabled": 1}}), "push_notifications.disabled"),
                (
                    json!({"id": "a", "push_notifications": {"disabled_until": "soon"}}),
                    "push_notifications.disabled_until",
                ),
                (json!({"id": "a", "push_preferences": {"chat_level": "loud"}}), "push_preferences.chat_level"),
                (json!({"id": "a", "push_preferences": {"volume": 11}}), "push_preferences"),
                (
                    json!({"id": "a", "push_preferences": {"disabled_until": 5}}),
                    "push_preferences.disabled_until",
                ),
                (json!({"id": "a", "channel_mutes": "messaging:general"}), "channel_mutes"),
                (json!({"id": "a", "user_mutes": ["bob", 5]}), "user_mutes[1]"),
                (json!({"id": "a", "created_at": "yesterday"}), "created_at"),
                (json!({"id": "a", "created_at": 5}), "created_at"),
                (json!({"id": "a", "deactivated_at": "2024-13-01T00:00:00Z"}), "deactivated_at"),
                (json!({"id": "a", "deleted_at": "2024-02-30T00:00:00Z"}), "deleted_at"),
                (json!({"id": "a", "blocked_user_ids": "bob"}), "blocked_user_ids"),
                (json!({"id": "a", "blocked_user_ids": ["bob", "a b"]}), "blocked_user_ids[1]"),
                (json!({"id": "a", "custom": 5}), "custom"),
                (json!({"id": "a", "t": "canary\0"}), "custom.t"),
                (json!({"id": "a", "n": 9_007_199_254_740_993_u64}), "custom.n"),
                (json!({"id": "a", "n": {"deep": [-9_007_199_254_740_993_i64]}}), "custom.n.deep[0]"),
            ]),
        )
        .await;
        let nothing = server.read(&["a".to_owned()]).await;
        assert!(nothing.is_empty(), "nothing of a refused item is stored");
    }

    async fn an_unknown_role_is_refused(server: TestServer) {
        all_refused(
            &server,
            "roles",
            vec![
                (user_item(&json!({"id": "a", "role": "knight"})), "ROLE_NOT_FOUND", "role"),
                (
                    user_item(&json!({"id": "a", "teams_role": {"red": "knight"}})),
                    "ROLE_NOT_FOUND",
                    "teams_role",
                ),
            ],
        )
        .await;
    }

    async fn whole_numbers_up_to_two_to_the_53_are_stored(server: TestServer) {
        let edge = 9_007_199_254_740_992_i64;
        let item = json!({"id": "a", "n": edge, "m": -edge, "f": 3.0});
        assert_eq!(server.import_users("numbers", std::slice::from_ref(&item)).await.accepted, 1);
        let expected = json!({"n": edge, "m": -edge, "f": 3});
        assert_eq!(server.user("a").await.custom, Some(crate::harness::struct_of(expected)));
    }

    async fn items_and_users_keep_to_their_weight(server: TestServer) {
        let spaced = |bytes: usize| {
            let mut item = user_item(&json!({"id": "ok"}));
            item.resize(bytes, b' ');
            item
        };
        let light = import(&server, "light", &[spaced(256 * 1024)]).await;
        assert_eq!(light.accepted, 3, "256 KiB: {light:?}");
        all_refused(
            &server,
            "heavy",
            vec![
                (spaced(256 * 1024 + 1), "TOO_LARGE", ""),
                (user_item(&json!({"id": "a", "t": "x".repeat(6_000)})), "TOO_LARGE", ""),
            ],
        )
        .await;
    }
}
