//! `usher import --archive`: what was exported is there again; what archives refer to and do not hold is made or
//! left out; what is not whole is refused.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::archive_world::world;
use super::{Ended, client, client_of, ended};
use crate::harness::{Answer, Caller, TestServer, each_backend, item, pb, setting};
use crate::tasks::export::{archive, of_all, start, unpack};

/// The archives of these users, with the ids of other people.
async fn archives(caller: &Caller, users: &[&str]) -> Vec<Vec<u8>> {
    let keep = pb::ExportUsersRequest { references: pb::ExportReferences::Keep.into(), ..of_all(users) };
    let task = caller.completed(&start(caller, keep).await).await;
    let mut found = Vec::new();
    for index in 0..users.len() {
        found.push(archive(caller, &task, i32::try_from(index).unwrap()).await);
    }
    found
}

/// Everything in archives that an import takes, in an order of its own.
fn importable(archives: &[Vec<u8>]) -> Vec<String> {
    let records = archives.iter().flat_map(|archive| unpack(archive));
    let provided = records.filter(|record| record["basis"] == "provided" && record["type"] != "block");
    let mut found: Vec<String> = provided.map(|record| record.to_string()).collect();
    found.sort();
    found
}

/// Compressed lines.
fn pack(records: &[Value]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for record in records {
        writeln!(encoder, "{record}").unwrap();
    }
    encoder.finish().unwrap()
}

fn save(server: &TestServer, name: &str, content: &[u8]) -> PathBuf {
    let file = server.backend().dir().join(name);
    std::fs::write(&file, content).unwrap();
    file
}

/// `usher import --archive` of these files into the app of `target`.
async fn import(server: &TestServer, target: &Caller, files: &[PathBuf], flags: &[&str]) -> Ended {
    let mut args = vec!["import", "--archive"];
    args.extend(flags);
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    let credentials = target.credentials();
    ended(client_of(server, &credentials.kid, &args, &credentials.secret), "").await
}

async fn new_app(server: &TestServer, name: &str) -> Caller {
    server.of_app(server.backend().create_app(name, server.place()).await)
}

/// What differs, for a failure that can be read.
fn difference<'a>(one: &'a [String], other: &'a [String]) -> Vec<&'a String> {
    one.iter().filter(|record| !other.contains(record)).collect()
}

/// Two users who share channels, calls and feeds.
fn two() -> Vec<Value> {
    let time = "2024-05-01T12:00:00Z";
    let both = json!(["ada", "bob"]);
    let mut items = vec![
        item("user", json!({"id": "ada", "name": "Ada", "role": "admin"})),
        item("user", json!({"id": "bob", "name": "Bob"})),
        item(
            "channel",
            json!({"type": "messaging", "member_ids": both, "created_by": "ada",
            "frozen": true}),
        ),
        item("channel", json!({"type": "messaging", "id": "of-bob", "created_by": "bob"})),
        item(
            "member",
            json!({"channel_type": "messaging", "channel_id": "of-bob", "user_id": "ada",
            "channel_role": "channel_moderator"}),
        ),
        item("device", json!({"id": "d", "user_id": "ada", "push_provider_type": "apn"})),
        item("future_channel_ban", json!({"created_by": "ada", "target_id": "bob"})),
    ];
    for (user, other) in [("ada", "bob"), ("bob", "ada")] {
        let fid = format!("user:{user}");
        items.extend([
            item("member", json!({"channel_type": "messaging", "channel_member_ids": both, "user_id": user})),
            item("feed", json!({"group_id": "user", "id": user, "fid": fid, "created_by_id": user})),
            item(
                "activity",
                json!({"id": format!("a-{user}"), "type": "post", "user_id": user, "text": "a post",
                "fids": [fid]}),
            ),
            item(
                "comment",
                json!({"id": format!("o-{user}"), "object_type": "activity",
                "object_id": format!("a-{other}"), "user_id": user, "text": "a comment"}),
            ),
            item("reaction", json!({"activity_id": format!("a-{other}"), "type": "like", "user_id": user})),
            item("follow", json!({"source_fid": fid, "target_fid": format!("user:{other}")})),
        ]);
    }
    items.extend([
        item(
            "message",
            json!({"id": "m-bob", "channel_type": "messaging", "channel_id": "of-bob", "user": "bob",
            "text": "a question"}),
        ),
        item(
            "message",
            json!({"id": "m-ada", "channel_type": "messaging", "channel_id": "of-bob", "user": "ada",
            "text": "an answer", "type": "reply", "parent_id": "m-bob"}),
        ),
        item(
            "reaction",
            json!({"message_id": "m-bob", "type": "like", "user_id": "ada", "created_at": time}),
        ),
        item("flag", json!({"entity_type": "comment", "entity_id": "o-bob", "user_id": "ada"})),
        item("flag", json!({"entity_type": "user", "entity_id": "bob", "user_id": "ada"})),
    ]);
    items
}

