//! Every option of a deletion with every other, and the whole database compared with a model.

use std::fmt::Write as _;
use std::sync::Mutex;

use futures_util::future::join_all;
use serde_json::{Value, json};
use usher::storage::columns::{TABLES, Trace, traces};

use super::deletion_model::{APART, Deletion, Plan, counted_rows, differences};
use crate::harness::{Answer, Dump, Kind, Row, TestServer, eventually, item, pb, run, setting};
use pb::DeleteMode::{self, Hard, Keep, Pruning, Soft};

const TIME: &str = "2024-05-01T12:00:00Z";

/// All plans there may be.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for number in 0..3 * 4 * 3 * 3 * 4 * 2 * 4 {
        let mut rest: usize = number;
        let mut pick = |of: &[DeleteMode]| {
            let picked = of[rest % of.len()];
            rest /= of.len();
            picked
        };
        let plan = Plan {
            user: pick(&[Soft, Pruning, Hard]),
            messages: pick(&[Soft, Pruning, Hard, Keep]),
            conversations: pick(&[Soft, Hard, Keep]),
            calls: pick(&[Soft, Hard, Keep]),
            activities: pick(&[Soft, Pruning, Hard, Keep]),
            files: pick(&[Keep, Hard]) == Hard,
            channel_heir: pick(&[Keep, Hard]) == Hard,
            call_heir: pick(&[Keep, Hard]) == Hard,
        };
        if plan.user != Hard || (plan.messages, plan.conversations) == (Hard, Hard) {
            plans.push(plan);
        }
    }
    plans
}

/// Any two choices of `plan` together.
fn pairs(plan: &Plan) -> Vec<(usize, i32, usize, i32)> {
    let modes = [plan.user, plan.messages, plan.conversations, plan.calls, plan.activities].map(i32::from);
    let flags = [plan.files, plan.channel_heir, plan.call_heir].map(i32::from);
    let all: Vec<(usize, i32)> = modes.into_iter().chain(flags).enumerate().collect();
    let with_later =
        |(at, one): (usize, i32)| all[at + 1..].iter().map(move |(to, other)| (at, one, *to, *other));
    all.iter().copied().flat_map(with_later).collect()
}

/// All plans where more cases are asked for, or else so many that any two choices come together.
fn chosen() -> Vec<Plan> {
    let mut plans = plans();
    if setting::setting("USHER_TEST_CASES").is_some() {
        return plans;
    }
    let mut open: std::collections::BTreeSet<_> = plans.iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !open.is_empty() {
        plans.sort_by_cached_key(|plan| pairs(plan).iter().filter(|pair| open.contains(pair)).count());
        let best = plans.pop().unwrap();
        for pair in pairs(&best) {
            open.remove(&pair);
        }
        chosen.push(best);
    }
    chosen
}

/// Databases are compared as a whole: after so many worlds a new one is begun.
const WORLDS: usize = 6;
/// So many databases at a time.
const LANES: usize = 3;

/// Who is to be deleted: two who are active, one who is deactivated, and one who was deleted softly before.
const VICTIMS: [&str; 4] = ["a", "b", "off", "gone"];

