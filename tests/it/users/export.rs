//! `ExportUser`: everything about a user, and nothing of others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tonic::{Code, Status, Streaming};
use usher::storage::columns::TABLES;
use usher::storage::columns::release::{Field, Form, Found, Release};

use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, item, pb, reason_of, schema};

const TIME: &str = "2024-05-01T12:00:00Z";

pub(crate) fn of(user: &str) -> pb::ExportUserRequest {
    pb::ExportUserRequest { user_id: user.to_owned(), ..Default::default() }
}

async fn open(caller: &Caller, request: pb::ExportUserRequest) -> Streaming<pb::ExportUserResponse> {
    caller.users().export_user(request).await.answered()
}

async fn read(mut stream: Streaming<pb::ExportUserResponse>) -> Result<Vec<Value>, Status> {
    let mut records = Vec::new();
    while let Some(message) = stream.message().await? {
        assert!(!message.records.is_empty());
        records.extend(message.records.iter().map(|record| serde_json::from_str::<Value>(record).unwrap()));
    }
    Ok(records)
}

/// All records, whose frame is checked.
pub(crate) async fn exported(caller: &Caller, request: pb::ExportUserRequest) -> Vec<Value> {
    let user = request.user_id.clone();
    let records = read(open(caller, request).await).await.unwrap();
    let (first, last) = (&records[0], &records[records.len() - 1]);
    assert_eq!((&first["type"], &first["item"]["user_id"]), (&json!("export"), &json!(user)));
    assert_eq!((&records[1]["type"], &last["type"]), (&json!("about"), &json!("end")));
    schema::check(&records);
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    for record in &records[2..records.len() - 1] {
        assert!(["provided", "observed"].contains(&record["basis"].as_str().unwrap()), "{record}");
        *counted.entry(record["type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(last["item"]["records"], json!(counted));
    records
}

fn items<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == kind).map(|record| &record["item"]).collect()
}

async fn refused(caller: &Caller, request: pb::ExportUserRequest) -> Status {
    caller.users().export_user(request).await.unwrap_err()
}

fn in_channel(kind: &str, channel: &str, mut fields: Value) -> Value {
    fields["channel_type"] = "messaging".into();
    fields["channel_id"] = channel.into();
    fields["created_at"] = TIME.into();
    item(kind, fields)
}

/// Three users who have everything, and share all of it.
fn world() -> Vec<Value> {
    let users = ["ada", "bob", "eve"];
    let mut items = vec![item("call", json!({"type": "default", "id": "pair", "created_by": "bob"}))];
    items.extend(["ada", "bob"].map(|user| {
        item("call_member", json!({"call_type": "default", "call_id": "pair", "user_id": user}))
    }));
    for (at, user) in users.into_iter().enumerate() {
        let other = users[(at + 1) % 3];
        items.extend([
            item(
                "user",
                json!({"id": user, "name": user, "blocked_user_ids": [other],
                "privacy_settings": {"read_receipts": {"enabled": true}},
                "push_notifications": {"disabled": true, "disabled_until": TIME}}),
            ),
            item(
                "device",
                json!({"id": format!("phone-of-{at}"), "user_id": user, "push_provider_type": "apn"}),
            ),
            item("future_channel_ban", json!({"target_id": other, "created_by": user, "reason": "noise"})),
            item(
                "channel",
                json!({"type": "messaging", "id": format!("c{at}"), "created_by": user,
                "banned_users": [other]}),
            ),
            item(
                "feed",
                json!({"group_id": "user", "id": user, "fid": format!("user:{user}"),
                "created_by_id": user, "name": user}),
            ),
            item(
                "follow",
                json!({"source_fid": format!("user:{user}"), "target_fid": format!("user:{other}")}),
            ),
            item(
                "activity",
                json!({"id": format!("a{at}"), "type": "post", "user_id": user, "text": "a post",
                "fids": [format!("user:{user}"), format!("user:{other}")], "mentioned_user_ids": [other]}),
            ),
            item(
                "comment",
                json!({"id": format!("o{at}"), "object_type": "activity", "object_id": format!("a{at}"),
                "user_id": other, "text": "a comment", "mentioned_user_ids": [user]}),
            ),
            item("reaction", json!({"activity_id": format!("a{at}"), "type": "like", "user_id": other})),
            item(
                "reaction",
                json!({"activity_id": format!("a{at}"), "comment_id": format!("o{at}"),
                "type": "wow", "user_id": user}),
            ),
            item(
                "flag",
                json!({"entity_type": "user", "entity_id": other, "user_id": user, "reason": "rude"}),
            ),
            item(
                "flag",
                json!({"entity_type": "message", "entity_id": format!("m{at}"), "user_id": other,
                "reason": format!("spam by {other}")}),
            ),
            item(
                "call",
                json!({"type": "default", "id": format!("k{at}"), "created_by": user,
                "started_at": TIME, "ended_at": TIME}),
            ),
            in_channel(
                "message",
                &format!("c{at}"),
                json!({"id": format!("m{at}"), "user": user, "text": "words",
                "html": "<p>words</p>", "attachments": [{"type": "file"}], "mentioned_users_ids": [other],
                "pinned_at": TIME, "pinned_by_id": other, "pin_expires": TIME, "quoted_message_id": "x"}),
            ),
            in_channel(
                "message",
                &format!("c{at}"),
                json!({"id": format!("r{at}"), "user": user, "text": "a secret",
                "type": "reply", "parent_id": format!("m{at}"), "restricted_visibility": [other]}),
            ),
            item(
                "reaction",
                json!({"message_id": format!("m{at}"), "type": "like", "user_id": other,
                "created_at": TIME}),
            ),
        ]);
        for member in users {
            items.push(in_channel("member", &format!("c{at}"), json!({"user_id": member})));
            items.push(item(
                "call_member",
                json!({"call_type": "default", "call_id": format!("k{at}"), "user_id": member}),
            ));
        }
    }
    items
}

/// Does to each user what leaves marks, sessions, tasks and a history.
async fn live(server: &TestServer) {
    for user in ["ada", "bob", "eve"] {
        let token = server.user_token(user).await;
        server.users().connect_user(pb::ConnectUserRequest { token, ..Default::default() }).await.answered();
        let mark = pb::DeactivateUsersRequest {
            user_ids: vec![user.to_owned()],
            created_by_id: user.to_owned(),
            reason: "a pause".to_owned(),
            request_id: format!("pause-{user}"),
            mark_messages_deleted: true,
            mark_channels_deleted: true,
        };
        let task = server.users().deactivate_users(mark).await.answered().task.unwrap();
        server.completed(&task).await;
    }
    let delete = pb::DeleteUsersRequest {
        user_ids: vec!["ada".to_owned(), "bob".to_owned()],
        calls: pb::DeleteMode::Soft.into(),
        ..Default::default()
    };
    let task = server.users().delete_users(delete).await.answered().task.unwrap();
    server.completed(&task).await;
}

/// Columns whose values other columns, or the server, depend on.
const FIXED: [(&str, &str); 12] = [
    ("messages", "channel_type"),
    ("tasks", "request_id"),
    ("users", "id"),
    ("tasks", "kind"),
    ("tasks", "state"),
    ("channels", "type"),
    ("calls", "type"),
    ("comments", "activity_id"),
    ("feeds", "group_id"),
    ("flags", "entity_type"),
    ("messages", "type"),
    ("named_users", "owner_id"),
];

/// What is planted in a column: a statement's value, and what the export shows of it. Flags, numbers and ids are
/// not planted: they are alike for many rows.
fn planted(table: &str, field: &Field, mine: bool, no: usize) -> Option<(String, String)> {
    let whose = if mine { "mine" } else { "theirs" };
    let marker = format!("{whose}-{table}-{}", field.column);
    match field.form {
        Form::Text | Form::MessageType => Some((format!("'{marker}'"), marker)),
        Form::Json if field.name == "attachments" => Some((format!("'[{{\"x\": \"{marker}\"}}]'"), marker)),
        Form::Json => Some((format!("'{{\"x\": \"{marker}\"}}'"), marker)),
        Form::Time => {
            let second = 2 * no + usize::from(mine);
            let micros = 1_500_000_000_000_000 + 1_000_000 * second;
            let at =
                time::OffsetDateTime::from_unix_timestamp(1_500_000_000 + i64::try_from(second).unwrap());
            let shown = at.unwrap().format(&time::format_description::well_known::Rfc3339).unwrap();
            Some((micros.to_string(), shown))
        }
        _ => None,
    }
}

/// The columns that name the user of a release.
fn named_by(release: &Release) -> Option<&'static str> {
    match release.found {
        Found::By(column) | Found::ByWhere(column, _) => Some(column),
        _ => None,
    }
}

