//! A user is deactivated, reactivated, deleted, restored and erased, and another one pruned, each with its content and in many batches;
//! the process dies at every batch of it all. What is left after each task is as if it had not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Status;

use super::deletion_model::counted_rows;
use crate::harness::{Backend, Caller, Dump, Process, each_backend, item, pb};

const TIME: &str = "2024-05-01T12:00:00Z";

/// What is done to the user, one after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Deactivate,
    Reactivate,
    Delete,
    Restore,
    /// Of the user's peer.
    Prune,
    Erase,
}

const STEPS: [Step; 6] =
    [Step::Deactivate, Step::Reactivate, Step::Delete, Step::Restore, Step::Prune, Step::Erase];

/// The least number of batches that all of it takes.
const BATCHES: usize = 12;

/// User `NAME-a`, who shares a conversation, a group and a distinct channel with `NAME-b`, and has more in them
/// than fits a batch.
fn world(name: &str) -> Vec<Value> {
    let [a, b, c] = ["a", "b", "c"].map(|one| format!("{name}-{one}"));
    let mut items: Vec<Value> = [&a, &b, &c].map(|id| item("user", json!({"id": id}))).to_vec();
    for (channel, members) in [("pair", vec![&a, &b]), ("group", vec![&a, &b, &c])] {
        let id = format!("{name}-{channel}");
        items.push(item(
            "channel",
            json!({"type": "messaging", "id": id, "created_by": a, "created_at": TIME}),
        ));
        for user in &members {
            items.push(item(
                "member",
                json!({"channel_type": "messaging", "channel_id": id, "user_id": user,
                "created_at": TIME}),
            ));
        }
        for number in 0..6 {
            let message = format!("{id}-{number}");
            let user = members[number % 2];
            items.push(item(
                "message",
                json!({"id": message, "channel_type": "messaging", "channel_id": id,
                "user": user, "text": "hello", "mentioned_users_ids": [a], "created_at": TIME}),
            ));
            items.push(item(
                "reaction",
                json!({"message_id": message, "type": "like", "user_id": b,
                "created_at": TIME}),
            ));
        }
    }
    items.push(item(
        "channel",
        json!({"type": "messaging", "member_ids": [a, b, c], "created_by": a, "created_at": TIME}),
    ));
    let inside = |kind: &str, mut fields: Value| {
        fields["channel_type"] = json!("messaging");
        fields["channel_member_ids"] = json!([a, b, c]);
        fields["created_at"] = json!(TIME);
        item(kind, fields)
    };
    items.extend([&a, &b, &c].map(|user| inside("member", json!({"user_id": user}))));
    // Of somebody else, so that they are moved, and nothing else.
    items.extend(
        (0..10)
            .map(|number| inside("message", json!({"id": format!("{name}-distinct-{number}"), "user": c}))),
    );
    items.push(item(
        "call",
        json!({"type": "default", "id": format!("{name}-call"), "created_by": a,
        "created_at": TIME}),
    ));
    for user in [&a, &b] {
        items.push(item(
            "call_member",
            json!({"call_type": "default", "call_id": format!("{name}-call"),
            "user_id": user, "created_at": TIME}),
        ));
    }
    items
}

impl Step {
    /// Asks for it, as often as it takes: it is one task.
    async fn begin(self, caller: &Caller, name: &str) -> Result<pb::Task, Status> {
        let (user_ids, request_id) = (vec![format!("{name}-a")], format!("{name}-{self:?}"));
        let mut users = caller.users();
        let [pruning, hard] = [pb::DeleteMode::Pruning, pb::DeleteMode::Hard].map(Into::into);
        let task = match self {
            Self::Deactivate => {
                let (mark_messages_deleted, mark_channels_deleted) = (true, true);
                let request = pb::DeactivateUsersRequest {
                    user_ids,
                    request_id,
                    mark_messages_deleted,
                    mark_channels_deleted,
                    ..Default::default()
                };
                users.deactivate_users(request).await?.into_inner().task
            }
            Self::Reactivate => {
                let (restore_messages, restore_channels) = (true, true);
                let request = pb::ReactivateUsersRequest {
                    user_ids,
                    request_id,
                    restore_messages,
                    restore_channels,
                    ..Default::default()
                };
                users.reactivate_users(request).await?.into_inner().task
            }
            Self::Delete => {
                let request = pb::DeleteUsersRequest { user_ids, request_id, ..Default::default() };
                users.delete_users(request).await?.into_inner().task
            }
            Self::Restore => {
                let request = pb::RestoreUsersRequest { user_ids, request_id, ..Default::default() };
                users.restore_users(request).await?.into_inner().task
            }
            Self::Prune => {
                let request = pb::DeleteUsersRequest {
                    user_ids: vec![format!("{name}-b")],
                    request_id,
                    user: pruning,
                    messages: pruning,
                    files: true,
                    ..Default::default()
                };
                users.delete_users(request).await?.into_inner().task
            }
            Self::Erase => {
                let request = pb::DeleteUsersRequest {
                    user_ids,
                    request_id,
                    user: hard,
                    messages: hard,
                    conversations: hard,
                    calls: hard,
                    ..Default::default()
                };
                users.delete_users(request).await?.into_inner().task
            }
        };
        Ok(task.unwrap())
    }
}

