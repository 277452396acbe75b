//! Of what is made of archives, without a server.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use super::*;
use crate::model::content::{Key, Kind};
use crate::model::id::UserId;
use crate::model::import::parse_item;

/// The lines of an archive of `user`.
fn archive(user: &str, records: &[(&str, Value)]) -> Vec<String> {
    let header = json!({"format": crate::model::export::FORMAT, "user_id": user, "references": "KEEP",
        "scope": "ACCESS"});
    let mut lines = vec![json!({"type": "export", "item": header}), json!({"type": "about", "item": {}})];
    let mut counts = serde_json::Map::new();
    for (kind, item) in records {
        lines.push(json!({"type": kind, "basis": "provided", "item": item}));
        let before = counts.get(*kind).and_then(Value::as_u64).unwrap_or_default();
        counts.insert((*kind).to_owned(), (before + 1).into());
    }
    lines.push(json!({"type": "end", "item": {"records": counts}}));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn prepared(archives: &[Vec<String>], trusted: bool) -> Result<Prepared, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let files = archives.iter().enumerate().map(|(at, lines)| {
        let file = dir.path().join(format!("{at}.jsonl"));
        std::fs::write(&file, lines.concat()).unwrap();
        file
    });
    prepare_now(&files.collect::<Vec<_>>(), Manner { trusted, replaces: true })
}

fn read((spool, places): &(Spool, Vec<Place>)) -> Vec<Value> {
    let lines = BufReader::new(spool.reader()).lines();
    let items: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(items.len(), places.len(), "each line has a place");
    items
}

/// Checks that no item comes before what it refers to, but for members of a distinct channel.
fn assert_in_order(items: &[Value]) {
    let name = |members: &[UserId]| members.iter().map(UserId::as_str).collect::<Vec<_>>().join("+");
    let mut seen: HashSet<Key> = HashSet::new();
    for item in items {
        let read = parse_item(item.to_string().as_bytes(), &name).unwrap();
        for need in read.needs() {
            let is_there = need.key.kind == Kind::ChannelMember || seen.contains(&need.key);
            assert!(is_there, "{item} comes before {:?}", need.key);
        }
        seen.insert(read.key());
    }
}

fn message(id: &str, user: &str, parent: Option<&str>) -> (&'static str, Value) {
    let mut item = json!({"id": id, "user": user, "channel_type": "t", "channel_id": "c"});
    if let Some(parent) = parent {
        item["parent_id"] = parent.into();
        item["type"] = "reply".into();
    }
    ("message", item)
}

fn comment(id: &str, user: &str, parent: Option<&str>) -> (&'static str, Value) {
    let item = json!({"id": id, "user_id": user, "object_type": "activity", "object_id": "a", "text": "t",
        "parent_id": parent});
    ("comment", item)
}

#[test]
fn items_come_after_what_they_refer_to_across_archives() {
    let user = |id: &str| ("user", json!({"id": id}));
    let mut ada = vec![
        (
            "reaction",
            json!({"message_id": "m1", "user_id": "ada", "type": "x", "created_at": "2024-05-01T12:00:00Z"}),
        ),
        ("member", json!({"user_id": "ada", "channel_type": "t", "channel_member_ids": ["bob", "ada"]})),
        ("follow", json!({"source_fid": "user:ada", "target_fid": "user:bob"})),
        message("r1", "ada", Some("m1")),
        user("ada"),
    ];
    // Each is under one that comes later.
    ada.extend((1..30).map(|at| comment(&format!("o{at}"), "ada", Some(&format!("o{}", at + 1)))));
    let bob = vec![
        comment("o30", "bob", None),
        (
            "activity",
            json!({"id": "b", "user_id": "bob", "type": "p", "fids": ["user:bob"], "parent_id": "a"}),
        ),
        ("activity", json!({"id": "a", "user_id": "bob", "type": "p", "fids": ["user:bob"]})),
        ("flag", json!({"entity_type": "comment", "entity_id": "o1", "user_id": "bob"})),
        message("m1", "bob", None),
        ("feed", json!({"group_id": "user", "id": "bob", "fid": "user:bob", "created_by_id": "bob"})),
        ("channel", json!({"type": "t", "id": "c", "created_by": "bob"})),
        user("bob"),
    ];
    let prepared = prepared(&[archive("ada", &ada), archive("bob", &bob)], true).unwrap();
    let (stubs, items) = (read(&prepared.stubs), read(&prepared.items));
    assert_eq!(items.len(), ada.len() + bob.len());
    // Beyond 16 readings, the server lets them wait.
    let is_deep = |item: &Value| {
        let id = item["item"]["id"].as_str().unwrap_or_default();
        item["type"] == "comment" && id.trim_start_matches('o').parse::<u32>().unwrap() < 16
    };
    let all: Vec<Value> = stubs.into_iter().chain(items.into_iter().filter(|item| !is_deep(item))).collect();
    let all: Vec<Value> = all.into_iter().filter(|item| item["type"] != "flag").collect();
    assert_in_order(&all);
}

