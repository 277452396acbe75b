//! `ImportContent`: items in any order, items that wait, and imports that stop while some do.

use proptest::prelude::{Just, Strategy as _};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::import_kinds::{one_of_each, people};
use crate::harness::{Backend, Caller, Tally, TestServer, each_backend, item, on_postgres, pb, user_item};

const TIME: &str = "2024-05-01T12:00:00Z";
/// Everything that content is in, with what tells rows apart first.
const TABLES: [(&str, &str); 17] = [
    ("users", "id, name, role"),
    ("channels", "type, id, created_by_id, team, is_distinct, created_at"),
    ("channel_members", "channel_type, channel_id, user_id, role, created_at"),
    ("messages", "id, channel_type, channel_id, user_id, type, text, parent_id, created_at"),
    ("reactions", "message_id, user_id, type, created_at"),
    ("devices", "user_id, id, push_provider_type, created_at"),
    ("future_channel_bans", "created_by_id, target_id, created_at"),
    ("feeds", "group_id, id, created_by_id, created_at"),
    ("activities", "id, type, user_id, created_at"),
    ("activity_feeds", "activity_id, group_id, feed_id, position"),
    ("comments", "id, activity_id, user_id, text, parent_id, created_at"),
    ("feed_reactions", "activity_id, comment_id, user_id, type, created_at"),
    ("follows", "source_group, source_id, target_group, target_id, status, created_at"),
    ("flags", "entity_type, entity_id, user_id, created_at"),
    ("calls", "type, id, created_by_id, created_at"),
    ("call_members", "call_type, call_id, user_id, role, created_at"),
    ("named_users", "owner_kind, owner_id, naming, user_id, position"),
];

/// All content of an app, in an order of its own. Distinct channels have other names in other apps.
async fn everything(server: &TestServer, app: usize) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (table, columns) in TABLES {
        let sql = format!("SELECT {columns} FROM {table} WHERE app_id = {app}");
        let rows = server.backend().select(server.place(), &sql).await;
        let mut rows: Vec<_> = rows.iter().map(|row| without_names(row)).collect();
        rows.sort();
        found.push(rows);
    }
    found
}

