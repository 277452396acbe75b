use serde_json::json;

use super::*;

fn made(kind: &str, item: Value, trusted: bool) -> Result<(Value, Vec<String>), Why> {
    let Value::Object(item) = item else { panic!("no object") };
    match rewrite(kind, item, trusted) {
        Rewritten::Left(why) => Err(why),
        Rewritten::Item(item, notes) => {
            Ok((Value::Object(item), notes.into_iter().map(|(_, what)| what).collect()))
        }
    }
}

#[test]
fn roles_teams_and_bans_go_unless_the_archive_is_trusted() {
    let cases = [
        (
            "user",
            json!({"id": "a", "role": "admin", "teams": ["t"], "teams_role": {"t": "admin"}}),
            json!({"id": "a"}),
            &["user.role", "user.teams", "user.teams_role"][..],
        ),
        (
            "member",
            json!({"user_id": "a", "channel_role": "channel_moderator", "is_moderator": true}),
            json!({"user_id": "a"}),
            &["member.channel_role", "member.is_moderator"],
        ),
        (
            "call_member",
            json!({"user_id": "a", "role": "host"}),
            json!({"user_id": "a"}),
            &["call_member.role"],
        ),
        (
            "channel",
            json!({"id": "c", "created_by": "a", "banned_users": ["b"], "team": "t", "frozen": true}),
            json!({"id": "c", "created_by": "a", "frozen": true}),
            &["channel.banned_users", "channel.team"],
        ),
    ];
    for (kind, item, left, dropped) in cases {
        let (kept, notes) = made(kind, item.clone(), true).unwrap();
        assert_eq!((kept, notes.is_empty()), (item.clone(), true), "{kind}");
        let (kept, notes) = made(kind, item, false).unwrap();
        assert_eq!((kept, notes.iter().map(String::as_str).collect::<Vec<_>>()), (left, dropped.to_vec()));
    }
    let ban = json!({"target_id": "b", "created_by": "a"});
    assert_eq!(made("future_channel_ban", ban.clone(), false), Err(Why::Untrusted));
    assert!(made("future_channel_ban", ban, true).is_ok());
}

#[test]
fn what_everybody_has_is_not_counted_as_dropped() {
    for (kind, item) in [
        ("user", json!({"id": "a", "role": "user", "teams": [], "teams_role": {}})),
        ("member", json!({"user_id": "a", "channel_role": "channel_member"})),
        ("call_member", json!({"user_id": "a", "role": "call_member"})),
    ] {
        assert_eq!(made(kind, item, false).unwrap().1, Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn items_whose_users_have_no_valid_id_are_left_out() {
    for (kind, item) in [
        ("user", json!({"id": "a b"})),
        ("message", json!({"id": "m", "user": "a|b"})),
        ("device", json!({"id": "d", "user_id": "~1"})),
        ("channel", json!({"type": "t", "created_by": "a", "member_ids": ["a", "b!"]})),
        ("member", json!({"user_id": "a", "channel_member_ids": ["a", "b!"]})),
        ("flag", json!({"entity_type": "user", "entity_id": "~1", "user_id": "a"})),
        ("message", json!({"id": "m", "user": "a", "restricted_visibility": ["b!"]})),
    ] {
        assert_eq!(made(kind, item.clone(), true), Err(Why::Id), "{item}");
    }
    let flag = json!({"entity_type": "message", "entity_id": "m 1", "user_id": "a"});
    assert_eq!(made("flag", flag.clone(), true), Ok((flag, vec![])));
}

#[test]
fn names_without_a_valid_id_go_out_of_lists_and_pins() {
    let message = json!({"id": "m", "user": "a", "mentioned_users_ids": ["b", "c d", "e"], "pinned_by_id": "x y",
        "pinned_at": "t", "pin_expires": "t", "restricted_visibility": ["b", "?"]});
    let left =
        json!({"id": "m", "user": "a", "mentioned_users_ids": ["b", "e"], "restricted_visibility": ["b"]});
    let notes = ["message.pinned_by_id", "message.mentioned_users_ids", "message.restricted_visibility"];
    assert_eq!(made("message", message, true), Ok((left, notes.map(str::to_owned).to_vec())));
}

#[test]
fn a_channel_whose_member_was_erased_gets_an_id_that_imports_take() {
    let channel = json!({"type": "t", "id": "!erased-1", "created_by": "a"});
    assert_eq!(made("channel", channel, true).unwrap().0["id"], "erased-1");
    for kind in ["message", "member"] {
        let item = json!({"channel_type": "t", "channel_id": "!erased-1", "user_id": "a"});
        assert_eq!(made(kind, item, true).unwrap().0["channel_id"], "erased-1", "{kind}");
    }
}

#[test]
fn a_comment_of_which_nothing_is_left_is_left_out() {
    for item in [json!({"id": "c"}), json!({"id": "c", "text": ""}), json!({"id": "c", "text": null})] {
        assert_eq!(made("comment", item, true), Err(Why::Blank));
    }
}
