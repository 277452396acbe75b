//! Every option of a deletion with every other, and the whole database compared with a model.

use std::fmt::Write as _;

use serde_json::{Value, json};
use usher::storage::columns::{TABLES, Trace, traces};

use super::deletion_model::{APART, Deletion, Plan, differences};
use crate::harness::{Answer, Dump, TestServer, each_backend, item, pb, setting};
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

/// Five users of the world `w`, who share everything there is; `a` and `b` are to be deleted.
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
    for (user, blocks) in
        [("a", vec![id("c")]), ("b", vec![]), ("c", vec![id("a")]), ("d", vec![]), ("heir", vec![])]
    {
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
        for author in ["a", "b", "c"] {
            let message = id(&format!("m-{name}-{author}"));
            add(
                "message",
                json!({"id": message, "channel_type": "messaging", "channel_id": id(name),
                "user": id(author), "text": "secret", "html": "<p>secret</p>", "mood": "good",
                "attachments": [{"type": "file", "title": "x"}], "mentioned_users_ids": [id("a"), id("d")],
                "pinned_at": TIME, "pinned_by_id": id("b")}),
            );
            for user in ["a", "d"] {
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
    for user in ["a", "b", "c"] {
        add(
            "feed",
            json!({"group_id": "user", "id": id(&format!("f{user}")), "fid": format!("user:{}", id(&format!("f{user}"))),
            "created_by_id": id(user), "name": "mine", "description": "all of it"}),
        );
    }
    let fid = |user: &str| format!("user:{}", id(&format!("f{user}")));
    for (from, to) in [("a", "c"), ("c", "a"), ("c", "b"), ("b", "a")] {
        add("follow", json!({"source_fid": fid(from), "target_fid": fid(to)}));
    }
    for author in ["a", "b", "c"] {
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
        for commenter in ["b", "c"] {
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
    for (by, on) in [("a", "c"), ("c", "a"), ("c", "d")] {
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

each_backend! {
    async fn every_plan_leaves_what_the_model_says(server: TestServer) {
        let plans = chosen();
        let mut report = String::new();
        for (w, plan) in plans.iter().enumerate() {
            server.imported(&format!("world-{w}"), &world(w)).await;
            let before = server.backend().dump(server.place()).await;
            let [users, heir] = [vec![format!("a-w{w}"), format!("b-w{w}")], vec![format!("heir-w{w}")]];
            let asked = request(*plan, &users, &heir[0]);
            let dry = pb::DeleteUsersRequest { dry_run: true, ..asked.clone() };
            server.users().delete_users(dry).await.answered();
            assert_eq!(before, server.backend().dump(server.place()).await, "a dry run changes nothing: {plan:?}");

            let task = server.users().delete_users(asked).await.answered().task.unwrap();
            server.completed(&task).await;
            let mut after = server.backend().dump(server.place()).await;
            let is_ghost = |id: &Value| id.as_str().is_some_and(|id| id.starts_with("delete-user-"));
            after.get_mut("users").unwrap().retain(|row| !is_ghost(&row["id"]));
            let mut model = Deletion { plan: *plan, users: &users, heir: &heir[0], task: &task.task_id }.applied(&before);
            model.get_mut("users").unwrap().retain(|row| !is_ghost(&row["id"]));
            let compared = TABLES.iter().filter(|table| !APART.contains(&table.name));
            let mut told: Vec<String> =
                compared.flat_map(|table| differences(table, &model[table.name], &after[table.name])).collect();
            if plan.user == Hard {
                told.extend(named(&after, &users));
            }
            if !told.is_empty() {
                write!(report, "\n{plan:?}\n{}", told.join("\n")).unwrap();
            }
        }
        assert!(report.is_empty(), "{report}");
    }
}