fn without_names(row: &str) -> String {
    let mut parts = row.split("!members-");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        text + "!members" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

async fn waiting_rows(server: &TestServer) -> usize {
    server.backend().select(server.place(), "SELECT item_offset, needs FROM import_waiting").await.len()
}

fn message(id: &str, channel: &str) -> Value {
    item(
        "message",
        json!({"id": id, "channel_type": "messaging", "channel_id": channel, "user": "ada", "created_at": TIME}),
    )
}

fn channel(id: &str) -> Value {
    item("channel", json!({"type": "messaging", "id": id, "created_by": "ada", "created_at": TIME}))
}

/// Sends items one by one, each a batch of its own.
async fn one_by_one(caller: &Caller, import_id: &str, items: &[Value]) -> Tally {
    let mut import = caller.import(import_id, pb::ImportMode::Upsert).await;
    for (offset, item) in items.iter().enumerate() {
        let offset = i64::try_from(offset).unwrap();
        import.send(offset, item.to_string().as_bytes()).await;
        import.committed(offset).await;
    }
    import.finish().await
}

each_backend! {
    async fn any_order_and_any_batches_end_in_the_same_database(server: TestServer) {
        let items = one_of_each();
        server.imported("first", &items).await;
        let expected = everything(&server, 1).await;
        assert!(expected.iter().all(|rows| !rows.is_empty()), "{expected:?}");
        let mut runner = TestRunner::deterministic();
        for round in 0..4 {
            // In reverse at first, then at random.
            let mut shuffled: Vec<_> = items.iter().rev().cloned().collect();
            if round > 1 {
                shuffled = Just(shuffled).prop_shuffle().new_tree(&mut runner).unwrap().current();
            }
            let app = server.backend().create_app(&format!("round-{round}"), server.place()).await;
            let caller = server.of_app(app);
            let tally = if round % 2 == 0 {
                caller.import_items("shuffled", &shuffled).await
            } else {
                one_by_one(&caller, "shuffled", &shuffled).await
            };
            assert_eq!((tally.refusals(), tally.waiting), (vec![], 0), "round {round}: {shuffled:?}");
            assert_eq!(everything(&server, round + 2).await, expected, "round {round}: {shuffled:?}");
        }
        assert_eq!(waiting_rows(&server).await, 0);
    }

    async fn an_item_waits_for_what_it_refers_to_and_is_counted_when_that_comes(server: TestServer) {
        server.imported("people", &people()).await;
        let mut import = server.import("waiting", pb::ImportMode::Upsert).await;
        import.send(0, message("m", "late").to_string().as_bytes()).await;
        import.committed(0).await;
        assert_eq!((import.tally().accepted, import.tally().waiting), (0, 1));
        import.send(1, channel("late").to_string().as_bytes()).await;
        import.committed(1).await;
        assert_eq!((import.tally().accepted, import.tally().waiting), (2, 0));
        import.finish().await;
    }

    async fn what_still_waits_at_the_end_is_refused_and_nothing_of_it_stored(server: TestServer) {
        server.imported("people", &people()).await;
        let items = [message("m1", "nowhere"), channel("here"), message("m2", "here"),
            item("reaction", json!({"message_id": "m1", "type": "like", "user_id": "bob", "created_at": TIME}))];
        let tally = one_by_one(&server, "end", &items).await;
        assert_eq!(
            tally.refusals(),
            [(0, "CHANNEL_NOT_FOUND", "channel_id"), (3, "MESSAGE_NOT_FOUND", "message_id")]
        );
        assert_eq!((tally.accepted, tally.waiting, waiting_rows(&server).await), (2, 0, 0));

        let again = server.import("end", pb::ImportMode::Upsert).await.finish().await;
        assert_eq!(again, tally, "an ended import tells the same again");
    }

    async fn an_import_that_is_broken_off_goes_on_with_what_waits(server: TestServer) {
        server.imported("people", &people()).await;
        let mut import = server.import("broken", pb::ImportMode::Upsert).await;
        import.send(0, message("m1", "late").to_string().as_bytes()).await;
        import.send(1, message("m2", "never").to_string().as_bytes()).await;
        import.committed(1).await;
        import.abandon();
        let server = server.restart().await;

        let mut import = server.import("broken", pb::ImportMode::Upsert).await;
        assert_eq!((import.tally().committed_offset, import.tally().waiting), (Some(1), 2));
        import.send(2, channel("late").to_string().as_bytes()).await;
        let tally = import.finish().await;

        assert_eq!(tally.refusals(), [(1, "CHANNEL_NOT_FOUND", "channel_id")]);
        assert_eq!((tally.accepted, tally.committed_offset), (2, Some(2)));
    }

    async fn what_others_have_stored_meanwhile_is_found_at_the_end(server: TestServer) {
        server.imported("people", &people()).await;
        let mut import = server.import("one", pb::ImportMode::Upsert).await;
        import.send(0, message("m", "theirs").to_string().as_bytes()).await;
        import.committed(0).await;
        server.imported("two", &[channel("theirs")]).await;
        assert_eq!(import.finish().await.accepted, 1);
    }

    async fn an_item_twice_is_refused_also_while_the_first_one_waits(server: TestServer) {
        server.imported("people", &people()).await;
        let items = [message("m", "late"), channel("early"), message("m", "early"), channel("late"), channel("late")];
        let tally = one_by_one(&server, "twice", &items).await;
        assert_eq!(tally.refusals(), [(2, "INVALID_FIELD", "id"), (4, "INVALID_FIELD", "")]);
        assert_eq!(tally.accepted, 3);
    }

    async fn an_item_waits_ten_thousand_items_and_no_longer(server: TestServer) {
        server.imported("people", &people()).await;
        let reaction = item("reaction", json!({"message_id": "m", "type": "like", "user_id": "bob",
            "created_at": TIME}));
        let mut import = server.import("window", pb::ImportMode::Upsert).await;
        import.send(0, channel("c").to_string().as_bytes()).await;
        import.send(1, message("early", "too-late").to_string().as_bytes()).await;
        import.committed(1).await;
        import.send(2, reaction.to_string().as_bytes()).await;
        // Items that are refused count as well.
        for offset in 3..10_001 {
            import.send(offset, b"{}").await;
        }
        import.committed(10_000).await;
        assert_eq!((import.tally().refused.len(), import.tally().waiting), (9_998, 2));
        import.send(10_001, &user_item(&json!({"id": "u"}))).await;
        import.committed(10_001).await;
        let refused = import.tally().refusals().last().copied();
        assert_eq!(refused, Some((1, "CHANNEL_NOT_FOUND", "channel_id")));
        // The message is the last item that the reaction waits for.
        import.send(10_002, message("m", "c").to_string().as_bytes()).await;
        import.committed(10_002).await;
        assert_eq!((import.tally().waiting, import.tally().accepted), (0, 4));
        assert_eq!(import.finish().await.refused.len(), 9_999);
    }

    async fn not_too_many_bytes_wait(server: TestServer) {
        server.imported("people", &people()).await;
        let mut import = server.import("bytes", pb::ImportMode::Upsert).await;
        let text = "x".repeat(250 * 1024);
        for offset in 0..90 {
            let mut message = message(&format!("m{offset}"), "nowhere");
            message["item"]["text"] = json!(text);
            import.send(offset, message.to_string().as_bytes()).await;
        }
        import.committed(89).await;
        let waiting = import.tally().waiting;
        assert!((25..=75).contains(&waiting), "{waiting} items of 250 KiB wait");
        assert_eq!(import.tally().refused.len(), usize::try_from(90 - waiting).unwrap());
        assert_eq!(import.finish().await.refused.len(), 90);
    }

    async fn chains_of_waiting_items_resolve_at_once(server: TestServer) {
        let mut items: Vec<_> = (0..120)
            .map(|number| {
                let parent = (number < 119).then(|| format!("c{}", number + 1));
                item("comment", json!({"id": format!("c{number}"), "object_type": "activity", "object_id": "a",
                    "user_id": "ada", "text": "t", "parent_id": parent, "created_at": TIME}))
            })
            .collect();
        items.extend([
            item("activity", json!({"id": "a", "type": "post", "user_id": "ada", "fids": ["user:ada"]})),
            item("user", json!({"id": "ada"})),
            item("feed", json!({"group_id": "user", "id": "ada", "fid": "user:ada", "created_by_id": "ada"})),
        ]);
        let tally = one_by_one(&server, "chain", &items).await;
        assert_eq!((tally.refusals(), tally.accepted), (vec![], 123));
    }
}

on_postgres! {
    async fn two_imports_on_two_replicas_share_what_they_store(backend: Backend) {
        let (one, two) = (backend.start().await, backend.start().await);
        one.imported("people", &people()).await;
        one.imported("channel", &[channel("c")]).await;
        let load = async |server: &TestServer, name: &str| {
            let mut items: Vec<_> = (0..500).map(|number| message(&format!("m{number}"), "c")).collect();
            if name == "two" {
                items.reverse();
            }
            server.import_items(name, &items).await
        };
        let (first, second) = tokio::join!(load(&one, "one"), load(&two, "two"));
        assert_eq!((first.accepted, second.accepted), (500, 500));
        assert_eq!(everything(&one, 1).await[3].len(), 500);
    }
}
