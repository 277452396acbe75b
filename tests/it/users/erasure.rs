//! A user deleted HARD is nowhere any more: no row names it or holds anything of it, and on SQLite no byte of
//! the files does, by itself and soon.

use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{
    Answer, Backend, Kind, Place, TestServer, each_backend, eventually, item, pb, struct_of, user,
};

/// Stands in every field and related row of the user who is erased, in its id first of all.
const CANARY: &str = "canary-7f3b";
const TIME: &str = "2024-05-01T12:00:00Z";

/// Everything that a user can have and be named in, beside two others.
fn world() -> Vec<Value> {
    let in_channel = |kind: &str, channel: &str, mut fields: Value| {
        fields["channel_type"] = "messaging".into();
        fields["channel_id"] = channel.into();
        fields["created_at"] = TIME.into();
        item(kind, fields)
    };
    let mut items = vec![
        item("user", json!({"id": "bob", "blocked_user_ids": [CANARY]})),
        item("user", json!({"id": "eve"})),
        item(
            "user",
            json!({"id": CANARY, "name": format!("name {CANARY}"), "image": format!("https://x/{CANARY}"),
                "language": CANARY, "teams": [CANARY], "blocked_user_ids": ["bob"],
                "custom": {"text": CANARY, CANARY: {"deep": [CANARY]}}}),
        ),
        item("device", json!({"id": format!("d-{CANARY}"), "user_id": CANARY, "push_provider_type": "apn"})),
        item("future_channel_ban", json!({"target_id": "eve", "created_by": CANARY, "reason": CANARY})),
        item("future_channel_ban", json!({"target_id": CANARY, "created_by": "eve", "reason": CANARY})),
        item("channel", json!({"type": "messaging", "id": "pair", "created_by": CANARY})),
        item("channel", json!({"type": "messaging", "id": "group", "created_by": CANARY})),
        item(
            "feed",
            json!({"group_id": "user", "id": CANARY, "fid": format!("user:{CANARY}"),
            "created_by_id": CANARY, "name": CANARY, "description": CANARY, "custom": {"x": CANARY}}),
        ),
        item("feed", json!({"group_id": "user", "id": "bob", "fid": "user:bob", "created_by_id": "bob"})),
        item("follow", json!({"source_fid": "user:bob", "target_fid": format!("user:{CANARY}")})),
        item(
            "activity",
            json!({"id": "mine", "type": "post", "user_id": CANARY, "text": CANARY,
            "fids": ["user:bob", format!("user:{CANARY}")], "custom": {"x": CANARY}}),
        ),
        item(
            "activity",
            json!({"id": "his", "type": "post", "user_id": "bob", "fids": ["user:bob"],
            "mentioned_user_ids": [CANARY]}),
        ),
        item(
            "comment",
            json!({"id": "on-mine", "object_type": "activity", "object_id": "mine",
            "user_id": "bob", "text": format!("to {CANARY}")}),
        ),
        item(
            "comment",
            json!({"id": "on-his", "object_type": "activity", "object_id": "his",
            "user_id": CANARY, "text": CANARY}),
        ),
        item(
            "reaction",
            json!({"activity_id": "his", "type": "like", "user_id": CANARY,
            "custom": {"x": CANARY}}),
        ),
        item("flag", json!({"entity_type": "user", "entity_id": CANARY, "user_id": "eve"})),
        item("flag", json!({"entity_type": "user", "entity_id": "eve", "user_id": CANARY, "reason": CANARY})),
        item("call", json!({"type": "default", "id": "two", "created_by": CANARY})),
        item("call", json!({"type": "default", "id": "big", "created_by": CANARY})),
    ];
    for user in [CANARY, "bob"] {
        items.push(in_channel("member", "pair", json!({"user_id": user})));
        items.push(item("call_member", json!({"call_type": "default", "call_id": "two", "user_id": user})));
    }
    for user in [CANARY, "bob", "eve"] {
        items.push(in_channel("member", "group", json!({"user_id": user, "custom": {"nick": user}})));
        items.push(item("call_member", json!({"call_type": "default", "call_id": "big", "user_id": user})));
    }
    items.extend([
        in_channel("message", "pair", json!({"id": "p1", "user": "bob", "text": format!("dear {CANARY}")})),
        in_channel(
            "message",
            "group",
            json!({"id": "g1", "user": CANARY, "text": CANARY,
            "attachments": [{"type": "file", "title": CANARY}], "custom": {"x": CANARY}}),
        ),
        in_channel(
            "message",
            "group",
            json!({"id": "g2", "user": "bob", "text": "hello",
            "mentioned_users_ids": [CANARY], "pinned_at": TIME, "pinned_by_id": CANARY}),
        ),
        item(
            "reaction",
            json!({"message_id": "g2", "type": "like", "user_id": CANARY, "created_at": TIME,
            "custom": {"x": CANARY}}),
        ),
    ]);
    items
}