/// The users of the world `w`, who share everything there is.
#[expect(clippy::too_many_lines, reason = "it is a list of things")]
fn world(w: usize) -> Vec<Value> {
    let id = |name: &str| format!("{name}-w{w}");
    let mut items = Vec::new();
    let mut add = |kind: &str, mut content: Value| {
        if !["follow", "user"].contains(&kind) {
            content["created_at"] = json!(TIME);
        }
        items.push(item(kind, content));
    };
    for (user, blocks) in [
        ("a", vec![id("c")]),
        ("b", vec![]),
        ("off", vec![id("gone")]),
        ("gone", vec![id("b")]),
        ("c", vec![id("a")]),
        ("d", vec![]),
        ("heir", vec![]),
    ] {
        add(
            "user",
            json!({"id": id(user), "name": format!("Name {user}"), "image": "https://x.test/i.png",
            "language": "de", "teams": ["red"], "hobby": "chess", "blocked_user_ids": blocks}),
        );
        add(
            "device",
            json!({"id": id(&format!("dev-{user}")), "user_id": id(user), "push_provider_type": "apn"}),
        );
    }
    for (name, owner, members) in [
        ("pair", "a", &["a", "c"][..]),
        ("duo", "b", &["a", "b"]),
        ("trio", "a", &["a", "b", "c"]),
        ("other", "c", &["c", "d"]),
        ("owned", "b", &["c", "d"]),
        ("left", "gone", &["gone", "c"]),
        ("still", "off", &["off", "gone"]),
    ] {
        add("channel", json!({"type": "messaging", "id": id(name), "created_by": id(owner)}));
        add("call", json!({"type": "default", "id": id(name), "created_by": id(owner)}));
        for member in members {
            add(
                "member",
                json!({"channel_type": "messaging", "channel_id": id(name), "user_id": id(member)}),
            );
            add("call_member", json!({"call_type": "default", "call_id": id(name), "user_id": id(member)}));
        }
        for author in ["a", "b", "off", "gone", "c"] {
            let message = id(&format!("m-{name}-{author}"));
            add(
                "message",
                json!({"id": message, "channel_type": "messaging", "channel_id": id(name),
                "user": id(author), "text": "secret", "html": "<p>secret</p>", "mood": "good",
                "attachments": [{"type": "file", "title": "x"}], "mentioned_users_ids": [id("a"), id("d")],
                "restricted_visibility": if author == "c" { vec![id("a")] } else { vec![id("a"), id("c")] },
                "pinned_at": TIME, "pinned_by_id": id("b")}),
            );
            for user in ["a", "gone", "d"] {
                add("reaction", json!({"message_id": message, "type": "like", "user_id": id(user)}));
                add("flag", json!({"entity_type": "message", "entity_id": message, "user_id": id(user)}));
            }
        }
        add(
            "message",
            json!({"id": id(&format!("gone-{name}")), "channel_type": "messaging",
            "channel_id": id(name), "user": id("a"), "text": "old", "type": "deleted", "deleted_at": TIME}),
        );
        add(
            "message",
            json!({"id": id(&format!("reply-{name}")), "channel_type": "messaging", "type": "reply",
            "channel_id": id(name), "user": id("c"), "text": "re", "parent_id": id(&format!("m-{name}-a"))}),
        );
    }
    for user in ["a", "b", "off", "gone", "c"] {
        add(
            "feed",
            json!({"group_id": "user", "id": id(&format!("f{user}")), "fid": format!("user:{}", id(&format!("f{user}"))),
            "created_by_id": id(user), "name": "mine", "description": "all of it"}),
        );
    }
    let fid = |user: &str| format!("user:{}", id(&format!("f{user}")));
    for (from, to) in [("a", "c"), ("c", "a"), ("c", "b"), ("b", "a"), ("gone", "c"), ("off", "gone")] {
        add("follow", json!({"source_fid": fid(from), "target_fid": fid(to)}));
    }
    for author in ["a", "b", "off", "gone", "c"] {
        let activity = id(&format!("act-{author}"));
        add(
            "activity",
            json!({"id": activity, "type": "post", "user_id": id(author), "fids": [fid("a"), fid("c")],
            "text": "post", "custom": {"k": 1}, "attachments": [{"type": "image"}], "mentioned_user_ids": [id("b"), id("c")]}),
        );
        add("flag", json!({"entity_type": "activity", "entity_id": activity, "user_id": id("c")}));
        for user in ["a", "c"] {
            add("reaction", json!({"activity_id": activity, "type": "like", "user_id": id(user)}));
        }
        for commenter in ["b", "gone", "c"] {
            let comment = id(&format!("com-{author}-{commenter}"));
            add(
                "comment",
                json!({"id": comment, "object_type": "activity", "object_id": activity,
                "user_id": id(commenter), "text": "nice", "custom": {"k": 1}, "mentioned_user_ids": [id("a")]}),
            );
            for user in ["a", "d"] {
                add(
                    "reaction",
                    json!({"activity_id": activity, "comment_id": comment, "type": "up", "user_id": id(user)}),
                );
            }
        }
    }
    for (by, on) in [("a", "c"), ("c", "a"), ("c", "d"), ("gone", "off")] {
        add("flag", json!({"entity_type": "user", "entity_id": id(on), "user_id": id(by)}));
        add("future_channel_ban", json!({"target_id": id(on), "created_by": id(by)}));
    }
    items
}

fn request(plan: Plan, users: &[String], heir: &str) -> pb::DeleteUsersRequest {
    let heir_if = |is: bool| if is { heir.to_owned() } else { String::new() };
    pb::DeleteUsersRequest {
        user_ids: users.to_vec(),
        user: plan.user.into(),
        messages: plan.messages.into(),
        conversations: plan.conversations.into(),
        calls: plan.calls.into(),
        activities: plan.activities.into(),
        files: plan.files,
        new_channel_owner_id: heir_if(plan.channel_heir),
        new_call_owner_id: heir_if(plan.call_heir),
        ..pb::DeleteUsersRequest::default()
    }
}

/// Whatever still names one of `users` where they are gone.
fn named(dump: &Dump, users: &[String]) -> Vec<String> {
    let names = |(table, column, _): (&'static str, &'static str, Trace)| {
        let is_named = dump[table].iter().any(|row| users.iter().any(|user| row[column] == **user));
        is_named.then(|| format!("{table}.{column}"))
    };
    traces().filter_map(names).collect()
}