each_backend! {
    async fn what_is_exported_and_imported_is_exported_again(server: TestServer) {
        let mut kinds = BTreeSet::new();
        let cases = setting::setting("USHER_TEST_CASES").map_or(8, |cases| cases.parse().unwrap());
        for seed in 0..cases {
            let source = new_app(&server, &format!("source-{seed}")).await;
            let target = new_app(&server, &format!("target-{seed}")).await;
            let (items, people) = world(seed);
            source.imported("world", &items).await;
            kinds.extend(items.iter().map(|item| item["type"].as_str().unwrap().to_owned()));
            let first = archives(&source, &people).await;
            // Each in a file of its own, or all in one.
            let files = if seed % 2 == 0 {
                vec![save(&server, "all.gz", &first.concat())]
            } else {
                let numbered = first.iter().enumerate().rev();
                numbered.map(|(at, one)| save(&server, &format!("{at}.gz"), one)).collect()
            };
            let mode = ["upsert", "insert"][usize::from(seed % 4 > 1)];
            let done = import(&server, &target, &files, &["--trusted", "--mode", mode]).await;
            assert_eq!(done.code, 0, "seed {seed}: {}{}", done.stdout, done.stderr);
            let second = archives(&target, &people).await;
            let (before, after) = (importable(&first), importable(&second));
            let (lost, new) = (difference(&before, &after), difference(&after, &before));
            assert!(before == after, "seed {seed}: lost {lost:#?}, new {new:#?}: {}", done.stdout);
        }
        assert_eq!(kinds.len(), 14, "{kinds:?}");
    }

    async fn what_deletions_have_left_is_imported(server: TestServer) {
        server.imported("two", &two()).await;
        let delete = async |user: &str, messages, activities| {
            let request = pb::DeleteUsersRequest { user_ids: vec![user.to_owned()], messages, activities,
                user: pb::DeleteMode::Pruning.into(), ..Default::default() };
            let task = server.users().delete_users(request).await.answered().task.unwrap();
            server.completed(&task).await;
        };
        delete("ada", pb::DeleteMode::Soft.into(), pb::DeleteMode::Soft.into()).await;
        delete("bob", pb::DeleteMode::Pruning.into(), pb::DeleteMode::Pruning.into()).await;
        let first = archives(&server, &["ada", "bob"]).await;
        let target = new_app(&server, "target").await;
        let file = save(&server, "all.gz", &first.concat());
        let done = import(&server, &target, &[file], &["--trusted"]).await;
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains("left out, without text: comment 1\n"), "{}", done.stdout);
        let second = archives(&target, &["ada", "bob"]).await;
        let (before, after) = (importable(&first), importable(&second));
        let deleted = before.iter().filter(|record| record.contains(r#""type":"deleted""#)).count();
        assert_eq!(deleted, 2, "{before:#?}");
        let lost = difference(&before, &after);
        assert!(lost.iter().all(|record| record.contains(r#""id":"o-bob""#)), "{lost:#?}");
        assert_eq!((lost.len(), difference(&after, &before).len()), (1, 0), "{lost:#?}");
    }

    async fn a_channel_that_lost_a_member_for_good_gets_another_name(server: TestServer) {
        let trio = json!(["ada", "bob", "eve"]);
        let mut items = vec![item("channel", json!({"type": "messaging", "member_ids": trio, "created_by": "ada"}))];
        for user in ["ada", "bob", "eve"] {
            items.push(item("user", json!({"id": user})));
            items.push(item("member", json!({"channel_type": "messaging", "channel_member_ids": trio, "user_id": user})));
        }
        items.push(item("message", json!({"id": "m", "channel_type": "messaging", "channel_member_ids": trio,
            "user": "ada", "text": "all"})));
        server.imported("trio", &items).await;
        let hard = pb::DeleteMode::Hard.into();
        let erase = pb::DeleteUsersRequest { user_ids: vec!["bob".to_owned()], user: hard, messages: hard,
            conversations: hard, ..Default::default() };
        server.completed(&server.users().delete_users(erase).await.answered().task.unwrap()).await;
        let first = archives(&server, &["ada", "eve"]).await;
        let target = new_app(&server, "target").await;
        let file = save(&server, "all.gz", &first.concat());
        let done = import(&server, &target, &[file], &["--trusted"]).await;
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        let (before, after) = (importable(&first), importable(&archives(&target, &["ada", "eve"]).await));
        let is_renamed = |record: &&String| record.contains("\"!erased-");
        assert_eq!(before.iter().filter(is_renamed).count(), 4, "{before:#?}");
        let renamed: Vec<String> = before.iter().map(|record| record.replace("\"!erased-", "\"erased-")).collect();
        assert_eq!(renamed, after);
    }

    async fn one_archive_alone_is_imported_with_stubs_and_leaves_others_as_they_are(server: TestServer) {
        server.imported("two", &two()).await;
        let file = save(&server, "ada.gz", &archives(&server, &["ada"]).await.concat());
        let target = new_app(&server, "target").await;
        let bob = json!({"id": "bob", "name": "Bob of here"});
        target.imported("before", &[item("user", bob)]).await;
        let done = import(&server, &target, std::slice::from_ref(&file), &[]).await;
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        for line in [
            "refused: 0",
            "stubs for what is in no archive: channel 1, feed 1, user 1",
            "left out, on what is in no archive: comment 1, flag 1, reaction 2",
            "references dropped, to what is in no archive: message.parent_id 1",
            "dropped without --trusted: future_channel_ban 1, member.channel_role 1, user.role 1",
        ] {
            assert!(done.stdout.lines().any(|found| found == line), "{line}: {}", done.stdout);
        }
        assert_eq!(target.user("bob").await.name, "Bob of here");
        assert_eq!(target.user("ada").await.role, "user");
        let request = pb::GetChannelRequest { cid: "messaging:of-bob".to_owned(), ..Default::default() };
        let stub = target.content().get_channel(request).await.answered().channel.unwrap();
        assert_eq!((stub.created_by_id.as_str(), stub.members_total), ("ada", 1));

        let again = import(&server, &target, &[file], &[]).await;
        assert!(again.lines().contains(&"nothing to do: this import was complete"), "{}", again.stdout);
    }

    async fn insert_leaves_what_exists_and_stores_the_rest_whole(server: TestServer) {
        server.imported("two", &two()).await;
        let files = [save(&server, "all.gz", &archives(&server, &["ada", "bob"]).await.concat())];
        let target = new_app(&server, "target").await;
        let theirs = json!({"id": "ada", "name": "Ada of here", "role": "moderator"});
        target.imported("before", &[item("user", theirs)]).await;
        let done = import(&server, &target, &files, &["--mode", "insert"]).await;
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains("skipped: 1\n"), "{}", done.stdout);
        let (ada, bob) = (target.user("ada").await, target.user("bob").await);
        assert_eq!((ada.name.as_str(), ada.role.as_str(), bob.name.as_str()), ("Ada of here", "moderator", "Bob"));
        let pair = pb::GetChannelRequest { r#type: "messaging".to_owned(),
            member_ids: vec!["bob".to_owned(), "ada".to_owned()], ..Default::default() };
        let pair = target.content().get_channel(pair).await.answered().channel.unwrap();
        assert_eq!((pair.team.as_str(), pair.frozen, pair.members_total), ("", true, 2));
    }

    async fn what_is_not_whole_or_has_pseudonyms_is_refused_before_anything_is_sent(server: TestServer) {
        server.imported("two", &two()).await;
        let kept = archives(&server, &["ada", "bob"]).await;
        let task = server.completed(&start(&server, of_all(&["ada"])).await).await;
        let pseudonymous = archive(&server, &task, 0).await;
        let (ada, bob) = (unpack(&kept[0]), unpack(&kept[1]));
        let mut foreign = ada.clone();
        let at = foreign.iter().position(|record| record["type"] == "message").unwrap();
        foreign[at] = bob.iter().find(|record| record["type"] == "message").unwrap().clone();
        let mut fewer = ada.clone();
        fewer.remove(at);
        let mut flipped = kept[0].clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x10;
        let good = save(&server, "good.gz", &kept[1]);
        let target = new_app(&server, "target").await;
        for (content, sentence) in [
            (kept[0][..kept[0].len() - 9].to_vec(), "the file is cut off here"),
            (pack(&ada[..ada.len() - 1]), "has no `end`"),
            (flipped, "bad.gz:"),
            (pack(&foreign), "is a record of `bob` in the archive of `ada`"),
            (pack(&fewer), "`end` counts"),
            (pseudonymous, "with references KEEP"),
            (b"{\"type\": \"user\", \"item\": {\"id\": \"ada\"}}\n".to_vec(), "bad.gz:1: "),
            (Vec::new(), "bad.gz:1: the file is empty"),
        ] {
            let bad = save(&server, "bad.gz", &content);
            let refused = import(&server, &target, &[good.clone(), bad], &["--trusted"]).await;
            let text = refused.failed(1);
            assert!(text.contains(sentence) && text.contains("bad.gz"), "{sentence}: {text}");
        }
        assert!(target.read(&["ada".to_owned(), "bob".to_owned()]).await.is_empty());
    }

    async fn what_the_server_refuses_is_shown_with_its_place_in_the_archive(server: TestServer) {
        server.imported("two", &two()).await;
        let mut records = unpack(&archives(&server, &["ada"]).await[0]);
        let at = records.iter().position(|record| record["type"] == "device").unwrap();
        records[at]["item"]["push_provider_type"] = "pigeon".into();
        let file = save(&server, "ada.gz", &pack(&records));
        let target = new_app(&server, "target").await;
        let done = import(&server, &target, std::slice::from_ref(&file), &["--trusted"]).await;
        let place = format!("{}:{}: item ", file.display(), at + 1);
        let text = done.failed(3);
        assert!(text.contains(&place) && text.contains("push_provider_type"), "{text}");
        assert_eq!(target.user("ada").await.role, "admin");

        let other = new_app(&server, "other").await;
        let events = import(&server, &other, &[file], &["--json"]).await;
        let events = events.json();
        let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!((names[0], names[1], names[names.len() - 1]), ("archives", "started", "done"));
        assert_eq!(events[0]["stubs"], json!({"user": 1, "channel": 1, "feed": 1}));
        let refused = events.iter().find(|event| event["event"] == "refused").unwrap();
        assert_eq!(refused["line"], json!(at + 1));
    }

    async fn flags_that_do_not_go_together_are_refused(server: TestServer) {
        let file = save(&server, "users.jsonl", b"{\"type\": \"user\", \"item\": {\"id\": \"ada\"}}\n");
        let (path, dir) = (file.to_str().unwrap(), server.backend().dir().to_str().unwrap().to_owned());
        for args in [
            &["import", path, path][..],
            &["import", "--trusted", path],
            &["import", "--archive"],
            &["import", "--archive", "--import-id", "x", path],
            &["import", "--archive", &dir],
            &["import", "--archive", "/nowhere"],
            &["import", "--archive", "-"],
        ] {
            let said = ended(client(&server, args, &server.credentials().secret), "").await;
            assert_eq!(said.code, 2, "{args:?}: {}{}", said.stdout, said.stderr);
        }
        assert!(server.read(&["ada".to_owned()]).await.is_empty());
    }
}
