//! `ImportContent`: what is stored stays where it is and by whom it is, and nothing reaches into another channel.

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use serde_json::json;

use super::import_content::with;
use super::import_kinds::one_of_each;
use crate::harness::{
    Answer, Backend, Caller, TestServer, aside, each_backend, eventually, item, on_postgres, pb,
};

each_backend! {
    async fn a_reply_is_in_the_channel_of_its_parent(server: TestServer) {
        server.imported("before", &one_of_each()).await;
        let other = json!({"channel_id": null, "channel_member_ids": ["ada", "bob"]});
        let reply = |id: &str, parent: &str| {
            let mut fields = other.clone();
            (fields["id"], fields["parent_id"]) = (json!(id), json!(parent));
            with("message", &fields)
        };
        let mut quote = other.clone();
        (quote["id"], quote["quoted_message_id"]) = (json!("quote"), json!("m1"));
        // To a message that is stored, to one that comes with it, and to one in the same channel.
        let items = [
            reply("stored", "m1"),
            with("message", &json!({"id": "here"})),
            reply("new", "here"),
            reply("good", "m3"),
            with("message", &quote),
        ];
        let tally = server.import_items("replies", &items).await;
        assert_eq!(tally.refusals(), [(0, "INVALID_FIELD", "parent_id"), (2, "INVALID_FIELD", "parent_id")]);
        assert_eq!(tally.accepted, 3);
    }

    async fn an_import_moves_nothing_that_is_stored(server: TestServer) {
        server.imported("before", &one_of_each()).await;
        let second = [
            item("channel", json!({"type": "messaging", "id": "second", "created_by": "ada"})),
            item("channel", json!({"type": "team", "id": "general", "created_by": "ada"})),
            with("activity", &json!({"id": "a2"})),
        ];
        server.imported("second", &second).await;
        let before = server.backend().dump(server.place()).await;
        let kept = ["messages", "activities", "comments", "feeds", "named_users", "activity_feeds"];
        let cases = [
            ("message", json!({"id": "m1", "channel_id": "second"}), "channel_id", ""),
            ("message", json!({"id": "m1", "channel_type": "team"}), "channel_type", ""),
            (
                "message",
                json!({"id": "m1", "channel_id": null, "channel_member_ids": ["ada", "bob"]}),
                "channel_member_ids",
                "",
            ),
            ("message", json!({"id": "m1", "user": "bob"}), "user", ""),
            ("message", json!({"id": "m1", "channel_id": "second", "user": "bob"}), "channel_id", "; user: "),
            ("activity", json!({"id": "a1", "user_id": "bob"}), "user_id", ""),
            ("comment", json!({"id": "c1", "object_id": "a2", "user_id": "bob"}), "object_id", ""),
            ("comment", json!({"id": "c1", "user_id": "eve"}), "user_id", ""),
            ("comment", json!({"id": "c1", "object_id": "a2", "user_id": "eve"}), "object_id", "; user_id: "),
            ("feed", json!({"id": "ada", "fid": "user:ada", "created_by_id": "bob"}), "created_by_id", ""),
        ];
        for (number, (kind, changes, field, also)) in cases.into_iter().enumerate() {
            let tally = server.import_items(&format!("case-{number}"), &[with(kind, &changes)]).await;
            assert_eq!(tally.refusals(), [(0, "IMMUTABLE_FIELD", field)], "{kind} {changes}");
            assert!(tally.refused[0].message.contains(also), "{:?}", tally.refused);
        }
        let after = server.backend().dump(server.place()).await;
        for table in kept {
            assert_eq!(before[table], after[table], "{table}");
        }
        // In the other mode it is passed over like whatever exists.
        let mut import = server.import("insert", pb::ImportMode::Insert).await;
        import.send_all(&[with("message", &json!({"id": "m1", "channel_id": "second", "user": "bob"}))]).await;
        assert_eq!(import.finish().await.skipped, 1);
    }

    async fn the_owner_of_a_channel_or_call_may_change(server: TestServer) {
        server.imported("before", &one_of_each()).await;
        let items = [
            with("channel", &json!({"id": "general", "created_by": "bob"})),
            with("call", &json!({"id": "c1", "created_by": "ada"})),
            with("call", &json!({"id": "c1", "created_by": "bob"})),
        ];
        server.imported("one", &items[..2]).await;
        server.imported("two", &items[2..]).await;
        let request = pb::GetCallRequest { cid: "default:c1".to_owned(), ..Default::default() };
        let call = server.content().get_call(request).await.answered().call.unwrap();
        assert_eq!(call.created_by_id, "bob");
    }
}

on_postgres! {
    async fn an_item_whose_channel_goes_at_the_same_time_is_refused(backend: Backend) {
        let server = backend.start().await;
        server.imported("before", &one_of_each()).await;
        server.imported("channel", &[with("channel", &json!({"id": "going"}))]).await;
        let place = server.place().clone();
        let mut options = ConnectOptions::new(place.url.clone().unwrap());
        options.max_connections(1);
        let other = Database::connect(options).await.unwrap();
        other.execute_unprepared("BEGIN; DELETE FROM channels WHERE id = 'going'").await.unwrap();
        let caller = Caller::clone(&server);
        let late = aside(async move {
            caller.import_items("late", &[with("message", &json!({"channel_id": "going"}))]).await
        });
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'INSERT INTO \"messages\"%' \
                       AND wait_event_type = 'Lock' AND datname = current_database()";
        let waits = async || (!backend.select(&place, waiting).await.is_empty()).then_some(());
        eventually("a message that waits for the channel", waits).await;
        other.execute_unprepared("COMMIT").await.unwrap();
        assert_eq!(late.await.unwrap().refusals(), [(0, "CHANNEL_NOT_FOUND", "channel_id")]);
        other.close().await.unwrap();
    }
}