/// What there is of the world `name`, in which one life looks like another.
fn picture(dump: &Dump, name: &str) -> Vec<String> {
    const DIFFER: [&str; 6] = ["task_id", "params", "import_no", "auth_epoch", "lease_epoch", "accepted_seq"];
    let mut picture = Vec::new();
    for (table, rows) in dump {
        if ["tasks", "imports", "erased_users"].contains(table) {
            continue;
        }
        for row in rows {
            let told: Vec<String> = row
                .iter()
                .filter(|(column, _)| !DIFFER.contains(&column.as_str()))
                .map(|(column, value)| format!("{column}={}", told(column, value)))
                .collect();
            let told = told.join(" ");
            if told.contains(name) {
                picture.push(format!("{table}: {}", told.replace(name, "NAME")));
            }
        }
    }
    picture.sort();
    picture
}

fn told(column: &str, value: &Value) -> String {
    let is_time = column.ends_with("_at") || column == "revoked_before";
    match value {
        Value::Null => "null".to_owned(),
        _ if is_time || column.ends_with("_by") => "set".to_owned(),
        Value::String(text) if text.starts_with("delete-user-") => "system".to_owned(),
        Value::String(text) if text.starts_with("erased-") => "pseudonym".to_owned(),
        Value::String(text) if text.contains("!erased-") => "ended".to_owned(),
        Value::String(text) if text.contains("!members-") => "distinct".to_owned(),
        value => value.to_string(),
    }
}

/// What a step has left: how many rows it changed, which ones it says it deleted, and what there is now.
type Left = (i64, Option<BTreeMap<String, i64>>, Vec<String>);

/// Goes on with what is not done yet; an error where the server dies over it.
async fn go_on(server: &Process, backend: &Backend, name: &str, done: &mut Vec<Left>) -> Result<(), Status> {
    for step in &STEPS[done.len()..] {
        let task = step.begin(server, name).await?;
        let mut watch = server.try_watch(&task.task_id, 0).await?;
        while watch.next().await?.is_some() {}
        let last = watch.seen().last().unwrap();
        assert_eq!((last.state(), last.users_failed), (pb::TaskState::Completed, 0), "{step:?}: {last:?}");
        let dump = backend.dump(server.launch().place()).await;
        let rows = (last.kind == "delete_users").then(|| counted_rows(last));
        done.push((last.rows_done, rows, picture(&dump, name)));
    }
    Ok(())
}

/// Dies at the first, second, ... passing of `point`, which are `least` or more.
async fn survives_dying_at(point: &str, least: usize, backend: Backend) {
    let launch = backend.launch().flag("--task-batch", "8").flag("--task-lease", "500ms");
    let mut lives: Vec<Vec<Left>> = Vec::new();
    for hit in 0..60 {
        let name = format!("w{hit:02}w");
        let server = launch.clone().failpoints(&format!("{point}={hit}*off->return")).start().await;
        server.imported(&name, &world(&name)).await;
        let mut done = Vec::new();
        let survived = go_on(&server, &backend, &name, &mut done).await.is_ok();
        if survived {
            assert!(lives.len() >= least, "steps take several batches: {}", lives.len());
            assert_eq!(
                done[5].2.iter().filter(|row| row.starts_with("messages")).count(),
                13,
                "{:?}",
                done[5]
            );
            for (hit, life) in lives.iter().enumerate() {
                for (step, (crashed, uninterrupted)) in STEPS.iter().zip(life.iter().zip(&done)) {
                    assert_eq!(crashed, uninterrupted, "{step:?} after dying at passing {hit} of {point}");
                }
            }
            return;
        }
        let mut server = server;
        server.ended(Duration::from_secs(10)).await;
        let server = launch.start().await;
        go_on(&server, &backend, &name, &mut done).await.unwrap();
        lives.push(done);
        server.kill().await;
    }
    panic!("{point} is passed without end");
}

each_backend! {
    async fn dying_after_any_claim_changes_nothing(backend: Backend) {
        survives_dying_at("task_claimed", STEPS.len(), backend).await;
    }

    async fn dying_at_the_beginning_of_any_batch_changes_nothing(backend: Backend) {
        survives_dying_at("task_begin", BATCHES, backend).await;
    }

    async fn dying_before_any_commit_changes_nothing(backend: Backend) {
        survives_dying_at("task_before_commit", BATCHES, backend).await;
    }

    async fn dying_after_any_commit_changes_nothing(backend: Backend) {
        survives_dying_at("task_committed", BATCHES, backend).await;
    }
}