/// Plants a value of its own in every column that a release holds, for `ada` and for the others; what the export
/// must show, and must not.
async fn plant(server: &TestServer) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    // Presence is written behind; this writes it.
    server.apps().get_app(pb::GetAppRequest {}).await.answered();
    let (mut mine, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    let (backend, place) = (server.backend(), server.place());
    let mut no = 0;
    let mut done = BTreeSet::new();
    for (table, release) in TABLES.iter().flat_map(|table| table.released.iter().map(move |one| (table, one)))
    {
        let Some(by) = named_by(release) else { continue };
        for field in release.fields {
            no += 1;
            let fixed = field.column.is_empty()
                || release.order.contains(&field.column)
                || field.column == by
                || FIXED.contains(&(table.name, field.column));
            if fixed || !done.insert((table.name, field.column)) {
                continue;
            }
            for (is_mine, which) in [(true, "="), (false, "<>")] {
                let Some((value, shown)) = planted(table.name, field, is_mine, no) else { continue };
                let statement =
                    format!("UPDATE {} SET {} = {value} WHERE {by} {which} 'ada'", table.name, field.column);
                backend.meddle(place, &statement).await;
                let place = format!("{}.{}", table.name, field.column);
                // When others did something to the user is released.
                if is_mine {
                    mine.insert(shown, place);
                } else if field.column != "created_at" {
                    theirs.insert(shown, place);
                }
            }
        }
    }
    (mine, theirs)
}

