//! `ImportContent`: every kind of item, stored with all it can say, and replaced whole.

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestServer, each_backend, item, pb, struct_of};

const TIME: &str = "2024-05-01T12:00:00Z";

/// Users `ada`, `bob` and `eve`.
pub(super) fn people() -> Vec<Value> {
    ["ada", "bob", "eve"].map(|id| item("user", json!({"id": id}))).to_vec()
}

/// One item of every kind, with nothing in it that is not needed, in the order of what refers to what.
pub(super) fn one_of_each() -> Vec<Value> {
    let mut items = people();
    items.extend([
        item(
            "channel",
            json!({"type": "messaging", "id": "general", "created_by": "ada", "created_at": TIME}),
        ),
        item(
            "member",
            json!({"channel_type": "messaging", "channel_id": "general", "user_id": "bob",
            "created_at": TIME}),
        ),
        item(
            "channel",
            json!({"type": "messaging", "member_ids": ["bob", "ada"], "created_by": "ada",
            "created_at": TIME}),
        ),
        item(
            "channel_member",
            json!({"channel_type": "messaging", "channel_member_ids": ["ada", "bob"],
            "user_id": "ada", "created_at": TIME}),
        ),
        item(
            "channel_member",
            json!({"channel_type": "messaging", "channel_member_ids": ["bob", "ada"],
            "user_id": "bob", "created_at": TIME}),
        ),
        item(
            "message",
            json!({"id": "m1", "channel_type": "messaging", "channel_id": "general", "user": "ada",
            "text": "hello", "created_at": TIME}),
        ),
        item(
            "message",
            json!({"id": "m2", "channel_type": "messaging", "channel_id": "general", "user": "bob",
            "type": "reply", "parent_id": "m1", "created_at": TIME, "mentioned_users_ids": ["eve", "ada"]}),
        ),
        item(
            "message",
            json!({"id": "m3", "channel_type": "messaging", "channel_member_ids": ["ada", "bob"],
            "user": "ada", "created_at": TIME}),
        ),
        item("reaction", json!({"message_id": "m1", "type": "like", "user_id": "bob", "created_at": TIME})),
        item(
            "device",
            json!({"id": "d1", "user_id": "ada", "push_provider_type": "apn", "created_at": TIME}),
        ),
        item("future_channel_ban", json!({"target_id": "eve", "created_by": "ada", "created_at": TIME})),
        item(
            "feed",
            json!({"group_id": "user", "id": "ada", "fid": "user:ada", "created_by_id": "ada",
            "created_at": TIME}),
        ),
        item(
            "feed",
            json!({"group_id": "user", "id": "bob", "fid": "user:bob", "created_by_id": "bob",
            "created_at": TIME}),
        ),
        item(
            "activity",
            json!({"id": "a1", "type": "post", "user_id": "ada", "fids": ["user:ada", "user:bob"],
            "created_at": TIME, "mentioned_user_ids": ["bob"]}),
        ),
        item(
            "comment",
            json!({"id": "c1", "object_type": "activity", "object_id": "a1", "user_id": "bob",
            "text": "nice", "created_at": TIME}),
        ),
        item(
            "comment",
            json!({"id": "c2", "object_type": "activity", "object_id": "a1", "user_id": "ada",
            "text": "thanks", "parent_id": "c1", "created_at": TIME}),
        ),
        item("reaction", json!({"activity_id": "a1", "type": "like", "user_id": "bob", "created_at": TIME})),
        item(
            "reaction",
            json!({"activity_id": "a1", "comment_id": "c1", "type": "like", "user_id": "ada",
            "created_at": TIME}),
        ),
        item("follow", json!({"source_fid": "user:bob", "target_fid": "user:ada", "created_at": TIME})),
        item(
            "flag",
            json!({"entity_type": "message", "entity_id": "m1", "user_id": "eve", "created_at": TIME}),
        ),
        item(
            "flag",
            json!({"entity_type": "user", "entity_id": "bob", "user_id": "eve", "created_at": TIME}),
        ),
        item("call", json!({"type": "default", "id": "standup", "created_by": "ada", "created_at": TIME})),
        item(
            "call_member",
            json!({"call_type": "default", "call_id": "standup", "user_id": "bob",
            "created_at": TIME}),
        ),
    ]);
    items
}

async fn footprint(caller: &Caller, user: &str) -> pb::Footprint {
    let request = pb::GetFootprintRequest { user_id: user.to_owned() };
    caller.content().get_footprint(request).await.answered().footprint.unwrap()
}

async fn channel(caller: &Caller, cid: &str) -> pb::Channel {
    let request = pb::GetChannelRequest { cid: cid.to_owned(), ..Default::default() };
    caller.content().get_channel(request).await.answered().channel.unwrap()
}

