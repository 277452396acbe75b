//! `ImportContent`: content that is refused, each for a reason and with the field at fault.

use serde_json::{Value, json};

use super::import_kinds::one_of_each;
use crate::harness::{TestServer, each_backend, item, pb};

const TIME: &str = "2024-05-01T12:00:00Z";

/// A good item of a kind, with some fields replaced; null takes one out.
pub(super) fn with(kind: &str, changes: &Value) -> Value {
    let good = match kind {
        "channel" => json!({"type": "messaging", "id": "new", "created_by": "ada"}),
        "member" => json!({"channel_type": "messaging", "channel_id": "general", "user_id": "eve"}),
        "message" => {
            json!({"id": "new", "channel_type": "messaging", "channel_id": "general", "user": "ada"})
        }
        "reaction" => json!({"message_id": "m1", "type": "wow", "user_id": "ada", "created_at": TIME}),
        "device" => json!({"id": "new", "user_id": "ada", "push_provider_type": "apn"}),
        "future_channel_ban" => json!({"target_id": "bob", "created_by": "ada"}),
        "feed" => json!({"group_id": "user", "id": "eve", "fid": "user:eve", "created_by_id": "eve"}),
        "activity" => json!({"id": "new", "type": "post", "user_id": "ada", "fids": ["user:ada"]}),
        "comment" => {
            json!({"id": "new", "object_type": "activity", "object_id": "a1", "user_id": "ada", "text": "t"})
        }
        "feed reaction" => json!({"activity_id": "a1", "type": "wow", "user_id": "ada"}),
        "follow" => json!({"source_fid": "user:ada", "target_fid": "user:bob"}),
        "flag" => json!({"entity_type": "message", "entity_id": "m2", "user_id": "ada"}),
        "call" => json!({"type": "default", "id": "new", "created_by": "ada"}),
        "call_member" => json!({"call_type": "default", "call_id": "standup", "user_id": "ada"}),
        other => panic!("no such kind: {other}"),
    };
    let mut fields = good;
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.as_object_mut().unwrap().remove(name);
        } else {
            fields[name] = value.clone();
        }
    }
    item(if kind == "feed reaction" { "reaction" } else { kind }, fields)
}

/// Each of these items is refused for this reason, at this field, and the good one is stored.
async fn all_refused(server: &TestServer, cases: Vec<(&str, Value, &str, &str)>) {
    server.imported("before", &one_of_each()).await;
    let numbered = cases.iter().enumerate().map(|(at, (kind, changes, ..))| {
        let mut item = with(kind, changes);
        // What stands twice is refused for that.
        if item["item"]["id"] == "new" {
            item["item"]["id"] = json!(format!("new-{at}"));
        }
        item
    });
    let mut items: Vec<_> = numbered.collect();
    items.push(item("user", json!({"id": "last"})));
    let tally = server.import_items("cases", &items).await;
    for (offset, (kind, changes, reason, field)) in (0..).zip(&cases) {
        let refusal = tally.refused.iter().find(|refusal| refusal.offset == offset);
        let refusal = refusal.unwrap_or_else(|| panic!("{kind} with {changes} should be refused"));
        assert_eq!(
            (refusal.reason.as_str(), refusal.field.as_str()),
            (*reason, *field),
            "{kind} with {changes}: {}",
            refusal.message
        );
        assert!(!refusal.message.is_empty() && !refusal.message.contains("canary"), "{}", refusal.message);
    }
    assert_eq!((tally.accepted, tally.refused.len()), (1, cases.len()));
}

