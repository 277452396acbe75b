//! What an erased user shared with others stays theirs and nobody else's: messages that few may see, and
//! channels that are found by naming their members.

use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Answer, Backend, Caller, TestServer, each_backend, item, pb};

const TIME: &str = "2024-05-01T12:00:00Z";

fn people() -> Vec<Value> {
    ["x", "y", "z"].map(|id| item("user", json!({"id": id}))).to_vec()
}

/// A channel of the three, as `channel` names it to other items.
fn channel_of_three(channel: &Value) -> Vec<Value> {
    let mut items = people();
    let mut itself =
        json!({"type": "messaging", "created_by": "x", "banned_users": ["x", "z"], "created_at": TIME});
    match channel["channel_member_ids"].as_array() {
        Some(members) => itself["member_ids"] = json!(members),
        None => itself["id"] = channel["channel_id"].clone(),
    }
    items.push(item("channel", itself));
    items.extend(["x", "y", "z"].map(|id| inside("member", channel, json!({"user_id": id}))));
    items
}

fn inside(kind: &str, channel: &Value, mut fields: Value) -> Value {
    fields.as_object_mut().unwrap().extend(channel.as_object().unwrap().clone());
    fields["channel_type"] = json!("messaging");
    fields["created_at"] = json!(TIME);
    item(kind, fields)
}

fn distinct() -> Value {
    json!({"channel_member_ids": ["z", "x", "y"]})
}

async fn erase(caller: &Caller, id: &str) {
    let hard = pb::DeleteMode::Hard.into();
    let request = pb::DeleteUsersRequest {
        user_ids: vec![id.to_owned()],
        user: hard,
        messages: hard,
        conversations: hard,
        ..Default::default()
    };
    let task = caller.users().delete_users(request).await.answered().task.unwrap();
    caller.completed(&task).await;
}

async fn messages(caller: &Caller, cid: &str) -> Vec<pb::Message> {
    let request = pb::ListMessagesRequest {
        cid: cid.to_owned(),
        include_deleted: true,
        limit: 1_000,
        ..Default::default()
    };
    caller.content().list_messages(request).await.answered().messages
}

async fn restricted(caller: &Caller, id: &str) -> Vec<String> {
    let all = messages(caller, "messaging:c").await;
    all.into_iter().find(|message| message.id == id).expect("the message stays").restricted_visibility
}