async fn messages(caller: &Caller, cid: &str) -> Vec<pb::Message> {
    let request =
        pb::ListMessagesRequest { cid: cid.to_owned(), include_deleted: true, ..Default::default() };
    caller.content().list_messages(request).await.answered().messages
}

each_backend! {
    async fn one_item_of_each_kind_is_stored(server: TestServer) {
        server.imported("each", &one_of_each()).await;

        let ada = footprint(&server, "ada").await;
        let expected = pb::Footprint {
            channels: 2, channel_memberships: 1, conversations: 1, messages: 2, reactions: 0, calls: 1,
            call_memberships: 0, feeds: 1, activities: 1, comments: 1, feed_reactions: 1, follows: 1,
            flags: 0, flags_received: 0, devices: 1, future_channel_bans: 1, mentions: 1, blocks: 0,
        };
        assert_eq!(ada, expected);
        let bob = footprint(&server, "bob").await;
        let expected = pb::Footprint {
            channel_memberships: 2, conversations: 1, messages: 1, reactions: 1, call_memberships: 1, feeds: 1,
            comments: 1, feed_reactions: 1, follows: 1, flags_received: 1, mentions: 1, ..Default::default()
        };
        assert_eq!(bob, expected);
        let eve = footprint(&server, "eve").await;
        let expected = pb::Footprint { flags: 2, future_channel_bans: 1, mentions: 1, ..Default::default() };
        assert_eq!(eve, expected);
    }

    async fn the_same_items_in_another_import_replace_themselves(server: TestServer) {
        server.imported("one", &one_of_each()).await;
        let before = footprint(&server, "ada").await;
        server.imported("two", &one_of_each()).await;
        assert_eq!(footprint(&server, "ada").await, before);
        assert_eq!(messages(&server, "messaging:general").await[1].mentioned_user_ids, ["eve", "ada"]);
    }

    async fn the_newest_devices_of_a_user_are_kept(server: TestServer) {
        let device = |number: u32| {
            let created_at = format!("2024-05-01T12:00:{number:02}Z");
            item("device", json!({"id": format!("device-{number:02}"), "user_id": "ada",
                "push_provider_type": "apn", "created_at": created_at}))
        };
        let first: Vec<Value> = people().into_iter().chain((0..20).rev().map(device)).collect();
        server.imported("first", &first).await;
        assert_eq!(footprint(&server, "ada").await.devices, 20);
        server.imported("second", &(20..30).map(device).collect::<Vec<_>>()).await;
        assert_eq!(footprint(&server, "ada").await.devices, 25);
        // Which they are: the newest are skipped, older ones come and go.
        let mut again = server.import("again", pb::ImportMode::Insert).await;
        again.send_all(&(0..30).rev().map(device).collect::<Vec<_>>()).await;
        let tally = again.finish().await;
        assert_eq!((tally.skipped, tally.accepted), (25, 5));
        assert_eq!(footprint(&server, "ada").await.devices, 25);
    }

    async fn insert_skips_content_that_exists(server: TestServer) {
        server.imported("one", &one_of_each()).await;
        let mut import = server.import("two", pb::ImportMode::Insert).await;
        let mut items = one_of_each();
        items.push(item("message", json!({"id": "new", "channel_type": "messaging", "channel_id": "general",
            "user": "ada", "created_at": TIME})));
        import.send_all(&items).await;
        let tally = import.finish().await;
        assert_eq!((tally.accepted, tally.skipped, tally.refused.len()), (1, 26, 0));
    }

    async fn a_channel_is_stored_with_all_a_file_can_say(server: TestServer) {
        let mut items = people();
        items[0] = item("user", json!({"id": "ada", "teams": ["red"]}));
        items.push(item("channel", json!({
            "type": "team", "id": "c", "created_by": "ada", "team": "red", "disabled": true, "frozen": true,
            "banned_users": ["eve", "bob", "eve"], "truncated_at": TIME, "created_at": TIME, "updated_at": TIME,
            "deleted_at": TIME, "color": "green", "custom": {"level": 3},
        })));
        items.push(item("member", json!({
            "channel_type": "team", "channel_id": "c", "user_id": "ada", "channel_role": "channel_moderator",
            "invited": true, "invite_accepted_at": TIME, "invite_rejected_at": TIME, "hide_channel": true,
            "hide_messages_before": TIME, "last_read": TIME, "archived_at": TIME, "created_at": TIME, "x": 1,
        })));
        server.imported("channel", &items).await;

        let found = channel(&server, "team:c").await;
        let time = found.created_at;
        assert_eq!(time.unwrap().seconds, 1_714_564_800);
        assert_eq!((found.team.as_str(), found.disabled, found.frozen, found.distinct), ("red", true, true, false));
        assert_eq!(found.banned_user_ids, ["eve", "bob"]);
        assert_eq!((found.truncated_at, found.updated_at, found.deleted_at), (time, time, time));
        assert_eq!(found.custom, Some(struct_of(json!({"color": "green", "level": 3}))));
        assert_eq!((found.members_total, found.members.len()), (1, 1));
        let member = &found.members[0];
        assert_eq!((member.user_id.as_str(), member.role.as_str()), ("ada", "channel_moderator"));
        assert!(member.invited && member.hidden);
        assert_eq!((member.invite_accepted_at, member.invite_rejected_at), (time, time));
        assert_eq!((member.hide_messages_before, member.last_read, member.archived_at), (time, time, time));
        assert_eq!(member.custom, Some(struct_of(json!({"x": 1}))));
    }

    async fn a_message_is_stored_with_all_a_file_can_say(server: TestServer) {
        let mut items = one_of_each();
        items.push(item("message", json!({
            "id": "full", "channel_type": "messaging", "channel_id": "general", "user": "ada", "text": "t",
            "html": "<p>t</p>", "type": "deleted", "parent_id": "m1", "show_in_channel": true,
            "attachments": [{"image_url": "https://example.org/a.png", "n": 1}], "quoted_message_id": "m2",
            "pinned_at": TIME, "pinned_by_id": "bob", "pin_expires": TIME, "mentioned_users_ids": ["bob"],
            "restricted_visibility": ["eve", "ada"], "created_at": "2024-05-02T12:00:00Z", "updated_at": TIME,
            "deleted_at": TIME, "color": "green",
        })));
        server.imported("message", &items).await;

        let found = messages(&server, "messaging:general").await;
        assert_eq!(found[0].reaction_counts, std::collections::HashMap::from([("like".to_owned(), 1)]));
        let full = found.into_iter().find(|message| message.id == "full").unwrap();
        assert_eq!((full.text.as_str(), full.html.as_str(), full.r#type.as_str()), ("t", "<p>t</p>", "deleted"));
        assert_eq!((full.parent_id.as_str(), full.quoted_message_id.as_str()), ("m1", "m2"));
        assert!(full.show_in_channel);
        let attachment = struct_of(json!({"image_url": "https://example.org/a.png", "n": 1}));
        assert_eq!(full.attachments, [attachment]);
        assert_eq!((full.pinned_by_id.as_str(), full.pinned_at, full.pin_expires), ("bob", full.deleted_at, full.deleted_at));
        assert_eq!((full.mentioned_user_ids, full.restricted_visibility), (vec!["bob".to_owned()], vec!["eve".to_owned(), "ada".to_owned()]));
        assert_eq!(full.custom, Some(struct_of(json!({"color": "green"}))));
    }

    async fn a_distinct_channel_is_found_by_its_members_in_any_order(server: TestServer) {
        server.imported("each", &one_of_each()).await;
        let request = pb::GetChannelRequest {
            r#type: "messaging".to_owned(), member_ids: vec!["bob".to_owned(), "ada".to_owned()], ..Default::default()
        };
        let found = server.content().get_channel(request).await.answered().channel.unwrap();
        assert!(found.distinct && found.id.starts_with("!members-"), "{}", found.id);
        assert_eq!(found.members.iter().map(|member| member.user_id.as_str()).collect::<Vec<_>>(), ["ada", "bob"]);
        assert_eq!(channel(&server, &found.cid).await, found);
        assert_eq!(messages(&server, &found.cid).await.len(), 1);
    }

    async fn what_is_deleted_stays_deleted_and_what_a_file_does_not_say_stays(server: TestServer) {
        server.imported("one", &one_of_each()).await;
        let deleted = |created: Option<&str>| item("message", json!({"id": "m1", "channel_type": "messaging",
            "channel_id": "general", "user": "ada", "type": "deleted", "deleted_at": TIME, "created_at": created}));
        server.imported("two", &[deleted(None)]).await;
        let alive = item("message", json!({"id": "m1", "channel_type": "messaging", "channel_id": "general",
            "user": "ada", "text": "again"}));
        server.imported("three", &[alive]).await;

        let found = messages(&server, "messaging:general").await;
        let first = found.iter().find(|message| message.id == "m1").unwrap();
        assert_eq!((first.text.as_str(), first.created_at.unwrap().seconds), ("again", 1_714_564_800));
        assert_eq!(first.deleted_at, first.created_at);
    }

    async fn users_who_are_deleted_or_deactivated_keep_their_history(server: TestServer) {
        let mut items = one_of_each();
        items[0] = item("user", json!({"id": "ada", "deleted_at": TIME}));
        items[1] = item("user", json!({"id": "bob", "deactivated_at": TIME}));
        server.imported("history", &items).await;
        assert_eq!(footprint(&server, "ada").await.messages, 2);
    }
}