/// Brings the users of the world `w` into the states from which they are deleted.
async fn prepare(server: &TestServer, w: usize) {
    server.imported(&format!("world-{w}"), &world(w)).await;
    for user in ["a", "c"] {
        let token = server.user_token(&format!("{user}-w{w}")).await;
        server.users().connect_user(pb::ConnectUserRequest { token, anonymous: false }).await.answered();
        let seen = async || server.user(&format!("{user}-w{w}")).await.last_active.is_some().then_some(());
        eventually("a sign of life", seen).await;
    }
    let deactivate = pb::DeactivateUsersRequest {
        user_ids: vec![format!("off-w{w}")],
        created_by_id: format!("a-w{w}"),
        reason: format!("a-w{w} asked"),
        mark_messages_deleted: true,
        mark_channels_deleted: true,
        ..Default::default()
    };
    let task = server.users().deactivate_users(deactivate).await.answered().task.unwrap();
    server.completed(&task).await;
    let delete = pb::DeleteUsersRequest { user_ids: vec![format!("gone-w{w}")], ..Default::default() };
    let task = server.users().delete_users(delete).await.answered().task.unwrap();
    server.completed(&task).await;
    let request = pb::DeactivateUserRequest {
        user_id: format!("d-w{w}"),
        created_by_id: format!("b-w{w}"),
        reason: "bothers others".to_owned(),
        ..Default::default()
    };
    server.users().deactivate_user(request).await.answered();
}

/// What is wrong with a deletion by `plan` in the world `w`.
async fn check(server: &TestServer, w: usize, plan: Plan) -> Vec<String> {
    let before = server.backend().dump(server.place()).await;
    let (asked_for, heir) = (VICTIMS.map(|user| format!("{user}-w{w}")), format!("heir-w{w}"));
    // One who is deleted already is deleted further, or left alone.
    let users = if plan.user == Soft { &asked_for[..3] } else { &asked_for[..] };
    let asked = request(plan, &asked_for, &heir);
    let dry = pb::DeleteUsersRequest { dry_run: true, ..asked.clone() };
    let preview = server.users().delete_users(dry).await.answered().preview.unwrap();
    assert_eq!(before, server.backend().dump(server.place()).await, "a dry run changes nothing: {plan:?}");

    let task = server.users().delete_users(asked).await.answered().task.unwrap();
    let task = server.completed(&task).await;
    let deletion = Deletion { plan, users, heir: &heir, task: &task.task_id };
    let (mut model, mut after) = (deletion.applied(&before), server.backend().dump(server.place()).await);
    let is_ghost = |row: &Row| row["id"].as_str().is_some_and(|id| id.starts_with("delete-user-"));
    for dump in [&mut model, &mut after] {
        dump.get_mut("users").unwrap().retain(|row| !is_ghost(row));
    }
    let compared = TABLES.iter().filter(|table| !APART.contains(&table.name));
    let mut told: Vec<String> =
        compared.flat_map(|table| differences(table, &model[table.name], &after[table.name])).collect();
    if plan.user == Hard {
        told.extend(named(&after, users));
    }
    let counted = ([preview.users, preview.users_unchanged], preview.users_failed);
    let left_alone = asked_for.len() - users.len();
    if counted != ([users.len(), left_alone].map(|count| i64::try_from(count).unwrap()), 0) {
        told.push(format!("users counted: {counted:?}"));
    }
    let (foretold, counts) = (preview.rows.into_iter().collect(), deletion.counts(&before));
    if counts != foretold {
        told.push(format!("counted {foretold:?}, touched {counts:?}"));
    }
    let done = counted_rows(&task);
    if done != foretold {
        told.push(format!("foretold {foretold:?}, done {done:?}"));
    }
    told
}

/// Some databases at a time: most of a world's life is spent waiting for signs of life.
fn every_plan(kind: Kind) {
    let chosen = chosen();
    let chunks = Mutex::new(chosen.chunks(WORLDS));
    let next = || chunks.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(plans) = next() {
                    run(kind, async |server: TestServer| every_one(&server, plans).await);
                }
            });
        }
    });
}

/// Plans that change everything there is, in batches that end within each part of it.
fn in_small_batches(kind: Kind) {
    let all = |user, mode, conversations| Plan {
        user,
        messages: mode,
        conversations,
        calls: Soft,
        activities: mode,
        files: true,
        channel_heir: false,
        call_heir: false,
    };
    let plans = [
        all(Soft, Soft, Soft),
        all(Pruning, Pruning, Soft),
        all(Hard, Hard, Hard),
        all(Soft, Soft, Hard),
        all(Pruning, Keep, Hard),
    ];
    run(kind, async |server: TestServer| {
        let server = server.restart_with(&["--task-batch", "3"]).await;
        every_one(&server, &plans).await;
    });
}

async fn every_one(server: &TestServer, plans: &[Plan]) {
    join_all((0..plans.len()).map(|w| prepare(server, w))).await;
    let mut report = String::new();
    for (w, plan) in plans.iter().enumerate() {
        let told = check(server, w, *plan).await;
        if !told.is_empty() {
            write!(report, "\n{plan:?}\n{}", told.join("\n")).unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

mod sqlite {
    #[test]
    fn every_plan_leaves_what_the_model_says_and_dry_run_foretold() {
        super::every_plan(crate::harness::Kind::Sqlite);
    }

    #[test]
    fn rows_count_once_however_small_the_batches_are() {
        super::in_small_batches(crate::harness::Kind::Sqlite);
    }
}

mod postgres {
    #[test]
    fn every_plan_leaves_what_the_model_says_and_dry_run_foretold() {
        super::every_plan(crate::harness::Kind::Postgres);
    }

    #[test]
    fn rows_count_once_however_small_the_batches_are() {
        super::in_small_batches(crate::harness::Kind::Postgres);
    }
}