each_backend! {
    async fn everything_of_the_user_is_exported_and_nothing_of_others(server: TestServer) {
        server.imported("world", &world()).await;
        live(&server).await;
        let (mine, theirs) = plant(&server).await;
        let records = exported(&server, of("ada")).await;
        let text = records.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let missing: Vec<_> = mine.iter().filter(|(marker, _)| !text.contains(*marker)).collect();
        let leaked: Vec<_> = theirs.iter().filter(|(marker, _)| text.contains(*marker)).collect();
        assert!(missing.is_empty() && leaked.is_empty(), "missing {missing:?}, leaked {leaked:?}\n{text}");
        assert!(mine.len() > 60, "only {} values were planted", mine.len());
        // Every kind of record that there is, but for those of messages received.
        let kinds: BTreeSet<&str> = records.iter().filter_map(|record| record["type"].as_str()).collect();
        let all = TABLES.iter().flat_map(|table| table.released.iter().map(|release| release.record));
        let absent: Vec<&str> = all.filter(|kind| !kinds.contains(kind) && *kind != "message_received").collect();
        assert!(absent.is_empty(), "no record of {absent:?}");
        for id in ["bob", "eve"] {
            assert!(!text.contains(&format!("\"{id}\"")) && !text.contains(&format!(":{id}\"")), "{id} in {text}");
        }
    }

    async fn who_flagged_and_banned_is_not_said_and_shadow_bans_are_not_there(server: TestServer) {
        server.imported("world", &world()).await;
        let shadow = json!({"target_id": "ada", "created_by": "bob", "shadow": true, "reason": "hidden away"});
        server.imported("shadow", &[item("future_channel_ban", shadow)]).await;
        let records = exported(&server, of("ada")).await;
        let bans = items(&records, "ban_received");
        // The list of a channel, and the ban by eve; not the shadow ban by bob.
        assert_eq!(bans.len(), 2, "{bans:?}");
        assert!(bans.iter().all(|ban| ban["banned_by_id"] == "~"), "{bans:?}");
        let flags = items(&records, "flag_received");
        let entities: BTreeSet<_> = flags.iter().map(|flag| flag["entity_id"].as_str().unwrap()).collect();
        assert_eq!(entities, BTreeSet::from(["ada", "m0"]));
        assert!(flags.iter().all(|flag| flag["flagged_by_id"] == "~" && flag.get("reason").is_none()));
        let text = records.iter().map(ToString::to_string).collect::<String>();
        assert!(!text.contains("spam by bob") && !text.contains("hidden away"), "{text}");
        let counts = items(&records, "reactions_received");
        assert!(counts.contains(&&json!({"message_id": "m0", "counts": {"like": 1}})), "{counts:?}");
    }

    async fn other_people_have_one_pseudonym_each_or_keep_their_ids(server: TestServer) {
        server.imported("world", &world()).await;
        let records = exported(&server, of("ada")).await;
        let message = items(&records, "message").into_iter().find(|one| one["id"] == "m0").unwrap().clone();
        // ada blocks bob, mentions bob, was pinned by bob.
        let user = items(&records, "user")[0].clone();
        assert_eq!(user["blocked_user_ids"], message["mentioned_users_ids"]);
        assert_eq!(message["mentioned_users_ids"][0], message["pinned_by_id"]);
        assert!(message["pinned_by_id"].as_str().unwrap().starts_with('~'), "{message}");
        let follow = items(&records, "follow")[0].clone();
        assert_eq!(follow["source_fid"], "user:ada");
        assert!(follow["target_fid"].as_str().unwrap().starts_with("user:~c"), "{follow}");

        let keep = pb::ExportUserRequest { references: pb::ExportReferences::Keep.into(), ..of("ada") };
        let kept = exported(&server, keep).await;
        let message = items(&kept, "message").into_iter().find(|one| one["id"] == "m0").unwrap().clone();
        assert_eq!((&message["pinned_by_id"], &message["mentioned_users_ids"]), (&json!("bob"), &json!(["bob"])));
        assert_eq!(items(&kept, "follow")[0]["target_fid"], "user:bob");
        let keys = |records: &[Value]| records.iter().map(|one| one["type"].to_string()).collect::<Vec<_>>();
        assert_eq!(keys(&records), keys(&kept));
    }

    async fn a_distinct_channel_is_named_by_its_members(server: TestServer) {
        let members = ["ada", "bob"];
        let distinct = json!({"type": "messaging", "member_ids": members, "created_by": "ada"});
        let member = |user: &str| item("member",
            json!({"channel_type": "messaging", "channel_member_ids": members, "user_id": user}));
        let message = json!({"id": "m", "channel_type": "messaging", "channel_member_ids": members, "user": "ada"});
        let items_of = [item("user", json!({"id": "ada"})), item("user", json!({"id": "bob"})),
            item("channel", distinct), member("ada"), member("bob"), item("message", message)];
        server.imported("distinct", &items_of).await;
        let records = exported(&server, of("ada")).await;
        let channel = items(&records, "channel")[0].clone();
        assert_eq!((&channel["id"], &channel["member_ids"]), (&json!("~c1"), &json!(["ada", "~1"])));
        assert_eq!(items(&records, "message")[0]["channel_id"], "~c1");
        let keep = pb::ExportUserRequest { references: pb::ExportReferences::Keep.into(), ..of("ada") };
        let kept = exported(&server, keep).await;
        let channel = items(&kept, "channel")[0].clone();
        assert_eq!((channel.get("id"), &channel["member_ids"]), (None, &json!(members)));
        assert_eq!(items(&kept, "message")[0]["channel_member_ids"], json!(members));
    }

    async fn messages_received_are_added_where_it_is_asked_for(server: TestServer) {
        let people = ["ada", "bob", "eve"].map(|id| item("user", json!({"id": id})));
        let channels = ["pair", "group"]
            .map(|id| item("channel", json!({"type": "messaging", "id": id, "created_by": "bob"})));
        let members = [("pair", "ada"), ("pair", "bob"), ("group", "ada"), ("group", "bob"), ("group", "eve")]
            .map(|(channel, user)| in_channel("member", channel, json!({"user_id": user})));
        let messages = [
            in_channel("message", "pair", json!({"id": "direct", "user": "bob", "text": "dear"})),
            in_channel("message", "pair", json!({"id": "mine", "user": "ada", "text": "dear bob"})),
            in_channel("message", "pair", json!({"id": "not-shown", "user": "bob", "text": "a note",
                "restricted_visibility": ["bob"]})),
            in_channel("message", "group", json!({"id": "to-all", "user": "bob", "text": "all"})),
            in_channel("message", "group", json!({"id": "to-ada", "user": "eve", "text": "psst",
                "restricted_visibility": ["ada"]})),
        ];
        let all: Vec<Value> = people.into_iter().chain(channels).chain(members).chain(messages).collect();
        server.imported("received", &all).await;
        assert!(items(&exported(&server, of("ada")).await, "message_received").is_empty());
        let with = pb::ExportUserRequest { include_received: true, ..of("ada") };
        let records = exported(&server, with).await;
        let received = items(&records, "message_received");
        let ids: Vec<_> = received.iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["direct", "to-ada"]);
        assert!(received.iter().all(|one| one["user"].as_str().unwrap().starts_with('~')), "{received:?}");
    }

    async fn a_portable_export_holds_only_what_the_user_provided(server: TestServer) {
        server.imported("world", &world()).await;
        let portable = pb::ExportUserRequest { scope: pb::ExportScope::Portability.into(), ..of("ada") };
        let records = exported(&server, portable).await;
        let bases: BTreeSet<_> = records.iter().filter_map(|record| record["basis"].as_str()).collect();
        assert_eq!(bases, BTreeSet::from(["provided"]));
        assert_eq!(items(&records, "message").len(), 2);
    }

    async fn users_who_are_gone_or_unknown_are_refused_and_bad_requests_say_what_is_wrong(server: TestServer) {
        let unknown = refused(&server, of("nobody")).await;
        assert_eq!((unknown.code(), &*reason_of(&unknown)), (Code::NotFound, "USER_NOT_FOUND"));
        let bad = pb::ExportUserRequest {
            user_id: "a b".to_owned(),
            references: 9,
            scope: pb::ExportScope::Portability.into(),
            include_received: true,
        };
        let bad = refused(&server, bad).await;
        assert_eq!(bad.code(), Code::InvalidArgument);
        assert_eq!(fields_of(&bad), ["user_id", "references", "include_received"]);
    }

    async fn an_export_ends_without_its_last_record_when_its_user_is_erased(server: TestServer) {
        let text = "x".repeat(20_000);
        let mut all = vec![item("user", json!({"id": "ada"})),
            item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"}))];
        all.extend((0..400).map(|at| {
            in_channel("message", "c", json!({"id": format!("m{at:03}"), "user": "ada", "text": text}))
        }));
        server.imported("heavy", &all).await;
        let mut stream = open(&server, of("ada")).await;
        let first = stream.message().await.unwrap().unwrap();
        assert!(first.records[0].contains(r#""type":"export""#));
        let hard = pb::DeleteMode::Hard.into();
        let erase = pb::DeleteUsersRequest {
            user_ids: vec!["ada".to_owned()],
            user: hard,
            messages: hard,
            conversations: hard,
            ..Default::default()
        };
        let task = server.users().delete_users(erase).await.answered().task.unwrap();
        server.completed(&task).await;
        let mut last = String::new();
        let ended = loop {
            match stream.message().await {
                Ok(Some(message)) => last.clone_from(message.records.last().unwrap()),
                Ok(None) => panic!("the export ended well"),
                Err(status) => break status,
            }
        };
        assert_eq!((ended.code(), &*reason_of(&ended)), (Code::Aborted, "CONFLICT"));
        assert!(!last.contains(r#""type":"end""#));
    }
}