fn hard() -> pb::DeleteUsersRequest {
    let hard = pb::DeleteMode::Hard.into();
    let user_ids = vec![CANARY.to_owned()];
    pb::DeleteUsersRequest {
        user_ids,
        user: hard,
        messages: hard,
        conversations: hard,
        calls: hard,
        ..Default::default()
    }
}

async fn is_clean(backend: &Backend, place: &Place) {
    let is_clean = async || (!backend.holds(place, CANARY).await).then_some(());
    eventually("no byte of the canary", is_clean).await;
}

each_backend! {
    async fn nothing_of_an_erased_user_is_left(server: TestServer) {
        server.imported("world", &world()).await;
        let token = server.user_token(CANARY).await;
        let request = pb::ConnectUserRequest { token, ..Default::default() };
        server.users().connect_user(request).await.answered();
        // Tasks about others, too, about it alone, and one that it asked for.
        let mark = pb::DeactivateUsersRequest {
            user_ids: vec![CANARY.to_owned(), "eve".to_owned()],
            mark_messages_deleted: true,
            mark_channels_deleted: true,
            reason: format!("{CANARY} and (eve) quarrel"),
            request_id: format!("off:{CANARY}"),
            ..Default::default()
        };
        let task = server.users().deactivate_users(mark).await.answered().task.unwrap();
        server.completed(&task).await;
        let alone = pb::ReactivateUsersRequest {
            user_ids: vec![CANARY.to_owned()],
            reason: "words that only the canary knows".to_owned(),
            request_id: "about the canary".to_owned(),
            ..Default::default()
        };
        let alone = server.users().reactivate_users(alone).await.answered().task.unwrap();
        server.completed(&alone).await;
        for id in [CANARY, "bob"] {
            let single = pb::DeactivateUserRequest {
                user_id: id.to_owned(),
                created_by_id: CANARY.to_owned(),
                reason: format!("{CANARY} asked"),
                ..Default::default()
            };
            server.users().deactivate_user(single).await.answered();
        }
        let asked = pb::ReactivateUsersRequest {
            user_ids: vec!["eve".to_owned()],
            created_by_id: CANARY.to_owned(),
            ..Default::default()
        };
        let asked = server.users().reactivate_users(asked).await.answered().task.unwrap();
        server.completed(&asked).await;
        assert!(server.backend().holds(server.place(), CANARY).await, "the canary can be found at all");

        let request = pb::DeleteUsersRequest {
            reason: format!("Ticket 7 of {CANARY}."),
            request_id: format!("erase-{CANARY}"),
            ..hard()
        };
        let erased = server.users().delete_users(request.clone()).await.answered().task.unwrap();
        server.completed(&erased).await;
        is_clean(server.backend(), server.place()).await;
        let pseudonym = server.items(&erased.task_id).await[0].user_id.clone();
        assert!(pseudonym.starts_with("erased-"), "{pseudonym}");
        assert_eq!(server.items(&task.task_id).await[0].user_id, pseudonym);
        let words = async |task: &pb::Task| {
            let task = server.task(&task.task_id).await;
            [task.reason, task.request_id]
        };
        assert_eq!(words(&task).await, [format!("{pseudonym} and (eve) quarrel"), format!("off:{pseudonym}")]);
        assert_eq!(words(&alone).await, ["", ""]);
        assert_eq!(words(&erased).await, [format!("Ticket 7 of {pseudonym}."), format!("erase-{pseudonym}")]);
        let repeated = server.users().delete_users(request.clone()).await.answered().task.unwrap();
        assert_eq!(repeated.task_id, erased.task_id);
        let other = pb::DeleteUsersRequest { reason: "another".to_owned(), ..request };
        server.users().delete_users(other).await.refused(Code::AlreadyExists, "REQUEST_ID_REUSED");
        assert!(server.task(&asked.task_id).await.created_by_id.starts_with("erased-"));

        // What was its stays deleted, and belongs to nobody who can be found.
        let request = pb::GetChannelRequest { cid: "messaging:group".to_owned(), ..Default::default() };
        let group = server.content().get_channel(request).await.answered().channel.unwrap();
        assert!(group.deleted_at.is_some() && group.created_by_id.starts_with("delete-user-"), "{group:?}");
    }

    async fn a_request_that_was_made_about_an_earlier_bearer_of_the_id_hinders_nothing(server: TestServer) {
        server.seed(&["bob".to_owned(), "eve".to_owned()]).await;
        // Only one of the two whom the request's name tells is erased: it is not known again, and made anew.
        let off = || pb::DeactivateUsersRequest {
            user_ids: [CANARY, "bob", "eve"].map(str::to_owned).into(),
            request_id: format!("off:{CANARY}:bob"),
            ..Default::default()
        };
        let mut tasks = Vec::new();
        for _ in 0..2 {
            server.seed(&[CANARY.to_owned()]).await;
            let task = server.users().deactivate_users(off()).await.answered().task.unwrap();
            server.completed(&task).await;
            let erased = server.users().delete_users(hard()).await.answered().task.unwrap();
            server.completed(&erased).await;
            tasks.push(task.task_id);
        }
        is_clean(server.backend(), server.place()).await;
        assert!(server.task(&tasks[0]).await.request_id.starts_with("off:erased-"));
        assert_eq!(server.task(&tasks[1]).await.request_id, "", "another task has that name");
    }

    async fn a_long_reader_keeps_what_is_erased_no_longer_than_it_reads(server: TestServer) {
        server.imported("world", &world()).await;
        let reader = server.backend().reader(server.place()).await;
        let erased = server.users().delete_users(hard()).await.answered().task.unwrap();
        server.completed(&erased).await;
        if server.kind() == Kind::Sqlite {
            assert!(server.backend().holds(server.place(), CANARY).await, "it can still be read");
        }
        reader.close().await.unwrap();
        is_clean(server.backend(), server.place()).await;
    }

    async fn what_a_killed_server_left_in_the_log_goes_when_it_starts(backend: Backend) {
        let launch = backend.launch();
        let server = launch.start().await;
        server.imported("world", &world()).await;
        let reader = backend.reader(launch.place()).await;
        let erased = server.users().delete_users(hard()).await.answered().task.unwrap();
        server.completed(&erased).await;
        server.kill().await;
        reader.close().await.unwrap();
        if backend.kind() == Kind::Sqlite {
            assert!(backend.holds(launch.place(), CANARY).await, "nobody has cleaned it");
        }
        let _server = launch.clone().flag("--workers", "0").start().await;
        is_clean(&backend, launch.place()).await;
    }

    async fn logs_hold_nothing_of_a_user_at_any_level(backend: Backend) {
        let server = backend.launch().flag("--log", "trace").start().await;
        server.imported("world", &world()).await;
        let token = server.user_token(CANARY).await;
        let request = pb::ConnectUserRequest { token: token.clone(), ..Default::default() };
        server.users().connect_user(request).await.answered();
        let filter = Some(struct_of(json!({"name": {"$autocomplete": CANARY}})));
        server.users().query_users(pb::QueryUsersRequest { filter, ..Default::default() }).await.answered();
        server.with_token(&token).users().get_users(pb::GetUsersRequest::default()).await.unwrap_err();
        let request = pb::DeleteUsersRequest {
            reason: CANARY.to_owned(),
            request_id: CANARY.to_owned(),
            created_by_id: CANARY.to_owned(),
            ..hard()
        };
        let erased = server.users().delete_users(request).await.answered().task.unwrap();
        server.completed(&erased).await;
        let log = server.log();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "everything is logged that is: {log}");
        let payload = token.split('.').nth(1).unwrap();
        for secret in [CANARY, payload] {
            assert!(!log.contains(secret), "{secret} is logged");
        }
    }

    async fn content_that_comes_while_a_user_is_erased_is_refused(server: TestServer) {
        server.seed(&[CANARY.to_owned(), "bob".to_owned()]).await;
        let items = [item("channel", json!({"type": "messaging", "id": "c", "created_by": "bob"}))];
        server.imported("channel", &items).await;
        let server = server.restart_with(&["--workers", "0"]).await;
        let task = server.users().delete_users(hard()).await.answered().task.unwrap();
        let message = item("message", json!({"id": "m", "channel_type": "messaging", "channel_id": "c",
            "user": CANARY, "created_at": TIME}));
        let again = item("user", json!({"id": CANARY, "deleted_at": TIME}));
        let tally = server.import_items("late", &[message, again]).await;
        assert_eq!(tally.refusals(), [(0, "USER_DELETED", "user"), (1, "USER_DELETED", "id")]);

        let server = server.restart_with(&[]).await;
        server.completed(&task).await;
        let back = server.upsert(vec![user(CANARY)]).await;
        assert_eq!((back[0].version, back[0].deleted_at), (1, None), "its id is free");
    }
}
