//! `DeleteUsers`: gone at once, and then done with as asked.

use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, Place, TestServer, each_backend, eventually, fields_of, item, on_postgres, pb,
    user, user_ids,
};

const TIME: &str = "2024-05-01T12:00:00Z";

/// A deletion with nothing said.
fn deletion(ids: &[&str]) -> pb::DeleteUsersRequest {
    pb::DeleteUsersRequest {
        user_ids: ids.iter().map(ToString::to_string).collect(),
        ..pb::DeleteUsersRequest::default()
    }
}

/// A deletion without a trace.
fn hard(ids: &[&str]) -> pb::DeleteUsersRequest {
    let hard = pb::DeleteMode::Hard.into();
    pb::DeleteUsersRequest { user: hard, messages: hard, conversations: hard, calls: hard, ..deletion(ids) }
}

async fn delete(caller: &Caller, request: pb::DeleteUsersRequest) -> pb::Task {
    let task = caller.users().delete_users(request).await.answered().task.unwrap();
    caller.completed(&task).await
}

async fn outcomes(caller: &Caller, task: &pb::Task) -> Vec<(pb::ItemOutcome, String)> {
    let items = caller.items(&task.task_id).await;
    items.into_iter().map(|item| (item.outcome(), item.reason)).collect()
}

async fn channel(caller: &Caller, id: &str) -> Option<pb::Channel> {
    let request = pb::GetChannelRequest { cid: format!("messaging:{id}"), ..Default::default() };
    caller.content().get_channel(request).await.ok().and_then(|found| found.into_inner().channel)
}

async fn messages(caller: &Caller, channel: &str) -> Vec<pb::Message> {
    let cid = format!("messaging:{channel}");
    let request = pb::ListMessagesRequest { cid, include_deleted: true, ..Default::default() };
    caller.content().list_messages(request).await.answered().messages
}

fn message(id: &str, channel: &str, user: &str) -> Value {
    item(
        "message",
        json!({"id": id, "channel_type": "messaging", "channel_id": channel, "user": user,
            "text": format!("text of {id}"), "attachments": [{"type": "file", "title": "x"}],
            "created_at": TIME, "mood": "good"}),
    )
}

fn members(channel: &str, users: &[&str]) -> Vec<Value> {
    let channel_item = item(
        "channel",
        json!({"type": "messaging", "id": channel, "created_by": users[0], "created_at": TIME}),
    );
    let member = |user: &&str| {
        let member = json!({"channel_type": "messaging", "channel_id": channel, "user_id": user,
            "created_at": TIME});
        item("member", member)
    };
    std::iter::once(channel_item).chain(users.iter().map(member)).collect()
}

/// `ada` and `bob` have a conversation; with `eve` they are a group.
fn world() -> Vec<Value> {
    let mut items: Vec<Value> = ["ada", "bob", "eve"].map(|id| item("user", json!({"id": id}))).to_vec();
    items.extend(members("pair", &["ada", "bob"]));
    items.extend(members("group", &["ada", "bob", "eve"]));
    items.extend([
        message("a-pair", "pair", "ada"),
        message("b-pair", "pair", "bob"),
        message("a-group", "group", "ada"),
        message("b-group", "group", "bob"),
        item(
            "reaction",
            json!({"message_id": "b-group", "type": "like", "user_id": "ada", "created_at": TIME}),
        ),
        item(
            "reaction",
            json!({"message_id": "a-group", "type": "like", "user_id": "bob", "created_at": TIME}),
        ),
    ]);
    items
}