fn invalid(
    kind: &'static str,
    cases: Vec<(Value, &'static str)>,
) -> Vec<(&'static str, Value, &'static str, &'static str)> {
    cases.into_iter().map(|(changes, field)| (kind, changes, "INVALID_FIELD", field)).collect()
}

each_backend! {
    async fn the_good_items_are_good(server: TestServer) {
        server.imported("before", &one_of_each()).await;
        let kinds = ["channel", "member", "message", "reaction", "device", "future_channel_ban", "feed", "activity",
            "comment", "feed reaction", "follow", "flag", "call", "call_member"];
        server.imported("good", &kinds.map(|kind| with(kind, &json!({})))).await;
    }

    async fn channels_that_break_a_rule_are_refused(server: TestServer) {
        all_refused(&server, invalid("channel", vec![
            (json!({"id": null}), "id"),
            (json!({"id": ""}), "id"),
            (json!({"member_ids": ["ada"]}), "id"),
            (json!({"id": "x".repeat(65)}), "id"),
            (json!({"id": "a b"}), "id"),
            (json!({"id": "!members-0"}), "id"),
            (json!({"id": 5}), "id"),
            (json!({"type": null}), "type"),
            (json!({"type": "x".repeat(65)}), "type"),
            (json!({"type": "a:b"}), "type"),
            (json!({"created_by": null}), "created_by"),
            (json!({"created_by": "no id"}), "created_by"),
            (json!({"team": "x".repeat(101)}), "team"),
            (json!({"team": 5}), "team"),
            (json!({"frozen": "canary"}), "frozen"),
            (json!({"disabled": 1}), "disabled"),
            (json!({"banned_users": "ada"}), "banned_users"),
            (json!({"banned_users": ["ada", "no id"]}), "banned_users[1]"),
            (json!({"truncated_at": "yesterday"}), "truncated_at"),
            (json!({"created_at": 5}), "created_at"),
            (json!({"cid": "canary"}), "cid"),
            (json!({"members": []}), "members"),
            (json!({"config": {}}), "config"),
            (json!({"color\u{0}": 1}), "custom.color\u{fffd}"),
            (json!({"id": null, "member_ids": ["no id"]}), "member_ids[0]"),
        ])).await;
    }

    async fn members_that_break_a_rule_are_refused(server: TestServer) {
        let mut cases = invalid("member", vec![
            (json!({"channel_type": null}), "channel_type"),
            (json!({"channel_id": null}), "channel_id"),
            (json!({"channel_member_ids": ["ada", "bob"]}), "channel_id"),
            (json!({"user_id": null}), "user_id"),
            (json!({"channel_id": null, "channel_member_ids": ["ada", "bob"]}), "user_id"),
            (json!({"channel_role": "a b"}), "channel_role"),
            (json!({"last_read": "canary"}), "last_read"),
            (json!({"invited": "yes"}), "invited"),
        ]);
        cases.extend([
            ("member", json!({"user_id": "nobody"}), "USER_NOT_FOUND", "user_id"),
            ("member", json!({"channel_id": "nowhere"}), "CHANNEL_NOT_FOUND", "channel_id"),
            ("member", json!({"channel_type": "team"}), "CHANNEL_NOT_FOUND", "channel_id"),
            ("member", json!({"channel_role": "knight"}), "ROLE_NOT_FOUND", "channel_role"),
            ("member", json!({"channel_id": null, "channel_member_ids": ["eve", "bob"]}), "CHANNEL_NOT_FOUND",
                "channel_member_ids"),
        ]);
        all_refused(&server, cases).await;
    }

    async fn messages_that_break_a_rule_are_refused(server: TestServer) {
        let mut cases = invalid("message", vec![
            (json!({"id": null}), "id"),
            (json!({"id": "x".repeat(256)}), "id"),
            (json!({"id": "a\nb"}), "id"),
            (json!({"channel_type": null}), "channel_type"),
            (json!({"channel_id": null}), "channel_id"),
            (json!({"user": null}), "user"),
            (json!({"text": 5}), "text"),
            (json!({"text": "a\u{0}"}), "text"),
            (json!({"type": "ephemeral"}), "type"),
            (json!({"type": "deleted"}), "deleted_at"),
            (json!({"deleted_at": TIME}), "type"),
            (json!({"type": "reply"}), "parent_id"),
            (json!({"parent_id": "m2"}), "parent_id"),
            (json!({"pinned_at": TIME}), "pinned_by_id"),
            (json!({"pinned_by_id": "ada"}), "pinned_at"),
            (json!({"pin_expires": TIME}), "pinned_at"),
            (json!({"attachments": {}}), "attachments"),
            (json!({"attachments": [5]}), "attachments[0]"),
            (json!({"attachments": [{}, {"image_url": "http://example.org"}]}), "attachments[1].image_url"),
            (json!({"attachments": vec![json!({}); 31]}), "attachments"),
            (json!({"attachments": [{"n": 9_007_199_254_740_993_u64}]}), "attachments[0].n"),
            (json!({"mentioned_users_ids": ["ada", 5]}), "mentioned_users_ids[1]"),
            (json!({"mentioned_users_ids": ["ada"], "mentioned_user_ids": ["ada"]}), "mentioned_user_ids"),
            (json!({"reply_count": 1}), "reply_count"),
            (json!({"quoted_message": {}}), "quoted_message"),
            (json!({"custom": 5}), "custom"),
        ]);
        cases.extend([
            ("message", json!({"user": "nobody"}), "USER_NOT_FOUND", "user"),
            ("message", json!({"channel_id": "nowhere"}), "CHANNEL_NOT_FOUND", "channel_id"),
            ("message", json!({"parent_id": "nothing"}), "MESSAGE_NOT_FOUND", "parent_id"),
            ("message", json!({"mentioned_users_ids": ["ada", "nobody"]}), "USER_NOT_FOUND",
                "mentioned_users_ids[1]"),
            ("message", json!({"restricted_visibility": ["nobody"]}), "USER_NOT_FOUND", "restricted_visibility[0]"),
            ("message", json!({"pinned_at": TIME, "pinned_by_id": "nobody"}), "USER_NOT_FOUND", "pinned_by_id"),
            ("message", json!({"channel_id": null, "channel_member_ids": ["eve"]}), "CHANNEL_NOT_FOUND",
                "channel_member_ids"),
        ]);
        all_refused(&server, cases).await;
    }

    async fn other_chat_items_that_break_a_rule_are_refused(server: TestServer) {
        let mut cases = invalid("reaction", vec![
            (json!({"message_id": null}), "message_id"),
            (json!({"type": null}), "type"),
            (json!({"type": "a b"}), "type"),
            (json!({"user_id": null}), "user_id"),
            (json!({"created_at": null}), "created_at"),
        ]);
        cases.extend(invalid("device", vec![
            (json!({"id": null}), "id"),
            (json!({"id": "x".repeat(256)}), "id"),
            (json!({"user_id": null}), "user_id"),
            (json!({"push_provider_type": null}), "push_provider_type"),
            (json!({"push_provider_type": "pigeon"}), "push_provider_type"),
            (json!({"color": "canary"}), "color"),
        ]));
        cases.extend(invalid("future_channel_ban", vec![
            (json!({"target_id": null}), "target_id"),
            (json!({"created_by": null}), "created_by"),
            (json!({"shadow": "canary"}), "shadow"),
            (json!({"color": "canary"}), "color"),
        ]));
        cases.extend(invalid("flag", vec![
            (json!({"entity_type": null}), "entity_type"),
            (json!({"entity_type": "channel"}), "entity_type"),
            (json!({"entity_id": null}), "entity_id"),
            (json!({"user_id": null}), "user_id"),
        ]));
        cases.extend([
            ("reaction", json!({"message_id": "nothing"}), "MESSAGE_NOT_FOUND", "message_id"),
            ("reaction", json!({"user_id": "nobody"}), "USER_NOT_FOUND", "user_id"),
            ("device", json!({"user_id": "nobody"}), "USER_NOT_FOUND", "user_id"),
            ("future_channel_ban", json!({"target_id": "nobody"}), "USER_NOT_FOUND", "target_id"),
            ("future_channel_ban", json!({"created_by": "nobody"}), "USER_NOT_FOUND", "created_by"),
            ("flag", json!({"entity_id": "nothing"}), "MESSAGE_NOT_FOUND", "entity_id"),
            ("flag", json!({"entity_type": "user", "entity_id": "nobody"}), "USER_NOT_FOUND", "entity_id"),
            ("flag", json!({"entity_type": "comment", "entity_id": "nothing"}), "COMMENT_NOT_FOUND", "entity_id"),
            ("flag", json!({"entity_type": "activity", "entity_id": "nothing"}), "ACTIVITY_NOT_FOUND", "entity_id"),
        ]);
        all_refused(&server, cases).await;
    }

    async fn feed_items_that_break_a_rule_are_refused(server: TestServer) {
        let mut cases = invalid("feed", vec![
            (json!({"group_id": null}), "group_id"),
            (json!({"id": null}), "id"),
            (json!({"fid": null}), "fid"),
            (json!({"fid": "user:bob"}), "fid"),
            (json!({"created_by_id": null}), "created_by_id"),
            (json!({"visibility": "secret"}), "visibility"),
        ]);
        cases.extend(invalid("activity", vec![
            (json!({"id": null}), "id"),
            (json!({"type": null}), "type"),
            (json!({"user_id": null}), "user_id"),
            (json!({"fids": null}), "fids"),
            (json!({"fids": []}), "fids"),
            (json!({"fids": ["user"]}), "fids[0]"),
        ]));
        cases.extend(invalid("comment", vec![
            (json!({"id": null}), "id"),
            (json!({"object_type": null}), "object_type"),
            (json!({"object_type": "message"}), "object_type"),
            (json!({"object_id": null}), "object_id"),
            (json!({"text": null}), "text"),
        ]));
        cases.extend(invalid("feed reaction", vec![(json!({"type": null}), "type"), (json!({"user_id": 5}), "user_id")]));
        cases.extend(invalid("follow", vec![
            (json!({"source_fid": null}), "source_fid"),
            (json!({"target_fid": "bob"}), "target_fid"),
            (json!({"target_fid": "user:ada"}), "target_fid"),
            (json!({"status": "maybe"}), "status"),
        ]));
        cases.extend([
            ("feed", json!({"created_by_id": "nobody"}), "USER_NOT_FOUND", "created_by_id"),
            ("activity", json!({"user_id": "nobody"}), "USER_NOT_FOUND", "user_id"),
            ("activity", json!({"fids": ["user:ada", "user:nobody"]}), "FEED_NOT_FOUND", "fids[1]"),
            ("activity", json!({"parent_id": "nothing"}), "ACTIVITY_NOT_FOUND", "parent_id"),
            ("comment", json!({"object_id": "nothing"}), "ACTIVITY_NOT_FOUND", "object_id"),
            ("comment", json!({"parent_id": "nothing"}), "COMMENT_NOT_FOUND", "parent_id"),
            ("feed reaction", json!({"activity_id": "nothing"}), "ACTIVITY_NOT_FOUND", "activity_id"),
            ("feed reaction", json!({"comment_id": "nothing"}), "COMMENT_NOT_FOUND", "comment_id"),
            ("follow", json!({"target_fid": "user:nobody"}), "FEED_NOT_FOUND", "target_fid"),
        ]);
        all_refused(&server, cases).await;
    }

    async fn call_items_that_break_a_rule_are_refused(server: TestServer) {
        let mut cases = invalid("call", vec![
            (json!({"type": null}), "type"),
            (json!({"id": null}), "id"),
            (json!({"id": "a b"}), "id"),
            (json!({"created_by": null}), "created_by"),
            (json!({"ended_at": "canary"}), "ended_at"),
        ]);
        cases.extend(invalid("call_member", vec![
            (json!({"call_type": null}), "call_type"),
            (json!({"call_id": null}), "call_id"),
            (json!({"user_id": null}), "user_id"),
            (json!({"role": "a b"}), "role"),
            (json!({"color": "canary"}), "color"),
        ]));
        cases.extend([
            ("call", json!({"created_by": "nobody"}), "USER_NOT_FOUND", "created_by"),
            ("call_member", json!({"call_id": "nothing"}), "CALL_NOT_FOUND", "call_id"),
            ("call_member", json!({"user_id": "nobody"}), "USER_NOT_FOUND", "user_id"),
        ]);
        all_refused(&server, cases).await;
    }

    async fn everything_wrong_with_an_item_is_told_at_once(server: TestServer) {
        let bad = item("message", json!({"id": "", "channel_type": "a b", "user": "no id", "text": 5}));
        let missing = with("message", &json!({"user": "nobody", "channel_id": "nowhere", "parent_id": "nothing"}));
        let tally = server.import_items("all", &[bad, missing]).await;
        let texts: Vec<_> = tally.refused.iter().map(|refusal| refusal.message.as_str()).collect();
        for field in ["channel_type", "channel_id", "user", "text"] {
            assert!(texts[0].contains(&format!("{field}: ")), "{}", texts[0]);
        }
        for field in ["user", "parent_id"] {
            assert!(texts[1].contains(&format!("{field}: ")), "{}", texts[1]);
        }
    }

    async fn a_distinct_channel_needs_an_item_for_each_member(server: TestServer) {
        let users = ["ada", "bob", "eve"].map(|id| item("user", json!({"id": id})));
        server.imported("users", &users).await;
        let channel = |members: Value| item("channel", json!({"type": "messaging", "member_ids": members, "created_by": "ada"}));
        let member = |members: Value, user: &str| item("member", json!({"channel_type": "messaging",
            "channel_member_ids": members, "user_id": user}));
        let items = [
            channel(json!(["ada", "bob"])),
            member(json!(["ada", "bob"]), "ada"),
            channel(json!(["bob", "eve"])),
            member(json!(["eve", "bob"]), "bob"),
            member(json!(["bob", "eve"]), "eve"),
        ];
        let tally = server.import_items("distinct", &items).await;
        assert_eq!(
            tally.refusals(),
            [(0, "MEMBER_NOT_FOUND", "member_ids[1]"), (1, "CHANNEL_NOT_FOUND", "channel_member_ids")]
        );
        assert_eq!(tally.accepted, 3);
    }

    async fn a_member_is_in_the_team_of_the_channel(server: TestServer) {
        let items = [
            item("user", json!({"id": "in", "teams": ["blue", "red"]})),
            item("user", json!({"id": "out", "teams": ["blue"]})),
            item("channel", json!({"type": "team", "id": "c", "team": "red", "created_by": "out"})),
            item("member", json!({"channel_type": "team", "channel_id": "c", "user_id": "in"})),
            item("member", json!({"channel_type": "team", "channel_id": "c", "user_id": "out"})),
        ];
        let tally = server.import_items("file", &items).await;
        assert_eq!(tally.refusals(), [(4, "TEAM_MISMATCH", "user_id")]);
        // As against what is stored.
        let tally = server.import_items("stored", &[items[4].clone(), item("user", json!({"id": "out", "teams": ["red"]}))]).await;
        assert_eq!((tally.refusals(), tally.accepted), (vec![], 2));
    }

    async fn what_refers_to_a_user_whose_name_is_taken_is_refused_with_it(server: TestServer) {
        server.keep_names_unique(pb::UniqueNames::App).await;
        let items = [
            item("channel", json!({"type": "messaging", "id": "c", "created_by": "two"})),
            item("user", json!({"id": "one", "name": "Ada"})),
            item("user", json!({"id": "two", "name": "ada"})),
        ];
        let tally = server.import_items("names", &items).await;
        let refused = [(2, "NAME_TAKEN", "name"), (0, "USER_NOT_FOUND", "created_by")];
        assert_eq!(tally.refusals(), refused);
    }

    async fn items_that_refer_to_refused_ones_are_refused(server: TestServer) {
        let items = [
            item("user", json!({"id": "ada", "role": "knight"})),
            item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"})),
            item("message", json!({"id": "m", "channel_type": "messaging", "channel_id": "c", "user": "ada"})),
        ];
        let tally = server.import_items("chain", &items).await;
        assert_eq!(
            tally.refusals(),
            [(0, "ROLE_NOT_FOUND", "role"), (1, "USER_NOT_FOUND", "created_by"), (2, "CHANNEL_NOT_FOUND", "channel_id")]
        );
    }

    async fn comments_and_reactions_stay_on_their_activity(server: TestServer) {
        server.imported("before", &one_of_each()).await;
        let items = [
            with("activity", &json!({"id": "a2"})),
            with("comment", &json!({"id": "c3", "object_id": "a2", "parent_id": "c1"})),
            with("feed reaction", &json!({"activity_id": "a2", "comment_id": "c1"})),
        ];
        let tally = server.import_items("other", &items).await;
        assert_eq!(
            tally.refusals(),
            [(1, "INVALID_FIELD", "parent_id"), (2, "INVALID_FIELD", "comment_id")]
        );
    }

    async fn replies_have_one_level_also_where_they_name_each_other(server: TestServer) {
        server.imported("before", &one_of_each()).await;
        let items = [
            with("message", &json!({"id": "x", "parent_id": "y"})),
            with("message", &json!({"id": "y", "parent_id": "x"})),
        ];
        let tally = server.import_items("circle", &items).await;
        assert_eq!(tally.accepted, 0);
        assert_eq!(tally.refused.len(), 2);
    }
}