fn by_members() -> pb::GetChannelRequest {
    let member_ids = ["x", "y", "z"].map(str::to_owned).to_vec();
    pb::GetChannelRequest { r#type: "messaging".to_owned(), member_ids, ..Default::default() }
}

/// The channel that was the distinct one of x, y and z, by the only name it has now.
async fn ended(server: &TestServer) -> pb::Channel {
    let dump = server.backend().dump(server.place()).await;
    let ids: Vec<&str> = dump["channels"]
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .filter(|id| id.starts_with("!erased-"))
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let request = pb::GetChannelRequest { cid: format!("messaging:{}", ids[0]), ..Default::default() };
    server.content().get_channel(request).await.answered().channel.unwrap()
}

/// Nothing of the old id is left anywhere.
async fn is_nowhere(server: &TestServer, id: &str) {
    for (table, rows) in server.backend().dump(server.place()).await {
        assert!(
            !rows.iter().any(|row| Value::from(row.clone()).to_string().contains(id)),
            "{table} has {id}"
        );
    }
}

each_backend! {
    async fn a_message_that_only_an_erased_user_could_see_is_not_seen_by_everybody(server: TestServer) {
        let channel = json!({"channel_id": "c"});
        let mut items = channel_of_three(&channel);
        items.extend([
            inside("message", &channel, json!({"id": "alone", "user": "y", "restricted_visibility": ["x"],
                "mentioned_users_ids": ["x"]})),
            inside("message", &channel, json!({"id": "both", "user": "y", "restricted_visibility": ["z", "x"]})),
        ]);
        server.imported("first", &items).await;
        erase(&server, "x").await;
        let alone = restricted(&server, "alone").await;
        assert!(alone.len() == 1 && alone[0].starts_with("delete-user-"), "{alone:?}");
        let stand_in = alone[0].clone();
        assert_eq!(restricted(&server, "both").await, ["z", stand_in.as_str()], "in its place");
        let mentioned = messages(&server, "messaging:c").await.into_iter().map(|message| message.mentioned_user_ids);
        assert!(mentioned.flatten().next().is_none());
        let request = pb::GetChannelRequest { cid: "messaging:c".to_owned(), ..Default::default() };
        let found = server.content().get_channel(request).await.answered().channel.unwrap();
        assert_eq!(found.banned_user_ids, ["z"], "who is kept out is just left out");

        // The next bearer of the id is erased, too, whose stand-in is there already.
        let again = [
            item("user", json!({"id": "x"})),
            inside("message", &channel, json!({"id": "next", "user": "y", "restricted_visibility": ["x", stand_in]})),
            inside("message", &channel, json!({"id": "alone", "user": "y", "restricted_visibility": ["x"]})),
        ];
        server.imported("second", &again).await;
        erase(&server, "x").await;
        for id in ["next", "alone"] {
            assert_eq!(restricted(&server, id).await, [stand_in.as_str()], "{id}");
        }
    }

    async fn a_message_that_is_blanked_is_seen_by_no_more_users_than_before(server: TestServer) {
        let channel = json!({"channel_id": "c"});
        let mut items = channel_of_three(&channel);
        items.push(inside("message", &channel, json!({"id": "m", "user": "y", "restricted_visibility": ["z"],
            "mentioned_users_ids": ["x"]})));
        server.imported("first", &items).await;
        let pruning = pb::DeleteMode::Pruning.into();
        let request = pb::DeleteUsersRequest {
            user_ids: vec!["y".to_owned()], user: pruning, messages: pruning, ..Default::default()
        };
        let task = server.users().delete_users(request).await.answered().task.unwrap();
        server.completed(&task).await;
        assert_eq!(restricted(&server, "m").await, ["z"]);
        assert!(messages(&server, "messaging:c").await[0].mentioned_user_ids.is_empty());
    }

    async fn a_distinct_channel_ends_with_the_first_member_that_is_erased(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "4"]).await;
        let mut items = channel_of_three(&distinct());
        let message = |number: usize| inside("message", &distinct(), json!({"id": format!("m{number:02}"),
            "user": (["x", "y", "z"][number % 3]), "text": "old", "mentioned_users_ids": ["z"]}));
        items.extend((0..30).map(message));
        server.imported("first", &items).await;
        let old = server.content().get_channel(by_members()).await.answered().channel.unwrap();
        assert!(old.distinct);

        erase(&server, "x").await;
        server.content().get_channel(by_members()).await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
        let gone = pb::GetChannelRequest { cid: old.cid.clone(), ..Default::default() };
        server.content().get_channel(gone).await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
        let found = ended(&server).await;
        let members: Vec<&str> = found.members.iter().map(|member| member.user_id.as_str()).collect();
        assert_eq!((found.distinct, members, found.members_total), (false, vec!["y", "z"], 2));
        assert!(found.created_by_id.starts_with("delete-user-") && found.created_at == old.created_at, "{found:?}");
        assert_eq!(found.banned_user_ids, ["z"]);
        assert_eq!(messages(&server, &found.cid).await.len(), 20);
        is_nowhere(&server, &old.id).await;

        // A new x, and a channel of its own with the others.
        server.imported("second", &channel_of_three(&distinct())).await;
        let new = server.content().get_channel(by_members()).await.answered().channel.unwrap();
        assert!(new.distinct && messages(&server, &new.cid).await.is_empty());
        assert_eq!(ended(&server).await.members_total, 2);
        // What is in the old one stays there.
        let tally = server.import_items("third", &[message(1)]).await;
        assert_eq!(tally.refusals(), [(0, "IMMUTABLE_FIELD", "channel_member_ids")]);
        // The channel is one of two members now: erasing another one ends it with all messages.
        erase(&server, "y").await;
        server.content().get_channel(pb::GetChannelRequest { cid: found.cid, ..Default::default() })
            .await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
    }

    async fn a_distinct_channel_of_one_ends_with_its_member(server: TestServer) {
        let alone = json!({"channel_member_ids": ["x"]});
        let items = [
            item("user", json!({"id": "x"})),
            item("user", json!({"id": "y"})),
            item("channel", json!({"type": "messaging", "member_ids": ["x"], "created_by": "x"})),
            inside("member", &alone, json!({"user_id": "x"})),
            inside("message", &alone, json!({"id": "note", "user": "y", "text": "old"})),
        ];
        server.imported("first", &items).await;
        erase(&server, "x").await;
        let found = ended(&server).await;
        assert_eq!((found.members_total, messages(&server, &found.cid).await.len()), (0, 1));
        server.imported("second", &[items[0].clone(), items[2].clone(), items[3].clone()]).await;
        let request = pb::GetChannelRequest { member_ids: vec!["x".to_owned()], ..by_members() };
        let new = server.content().get_channel(request).await.answered().channel.unwrap();
        assert!(messages(&server, &new.cid).await.is_empty());
    }

    async fn what_an_earlier_version_left_of_erased_members_is_mended_at_start(backend: Backend) {
        let server = backend.start().await;
        let mut items = channel_of_three(&distinct());
        items.extend([
            inside("message", &distinct(), json!({"id": "old", "user": "y", "text": "old"})),
            item("channel", json!({"type": "messaging", "member_ids": ["y", "z"], "created_by": "y"})),
            inside("member", &json!({"channel_member_ids": ["y", "z"]}), json!({"user_id": "y"})),
            inside("member", &json!({"channel_member_ids": ["z", "y"]}), json!({"user_id": "z"})),
            item("user", json!({"id": "other"})),
        ]);
        server.imported("first", &items).await;
        // Somebody was erased in this app, so that channels are judged.
        erase(&server, "other").await;
        let old = server.content().get_channel(by_members()).await.answered().channel.unwrap();
        let pair = pb::GetChannelRequest { member_ids: vec!["z".to_owned(), "y".to_owned()], ..by_members() };
        let kept = server.content().get_channel(pair.clone()).await.answered().channel.unwrap();

        let place = server.place().clone();
        server.stop().await;
        for statement in [
            // As an erasure without this step left it.
            "DELETE FROM channel_members WHERE user_id = 'x'",
            "DELETE FROM named_users WHERE user_id = 'x'",
            "UPDATE channels SET created_by_id = 'y' WHERE created_by_id = 'x'",
            "DELETE FROM user_terms WHERE user_id = 'x'",
            "DELETE FROM users WHERE id = 'x'",
            // As an import accepted it.
            "INSERT INTO channels (app_id, type, id, created_by_id, is_distinct, disabled, frozen, custom, created_at) \
             SELECT app_id, type, 'far', 'y', is_distinct = (1 = 0), disabled, frozen, custom, created_at \
             FROM channels WHERE is_distinct LIMIT 1",
            "INSERT INTO messages (app_id, id, channel_type, channel_id, user_id, type, parent_id, show_in_channel, \
             attachments, custom, created_at) SELECT app_id, 'far', channel_type, 'far', 'y', 'reply', 'old', \
             show_in_channel, attachments, custom, created_at FROM messages WHERE id = 'old'",
            "DROP TABLE distinct_ends",
            "DELETE FROM seaql_migrations WHERE version = 'm0009_erased_channels'",
        ] {
            backend.meddle(&place, statement).await;
        }
        let server = backend.try_start_at(&place).await.unwrap();
        server.content().get_channel(by_members()).await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
        let found = ended(&server).await;
        assert_eq!((found.distinct, found.members_total), (false, 2));
        assert_eq!(messages(&server, &found.cid).await[0].id, "old");
        is_nowhere(&server, &old.id).await;
        assert_eq!(server.content().get_channel(pair).await.answered().channel.unwrap(), kept, "it is whole");
        let far = &messages(&server, "messaging:far").await[0];
        assert_eq!((far.parent_id.as_str(), far.r#type.as_str()), ("", "regular"));
    }
}