each_backend! {
    async fn users_are_gone_when_the_call_returns(server: TestServer) {
        server.seed(&["ada".to_owned(), "bob".to_owned()]).await;
        let token = server.user_token("ada").await;
        let task = server.users().delete_users(deletion(&["ada"])).await.answered().task.unwrap();

        let found = server.users().query_users(pb::QueryUsersRequest::default()).await.answered().users;
        assert_eq!(found.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ["bob"]);
        let request = pb::VerifyTokenRequest { token: token.clone() };
        assert_eq!(server.tokens().verify_token(request).await.answered().reason, "USER_DELETED");
        let request = pb::ConnectUserRequest { token, ..Default::default() };
        server.users().connect_user(request).await.refused(Code::Unauthenticated, "USER_DELETED");
        let request = pb::UpsertUsersRequest { users: vec![user("ada")] };
        server.users().upsert_users(request).await.refused(Code::FailedPrecondition, "USER_DELETED");
        server.completed(&task).await;
        assert!(server.user("ada").await.deleted_at.is_some());
    }

    async fn soft_marks_what_the_user_made_and_keeps_all_of_it(server: TestServer) {
        server.imported("world", &world()).await;
        let task = delete(&server, deletion(&["ada", "nobody", "a b"])).await;
        assert_eq!(task.kind, "delete_users");
        assert_eq!((task.users_total, task.users_done, task.users_failed), (3, 3, 2));
        let outcomes = outcomes(&server, &task).await;
        assert_eq!(outcomes, [
            (pb::ItemOutcome::Done, String::new()),
            (pb::ItemOutcome::Failed, "USER_NOT_FOUND".to_owned()),
            (pb::ItemOutcome::Failed, "INVALID_FIELD".to_owned()),
        ]);
        let group = messages(&server, "group").await;
        let told: Vec<(&str, bool, &str, &str)> = group
            .iter()
            .map(|one| (one.id.as_str(), one.deleted_at.is_some(), one.text.as_str(), one.r#type.as_str()))
            .collect();
        assert_eq!(told, [
            ("a-group", true, "text of a-group", "deleted"),
            ("b-group", false, "text of b-group", "regular"),
        ]);
        assert_eq!(group[1].reaction_counts.len(), 1, "reactions stay");
        assert!(channel(&server, "pair").await.unwrap().deleted_at.is_some(), "a conversation");
        assert!(channel(&server, "group").await.unwrap().deleted_at.is_none(), "no conversation");
    }

    async fn hard_leaves_no_trace_and_frees_the_id(server: TestServer) {
        server.imported("world", &world()).await;
        let old = server.user_token("ada").await;
        let task = delete(&server, hard(&["ada"])).await;
        assert!(channel(&server, "pair").await.is_none(), "with the peer's messages");
        let group = messages(&server, "group").await;
        assert_eq!(group.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["b-group"]);
        assert!(group[0].reaction_counts.is_empty());
        let group = channel(&server, "group").await.unwrap();
        assert_eq!(group.members_total, 2);
        assert!(group.created_by_id.starts_with("delete-user-"), "{}", group.created_by_id);
        let items = server.items(&task.task_id).await;
        assert!(items[0].user_id.starts_with("erased-"), "{}", items[0].user_id);

        server.upsert(vec![user("ada")]).await;
        let request = pb::VerifyTokenRequest { token: old };
        assert_eq!(server.tokens().verify_token(request).await.answered().reason, "TOKEN_REVOKED");
        let request = pb::VerifyTokenRequest { token: server.user_token("ada").await };
        assert!(server.tokens().verify_token(request).await.answered().valid);
    }

    async fn two_members_of_a_group_deleted_together_do_not_make_it_a_conversation(server: TestServer) {
        server.imported("world", &world()).await;
        delete(&server, hard(&["ada"])).await;
        let group = channel(&server, "group").await.expect("two are left, but there were three");
        assert_eq!(group.members_total, 2);
        server.imported("again", &[item("user", json!({"id": "ada"}))]).await;
        server.imported("members", &members("trio", &["ada", "bob", "eve"])).await;
        delete(&server, hard(&["ada", "bob"])).await;
        assert_eq!(channel(&server, "trio").await.unwrap().members_total, 1);
    }

    async fn a_restored_user_has_everything_back(server: TestServer) {
        server.imported("world", &world()).await;
        delete(&server, deletion(&["ada"])).await;
        let request = pb::RestoreUsersRequest { user_ids: vec!["ada".to_owned(), "bob".to_owned()], ..Default::default() };
        let task = server.users().restore_users(request).await.answered().task.unwrap();
        let task = server.completed(&task).await;
        assert_eq!(outcomes(&server, &task).await, [
            (pb::ItemOutcome::Done, String::new()),
            (pb::ItemOutcome::Failed, "USER_NOT_DELETED".to_owned()),
        ]);
        assert!(server.user("ada").await.deleted_at.is_none());
        let group = messages(&server, "group").await;
        assert!(group.iter().all(|one| one.deleted_at.is_none() && one.r#type == "regular"));
        assert!(channel(&server, "pair").await.unwrap().deleted_at.is_none());
    }

    async fn a_conversation_marked_by_two_deletions_is_live_again_only_when_both_are_undone(server: TestServer) {
        server.imported("world", &world()).await;
        delete(&server, deletion(&["ada"])).await;
        delete(&server, deletion(&["bob"])).await;
        for (user, is_live) in [("ada", false), ("bob", true)] {
            let request = pb::RestoreUsersRequest { user_ids: vec![user.to_owned()], ..Default::default() };
            let task = server.users().restore_users(request).await.answered().task.unwrap();
            server.completed(&task).await;
            assert_eq!(channel(&server, "pair").await.unwrap().deleted_at.is_none(), is_live);
        }
    }

    async fn a_dry_run_counts_and_changes_nothing(server: TestServer) {
        server.imported("world", &world()).await;
        let request = pb::DeleteUsersRequest { dry_run: true, ..hard(&["ada", "nobody"]) };
        let response = server.users().delete_users(request).await.answered();
        assert!(response.task.is_none());
        let preview = response.preview.unwrap();
        assert_eq!((preview.users, preview.users_unchanged, preview.users_failed), (1, 0, 1));
        let mut rows: Vec<(String, i64)> = preview.rows.into_iter().collect();
        rows.sort();
        let expected = [("channel_members", 3), ("channels", 1), ("messages", 3), ("reactions", 2)];
        assert_eq!(rows, expected.map(|(name, number)| (name.to_owned(), number)));
        assert!(server.user("ada").await.deleted_at.is_none());
        assert_eq!(messages(&server, "group").await.len(), 2);
    }

    async fn a_request_that_breaks_the_rules_is_refused_with_every_field(server: TestServer) {
        let soft = pb::DeleteMode::Soft.into();
        let request = pb::DeleteUsersRequest {
            user: pb::DeleteMode::Hard.into(),
            messages: soft,
            calls: pb::DeleteMode::Pruning.into(),
            activities: 77,
            new_channel_owner_id: "ada".to_owned(),
            new_call_owner_id: "a b".to_owned(),
            ..deletion(&["ada"])
        };
        let status = server.users().delete_users(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        let mut fields = fields_of(&status);
        fields.sort();
        let expected = ["activities", "calls", "conversations", "messages", "new_call_owner_id", "new_channel_owner_id", "user"];
        assert_eq!(fields, expected);
    }

    async fn content_that_is_looked_at_for_nothing_is_cut_into_batches_too(server: TestServer) {
        let server = server.restart_with(&["--task-batch", "10"]).await;
        let mut items = vec![item("user", json!({"id": "ada"}))];
        items.extend(members("all", &["ada"]));
        items.extend((0..40).map(|number| {
            item("message", json!({"id": format!("m{number}"), "channel_type": "messaging",
                "channel_id": "all", "user": "ada", "type": "deleted", "created_at": TIME, "deleted_at": TIME}))
        }));
        server.imported("world", &items).await;
        let task = delete(&server, deletion(&["ada"])).await;
        // Each batch raises the revision; accepting, taking up and ending the task are three more.
        assert!(task.revision >= 3 + 4, "one batch for all: {task:?}");
    }

    async fn a_cancelled_deletion_gives_back_whom_it_had_not_begun(server: TestServer) {
        let ids = user_ids("u", 30);
        server.seed(&ids).await;
        let some: Vec<&str> = ids.iter().map(String::as_str).collect();
        let server = server.restart_with(&["--workers", "0"]).await;
        let task = server.users().delete_users(hard(&some)).await.answered().task.unwrap();
        let request = pb::CancelTaskRequest { task_id: task.task_id.clone() };
        let task = server.tasks().cancel_task(request).await.answered().task.unwrap();
        assert_eq!(task.state(), pb::TaskState::Cancelled);
        let users = server.read(&ids).await;
        assert!(users.iter().all(|user| user.deleted_at.is_none()));
        server.upsert(vec![user(&ids[0])]).await;
        let items = server.items(&task.task_id).await;
        assert!(items.iter().all(|item| item.outcome() == pb::ItemOutcome::Cancelled));
    }
}

/// How many of `messages` were read, or their places in an index, since the database was made; waits until
/// nobody is connected, since counts are told at the end.
async fn messages_read(backend: &Backend, place: &Place) -> i64 {
    let others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    eventually("nobody else", async || backend.select(place, others).await.is_empty().then_some(())).await;
    let read = "SELECT (max(t.seq_tup_read) + sum(i.idx_tup_read))::bigint AS read FROM pg_stat_user_tables t \
                JOIN pg_stat_user_indexes i USING (relid) WHERE t.relname = 'messages'";
    let row: Value = serde_json::from_str(&backend.select(place, read).await[0]).unwrap();
    row["read"].as_i64().unwrap()
}

on_postgres! {
    async fn users_without_content_are_deleted_without_reading_what_others_made(backend: Backend) {
        const MESSAGES: i64 = 20_000;
        let flags = ["--task-batch", "50"];
        let server = backend.start_with(&flags).await;
        let place = server.place().clone();
        let ids = user_ids("idle", 400);
        server.seed(&ids).await;
        let mut items = vec![item("user", json!({"id": "author"}))];
        items.extend(members("all", &["author"]));
        server.imported("world", &items).await;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let insert = format!("INSERT INTO messages (app_id, id, channel_type, channel_id, user_id, type, text, \
            show_in_channel, attachments, custom, created_at) SELECT 1, 'm' || n, 'messaging', 'all', 'author', \
            'regular', 'hello', false, '[]', '{{}}', 1 FROM generate_series(1, {MESSAGES}) n");

        // One author has all messages that there are: somebody else's are sought as if they were found soon.
        backend.meddle(&place, &insert).await;
        backend.meddle(&place, "ANALYZE").await;
        assert_eq!(delete(&server, deletion(&ids[..200])).await.users_done, 200);
        server.stop().await;
        let read = messages_read(&backend, &place).await;
        assert!(read < MESSAGES, "{read} of {MESSAGES} were read for users who have none");

        // All are removed, and not vacuumed: there are none, for all that is known.
        backend.meddle(&place, "DELETE FROM messages").await;
        backend.meddle(&place, "ANALYZE").await;
        let before = messages_read(&backend, &place).await;
        let server = backend.start_with(&flags).await;
        assert_eq!(delete(&server, deletion(&ids[200..])).await.users_done, 200);
        server.stop().await;
        let read = messages_read(&backend, &place).await - before;
        assert!(read < MESSAGES, "{read} of {MESSAGES} removed ones were read");
    }
}