#[test]
fn what_is_named_and_in_no_archive_is_made_once_and_before() {
    let ada = [
        ("user", json!({"id": "ada", "blocked_user_ids": ["eve"]})),
        ("channel", json!({"type": "t", "member_ids": ["ada", "bob"], "created_by": "ada"})),
        ("member", json!({"user_id": "ada", "channel_type": "t", "channel_member_ids": ["ada", "bob"]})),
        message("m1", "ada", None),
        message("m2", "ada", None),
        ("activity", json!({"id": "a", "user_id": "ada", "type": "p", "fids": ["user:eve"]})),
        ("call_member", json!({"call_type": "v", "call_id": "k", "user_id": "ada"})),
    ];
    let prepared = prepared(&[archive("ada", &ada)], true).unwrap();
    let stubs = read(&prepared.stubs);
    assert_in_order(&stubs);
    let shown: Vec<String> =
        stubs.iter().map(|stub| format!("{} {}", stub["type"].as_str().unwrap(), stub["item"])).collect();
    let distinct = r#"["ada","bob"]"#;
    assert_eq!(
        shown,
        [
            r#"user {"id":"ada"}"#.to_owned(),
            r#"user {"id":"bob"}"#.to_owned(),
            r#"user {"id":"eve"}"#.to_owned(),
            format!(r#"channel {{"created_by":"ada","member_ids":{distinct},"type":"t"}}"#),
            format!(r#"member {{"channel_member_ids":{distinct},"channel_type":"t","user_id":"ada"}}"#),
            format!(r#"member {{"channel_member_ids":{distinct},"channel_type":"t","user_id":"bob"}}"#),
            r#"channel {"created_by":"ada","id":"c","type":"t"}"#.to_owned(),
            r#"call {"created_by":"ada","id":"k","type":"v"}"#.to_owned(),
            r#"feed {"created_by_id":"ada","fid":"user:eve","group_id":"user","id":"eve"}"#.to_owned(),
        ]
    );
    assert_eq!(
        prepared.summary.lines(),
        ["stubs for what is in no archive: call 1, channel 1, feed 1, user 2"]
    );
}

#[test]
fn references_to_nothing_are_dropped_and_what_is_on_nothing_is_left_out() {
    let quoting =
        json!({"id": "m2", "user": "ada", "channel_type": "t", "channel_id": "c", "quoted_message_id": "no"});
    let ada = [
        message("m1", "ada", Some("no")),
        ("message", quoting),
        comment("o1", "ada", None),
        comment("o2", "ada", Some("o1")),
        ("activity", json!({"id": "b", "user_id": "ada", "type": "p", "fids": ["f:x"], "parent_id": "no"})),
        (
            "reaction",
            json!({"message_id": "no", "user_id": "ada", "type": "x", "created_at": "2024-05-01T12:00:00Z"}),
        ),
        ("reaction", json!({"activity_id": "b", "comment_id": "o1", "user_id": "ada", "type": "x"})),
        ("reaction", json!({"activity_id": "b", "user_id": "ada", "type": "x"})),
        ("flag", json!({"entity_type": "comment", "entity_id": "o1", "user_id": "ada"})),
        ("flag", json!({"entity_type": "user", "entity_id": "eve", "user_id": "ada"})),
        ("history", json!({"user_id": "ada"})),
    ];
    let prepared = prepared(&[archive("ada", &ada)], true).unwrap();
    let items = read(&prepared.items);
    let kinds: Vec<&str> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "message", "activity", "reaction", "flag"]);
    assert_eq!((&items[0]["item"]["type"], items[0]["item"].get("parent_id")), (&json!("regular"), None));
    assert_eq!((items[1]["item"].get("quoted_message_id"), items[2]["item"].get("parent_id")), (None, None));
    assert_eq!(
        prepared.summary.lines(),
        [
            "stubs for what is in no archive: channel 1, feed 1, user 2",
            "left out, not importable: history 1",
            "left out, on what is in no archive: comment 2, flag 1, reaction 2",
            "references dropped, to what is in no archive: activity.parent_id 1, message.parent_id 1, \
             message.quoted_message_id 1",
        ]
    );
}

#[test]
fn a_reply_to_a_comment_without_text_is_a_comment_of_its_own() {
    let ada = [
        ("activity", json!({"id": "a", "user_id": "ada", "type": "p", "fids": ["f:x"]})),
        ("comment", json!({"id": "o1", "user_id": "ada", "object_type": "activity", "object_id": "a"})),
        comment("o2", "ada", Some("o1")),
        ("reaction", json!({"activity_id": "a", "comment_id": "o1", "user_id": "ada", "type": "x"})),
    ];
    let prepared = prepared(&[archive("ada", &ada)], true).unwrap();
    let items = read(&prepared.items);
    assert_eq!((items.len(), items[1]["item"].get("parent_id")), (2, None));
    let lines = prepared.summary.lines();
    assert!(lines.contains(&"left out, without text: comment 1".to_owned()), "{lines:?}");
    assert!(lines.contains(&"left out, on what is in no archive: reaction 1".to_owned()), "{lines:?}");
}

#[test]
fn equal_rows_are_one_and_others_are_sent_for_the_server_to_refuse() {
    let one = ("channel", json!({"type": "t", "id": "c", "created_by": "ada", "color": "red"}));
    let same = ("channel", json!({"color": "red", "id": "c", "type": "t", "created_by": "ada"}));
    let other = ("channel", json!({"type": "t", "id": "c", "created_by": "ada", "color": "blue"}));
    let archives = [archive("ada", &[one]), archive("ada", &[same]), archive("ada", &[other])];
    let prepared = prepared(&archives, true).unwrap();
    let colors: Vec<Value> = read(&prepared.items).iter().map(|item| item["item"]["color"].clone()).collect();
    assert_eq!(colors, ["red", "blue"]);
    assert_eq!(prepared.items.1[1], Place { file: 2, line: 3 });
    assert!(prepared.summary.lines().contains(&"repeated: channel 1".to_owned()));
}

#[test]
fn circles_and_items_that_cannot_be_read_end_the_work_and_are_sent() {
    let ada = [
        ("activity", json!({"id": "a", "user_id": "ada", "type": "p", "fids": ["f:x"], "parent_id": "b"})),
        ("activity", json!({"id": "b", "user_id": "ada", "type": "p", "fids": ["f:x"], "parent_id": "a"})),
        ("activity", json!({"id": 7, "user_id": "ada", "type": "p", "fids": ["f:x"]})),
        ("comment", json!({"id": "o", "user_id": "ada", "text": "t"})),
        ("message", json!({"user": "ada"})),
    ];
    let prepared = prepared(&[archive("ada", &ada)], true).unwrap();
    assert_eq!(read(&prepared.items).len(), ada.len());
}

#[test]
fn faults_are_named_with_file_and_line_and_so_are_pseudonyms() {
    let whole = archive("ada", &[("user", json!({"id": "ada"})), message("m", "ada", None)]);
    let foreign = message("m", "bob", None).1;
    let mut bad = whole.clone();
    bad[3] = format!("{}\n", json!({"type": "message", "basis": "provided", "item": foreign}));
    let mut pseudonymous = whole.clone();
    pseudonymous[0] = pseudonymous[0].replace("KEEP", "PSEUDONYM");
    for (lines, place, sentence) in [
        (whole[..4].to_vec(), "1.jsonl:4: ", "has no `end`"),
        (bad, "1.jsonl:4: ", "is a record of `bob` in the archive of `ada`"),
        (pseudonymous, "1.jsonl", "references KEEP"),
        (vec![], "1.jsonl:1: ", "the file is empty"),
    ] {
        let refused = prepared(&[whole.clone(), lines], true).err().unwrap().to_string();
        assert!(refused.contains(place) && refused.contains(sentence), "{refused}");
    }
}

#[test]
fn where_nothing_is_replaced_stubs_come_within_the_items_and_once() {
    let ada = [
        ("user", json!({"id": "ada"})),
        ("channel", json!({"type": "t", "member_ids": ["ada", "bob"], "created_by": "ada", "color": "red"})),
        (
            "member",
            json!({"user_id": "ada", "channel_type": "t", "channel_member_ids": ["ada", "bob"], "x": 1}),
        ),
        message("m1", "ada", None),
        ("member", json!({"user_id": "ada", "channel_type": "t", "channel_member_ids": ["ada", "eve"]})),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ada.jsonl");
    std::fs::write(&file, archive("ada", &ada).concat()).unwrap();
    let prepare =
        || prepare_now(std::slice::from_ref(&file), Manner { trusted: true, replaces: false }).unwrap();
    let prepared = prepare();
    assert!(read(&prepared.stubs).is_empty());
    let items = read(&prepared.items);
    assert_in_order(&items);
    let shown: Vec<(&str, &Value)> =
        items.iter().map(|one| (one["type"].as_str().unwrap(), &one["item"])).collect();
    let kinds: Vec<&str> = shown.iter().map(|(kind, _)| *kind).collect();
    let expected = [
        "user", "user", "user", "channel", "member", "member", "channel", "member", "member", "channel",
        "message",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(
        (shown[2].1, &shown[3].1["color"], &shown[4].1["x"]),
        (&json!({"id": "ada"}), &json!("red"), &json!(1))
    );
    assert_eq!(prepared.summary.lines(), ["stubs for what is in no archive: channel 2, user 2"]);
    assert_eq!(read(&prepare().items), items, "so that an import can be resumed");
}
