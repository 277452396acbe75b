//! `ImportContent`: what it stores, and what a repeated import does.

use serde_json::{Value, json};
use tonic::{Code, Response};

use crate::harness::{
    Answer, Caller, Import, Tally, TestServer, each_backend, fields_of, pb, user, user_ids, user_item,
};
use pb::ImportMode::{Insert, Upsert};
use pb::import_content_request::Step;

/// Sends items with these offsets over one stream and ends it.
async fn send(caller: &Caller, import_id: &str, mode: pb::ImportMode, items: &[(i64, Value)]) -> Tally {
    let mut import = caller.import(import_id, mode).await;
    for (offset, item) in items {
        import.send(*offset, &user_item(item)).await;
    }
    import.finish().await
}

/// Waits until everything up to `offset` is committed.
async fn committed(import: &mut Import, offset: i64) {
    while import.tally().committed_offset < Some(offset) {
        import.acknowledged().await.unwrap().expect("the stream is open");
    }
}

fn people(range: std::ops::Range<i64>) -> Vec<(i64, Value)> {
    range.map(|number| (number, json!({"id": format!("u-{number}")}))).collect()
}

fn ids(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|number| format!("u-{number}")).collect()
}

each_backend! {
    async fn users_are_stored_with_all_a_file_can_say(server: TestServer) {
        let item = json!({
            "id": "ada", "name": "Ada", "image": "https://example.org/a.png", "role": "admin",
            "language": "en", "invisible": true,
            "teams": ["red", "blue"], "teams_role": {"red": "moderator"},
            "privacy_settings": {"typing_indicators": {"enabled": false}, "read_receipts": {"enabled": true}},
            "push_notifications": {"disabled": true, "disabled_until": "2030-01-01T00:00:00Z"},
            "created_at": "2020-02-29T23:59:59.999999999Z", "blocked_user_ids": ["eve", "bob", "eve"],
            "color": "green", "level": 3, "custom": {"inner": true},
        });
        let tally = server.import_users("full", &[item]).await;
        assert_eq!(tally, Tally { committed_offset: Some(0), accepted: 1, ..Tally::default() });

        let stored = server.user("ada").await;
        assert_eq!(
            (stored.name.as_str(), stored.role.as_str(), stored.language.as_str()),
            ("Ada", "admin", "en")
        );
        assert!(
            stored.invisible && stored.teams == ["red", "blue"] && stored.teams_role["red"] == "moderator"
        );
        assert_eq!(stored.blocked_user_ids, ["bob", "eve"]);
        let created = stored.created_at.unwrap();
        assert_eq!((created.seconds, created.nanos), (1_583_020_799, 999_999_000), "truncated, not rounded");
        assert_eq!(stored.push_notifications.unwrap().disabled_until.unwrap().seconds, 1_893_456_000);
        let privacy = stored.privacy_settings.unwrap();
        assert_eq!(privacy.typing_indicators, Some(pb::PrivacySetting { enabled: false }));
        assert_eq!(privacy.delivery_receipts, None);
        let custom = json!({"color": "green", "level": 3, "inner": true});
        assert_eq!(stored.custom, Some(crate::harness::struct_of(custom)));
        assert_eq!(stored.version, 1);
    }

    async fn push_preferences_stand_in_for_push_notifications_and_mutes_are_not_kept(server: TestServer) {
        let until = "2030-01-01T00:00:00Z";
        let items = [
            json!({"id": "a", "push_preferences": {"chat_level": "none", "disabled_until": until}}),
            json!({"id": "b", "push_preferences": {"chat_level": "mentions"},
                "channel_mutes": ["messaging:general"], "user_mutes": ["a"]}),
            json!({"id": "c", "push_preferences": {"chat_level": "none"}, "push_notifications": {"disabled": false}}),
        ];
        assert_eq!(server.import_users("push", &items).await.accepted, 3);
        let mut said = Vec::new();
        for id in ["a", "b", "c"] {
            let user = server.user(id).await;
            assert_eq!(user.custom.unwrap_or_default(), prost_types::Struct::default());
            let push = user.push_notifications.unwrap();
            said.push((push.disabled, push.disabled_until.map(|until| until.seconds)));
        }
        assert_eq!(said, [(true, Some(1_893_456_000)), (false, None), (false, None)]);
    }

    async fn both_envelopes_are_read(server: TestServer) {
        let mut import = server.import("both", Upsert).await;
        import.send(0, &json!({"type": "user", "item": {"id": "a"}}).to_string().into_bytes()).await;
        import.send(1, &json!({"type": "user", "data": {"id": "b"}}).to_string().into_bytes()).await;
        import.send(2, b" {\n\t\"data\" : { \"id\" : \"c\" }, \"type\" : \"user\" }\r\n").await;
        assert_eq!(import.finish().await.accepted, 3);
        assert_eq!(server.read(&["a".into(), "b".into(), "c".into()]).await.len(), 3);
    }

    async fn states_are_imported_and_kept(server: TestServer) {
        send(
            &server,
            "states",
            Upsert,
            &[
                (0, json!({"id": "off", "deactivated_at": "2024-05-01T12:00:00+02:00"})),
                (1, json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})),
            ],
        )
        .await;
        assert_eq!(server.user("off").await.deactivated_at.unwrap().seconds, 1_714_557_600);
        assert_eq!(server.user("gone").await.deleted_at.unwrap().seconds, 1_714_564_800);

        // A file that says nothing of it neither reactivates nor restores.
        let tally =
            send(&server, "again", Upsert, &[(0, json!({"id": "off"})), (1, json!({"id": "gone"}))]).await;
        let told: Vec<_> =
            tally.refused.iter().map(|refusal| (refusal.offset, refusal.reason.as_str())).collect();
        assert_eq!(told, [(0, "USER_DEACTIVATED"), (1, "USER_DELETED")]);
        assert_eq!(tally.accepted, 0);
    }

    async fn upsert_replaces_what_exists(server: TestServer) {
        let created = server
            .upsert(vec![pb::UserInput { name: "old".to_owned(), language: "en".to_owned(), ..user("ada") }])
            .await[0]
            .created_at;
        let tally = send(&server, "new", Upsert, &[(0, json!({"id": "ada", "name": "new"}))]).await;
        assert_eq!((tally.accepted, tally.skipped), (1, 0));
        let stored = server.user("ada").await;
        assert_eq!((stored.name.as_str(), stored.language.as_str(), stored.version), ("new", "", 2));
        assert_eq!(stored.created_at, created, "what the file does not say stays");
    }

    async fn insert_skips_what_exists_in_whatever_state(server: TestServer) {
        server.upsert(vec![user("ada"), user("off")]).await;
        server.deactivate("off").await;
        send(&server, "gone", Upsert, &[(0, json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"}))])
            .await;
        let items = [
            (0, json!({"id": "ada", "name": "x"})),
            (1, json!({"id": "new"})),
            (2, json!({"id": "off"})),
            (3, json!({"id": "gone"})),
        ];

        let tally = send(&server, "insert", Insert, &items).await;

        assert_eq!((tally.accepted, tally.skipped, tally.refused.len()), (1, 3, 0));
        assert_eq!(server.user("ada").await.version, 1, "skipped means untouched");
        assert_eq!(server.user("new").await.version, 1);
    }

    async fn a_user_twice_in_one_import_is_refused_the_second_time(server: TestServer) {
        for mode in [Upsert, Insert] {
            let name = format!("{mode:?}");
            let item = |number: i64| json!({"id": format!("{name}-{number}")});
            let items = [
                (0, item(0)),
                (1, item(1)),
                (7, json!({"id": format!("{name}-0"), "name": "again"})),
                (8, item(2)),
            ];

            let tally = send(&server, &name, mode, &items).await;

            assert_eq!((tally.accepted, tally.skipped, tally.refused.len()), (3, 0, 1));
            let refusal = &tally.refused[0];
            assert_eq!(
                (refusal.offset, refusal.reason.as_str(), refusal.field.as_str()),
                (7, "INVALID_FIELD", "id")
            );
            assert_eq!(server.user(&format!("{name}-0")).await.name, "");
        }
    }

    async fn a_user_twice_is_found_across_batches_and_streams(server: TestServer) {
        let mut import = server.import("twice", Upsert).await;
        import.send(0, &user_item(&json!({"id": "ada"}))).await;
        committed(&mut import, 0).await;
        import.send(1, &user_item(&json!({"id": "ada", "name": "again"}))).await;
        assert_eq!(import.finish().await.refused.len(), 1);

        let tally = send(&server, "twice", Upsert, &[(2, json!({"id": "ada"}))]).await;
        assert_eq!(tally.refused.iter().map(|refusal| refusal.offset).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(server.user("ada").await.version, 1);
    }

    async fn a_repeated_import_passes_over_what_is_committed(server: TestServer) {
        let items = people(0..50);
        let first = send(&server, "once", Upsert, &items).await;
        let second = send(&server, "once", Upsert, &items).await;

        assert_eq!(first, Tally { committed_offset: Some(49), accepted: 50, ..Tally::default() });
        assert_eq!(second, first, "the sum over one stream is the sum over the whole import");
        assert!(
            server.read(&ids(0..50)).await.iter().all(|user| user.version == 1),
            "nothing is stored again"
        );
    }

    async fn an_interrupted_import_goes_on_behind_what_is_committed(server: TestServer) {
        let mut import = server.import("resumed", Upsert).await;
        for (offset, item) in people(0..30) {
            import.send(offset, &user_item(&item)).await;
        }
        committed(&mut import, 29).await;
        drop(import);

        let tally = send(&server, "resumed", Upsert, &people(20..60)).await;

        assert_eq!(tally, Tally { committed_offset: Some(59), accepted: 60, ..Tally::default() });
        assert!(server.read(&ids(0..60)).await.iter().all(|user| user.version == 1));
    }

    async fn the_first_acknowledgement_tells_where_to_go_on(server: TestServer) {
        let fresh = server.import("told", Upsert).await;
        assert_eq!(*fresh.tally(), Tally::default(), "nothing yet");
        drop(fresh);
        send(&server, "told", Upsert, &[(5, json!({"id": "a"})), (17, json!({"id": "b"}))]).await;

        let again = server.import("told", Upsert).await;
        assert_eq!((again.tally().committed_offset, again.tally().accepted), (Some(17), 2));
    }

    async fn refusals_are_told_again_when_an_import_is_resumed(server: TestServer) {
        let bad = |offset| (offset, json!({"id": format!("no id {offset}")}));
        let first =
            send(&server, "refusals", Upsert, &[bad(0), (1, json!({"id": "ok"})), bad(2), bad(9)]).await;
        assert_eq!(first.refused.len(), 3);

        let second = send(&server, "refusals", Upsert, &[bad(10)]).await;

        assert_eq!(second.refused[..3], first.refused[..]);
        assert_eq!(second.refused.iter().map(|refusal| refusal.offset).collect::<Vec<_>>(), [0, 2, 9, 10]);
    }

    async fn thousands_of_refusals_are_told_and_told_again(server: TestServer) {
        let bad: Vec<_> = (0..3_500).map(|offset| (offset, json!({"id": ""}))).collect();
        let first = send(&server, "many", Upsert, &bad).await;
        assert_eq!(first.refused.len(), 3_500);
        let second = send(&server, "many", Upsert, &[]).await;
        assert_eq!(second, first);
    }

    async fn an_import_keeps_its_mode(server: TestServer) {
        send(&server, "mode", Insert, &people(0..2)).await;
        let other = server.try_import("mode", Upsert).await.map(|_| Response::new(()));
        other.refused(Code::AlreadyExists, "REQUEST_ID_REUSED");
        let same = send(&server, "mode", Insert, &people(2..3)).await;
        assert_eq!(same.accepted, 3);
    }

    async fn an_import_keeps_its_content(server: TestServer) {
        let start = |content: &str| pb::ImportStart {
            import_id: "content".to_owned(),
            content_sha256: content.to_owned(),
            ..Default::default()
        };
        let begin = async |content: &str| server.try_import_as(start(content)).await;
        let (one, other) = ("0a".repeat(32), "1b".repeat(32));

        // Begun without, as a stream is; the first content that is known is kept.
        send(&server, "content", Upsert, &people(0..2)).await;
        begin(&one).await.unwrap().finish().await;
        let refused = begin(&other).await.map(|_| Response::new(()));
        let refused = refused.refused(Code::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(refused.message(), "the import was begun with other content; choose another import id");

        let mut import = begin(&one.to_uppercase()).await.unwrap();
        import.send(7, &user_item(&json!({"id": "more"}))).await;
        assert_eq!(import.finish().await.accepted, 3, "the same content goes on");
        assert_eq!(begin("").await.unwrap().finish().await.accepted, 3, "so does one that is not known");
    }

    async fn an_import_whose_content_has_changed_stores_nothing(server: TestServer) {
        let start = |content: String| pb::ImportStart {
            import_id: "changed".to_owned(),
            content_sha256: content,
            ..Default::default()
        };
        server.try_import_as(start("0a".repeat(32))).await.unwrap().finish().await;
        let mut import = server.open_import().await.unwrap();
        import.send_step(Step::Start(start("0b".repeat(32)))).await;
        import.send(0, &user_item(&json!({"id": "ada"}))).await;
        let refused = Err::<Response<()>, _>(import.failed().await);
        refused.refused(Code::AlreadyExists, "REQUEST_ID_REUSED");
        assert!(server.read(&["ada".to_owned()]).await.is_empty());
    }

    async fn a_content_hash_is_64_hexadecimal_digits(server: TestServer) {
        for wrong in ["0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"\u{e9}".repeat(32), "\0"] {
            let start = pb::ImportStart {
                import_id: "wrong".to_owned(),
                content_sha256: wrong.to_owned(),
                ..Default::default()
            };
            let refused = server.try_import_as(start).await.map(|_| Response::new(()));
            let refused = refused.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&refused), ["start.content_sha256"], "{wrong:?}");
        }
    }

    async fn large_imports_are_stored_in_order_and_acknowledged_on_the_way(server: TestServer) {
        let ids = user_ids("u", 5_000);
        let mut import = server.import("large", Upsert).await;
        let mut acknowledged = 0;
        let items =
            ids.iter().enumerate().map(|(at, id)| (i64::try_from(at).unwrap(), json!({"id": id, "n": at})));
        for (offset, item) in items {
            import.send(offset, &user_item(&item)).await;
            if offset % 1_000 == 999 {
                committed(&mut import, offset).await;
                acknowledged += 1;
            }
        }
        assert_eq!(acknowledged, 5);
        assert_eq!(import.finish().await.accepted, 5_000);
        let request = pb::QueryUsersRequest { limit: 1, with_total: true, ..Default::default() };
        assert_eq!(server.users().query_users(request).await.answered().total, Some(5_000));
        assert_eq!(server.read(&ids).await.len(), 5_000);
    }

    async fn imported_users_and_tasks_get_along(server: TestServer) {
        let users = ids(0..200);
        send(&server, "one", Upsert, &people(0..200)).await;
        let task = server.deactivate_all(&users).await;
        let tally = send(&server, "two", Upsert, &people(0..200)).await;
        server.completed(&task).await;
        // Each user was replaced before it was deactivated, or refused after.
        assert_eq!(tally.accepted + i64::try_from(tally.refused.len()).unwrap(), 200);
        assert!(tally.refused.iter().all(|refusal| refusal.reason == "USER_DEACTIVATED"));
        let versions: i64 = server.read(&users).await.iter().map(|user| user.version).sum();
        assert_eq!(versions, 400 + tally.accepted);
    }
}
