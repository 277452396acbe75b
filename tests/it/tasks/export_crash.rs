//! The process dies at every batch of an export; the archive is as if it had not.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Status;

use super::export::{archive, of_all, unpack};
use crate::harness::{Backend, Caller, Launch, Process, Watch, each_backend, item, pb};

const TIME: &str = "2024-05-01T12:00:00Z";
/// Messages of one user, of a kilobyte each: five chunks of them.
const MESSAGES: usize = 160;

/// Where archives lie.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Database,
    Directory,
}

impl Place {
    fn launch(self, backend: &Backend) -> Launch {
        // Chunks of 16 KiB.
        let launch = backend.launch().flag("--task-batch", "16").flag("--task-lease", "500ms");
        match self {
            Self::Database => launch,
            Self::Directory => {
                let url = format!("file://{}", Self::directory(backend).display());
                launch.flag("--object-store-url", &url)
            }
        }
    }

    fn directory(backend: &Backend) -> PathBuf {
        backend.dir().join("archives")
    }
}

/// `NAME-a` with many messages, which mention ten others in turn; `NAME-b` with nothing.
fn world(name: &str) -> Vec<Value> {
    let other = |at: usize| format!("{name}-other-{}", at % 10);
    let mut items: Vec<Value> =
        (0..10).map(|at| item("user", json!({"id": other(at), "created_at": TIME}))).collect();
    for user in ["a", "b"] {
        items.push(item("user", json!({"id": format!("{name}-{user}"), "created_at": TIME})));
    }
    items.push(item(
        "channel",
        json!({"type": "messaging", "id": name, "created_by": format!("{name}-a"), "created_at": TIME}),
    ));
    items.extend((0..MESSAGES).map(|at| {
        let text = format!("{at} {}", "x".repeat(1_000));
        item(
            "message",
            json!({"id": format!("{name}-m{at:03}"), "channel_type": "messaging", "channel_id": name,
                "user": format!("{name}-a"), "text": text, "mentioned_users_ids": [other(7 * at)],
                "created_at": TIME}),
        )
    }));
    items
}

/// Begins the work and follows it; an error where the server dies over it.
async fn follow(server: &Process, name: &str, watch: &mut Option<Watch>) -> Result<pb::Task, Status> {
    let users = [format!("{name}-a"), format!("{name}-nobody"), format!("{name}-b")];
    let request = pb::ExportUsersRequest {
        request_id: name.to_owned(),
        ..of_all(&users.each_ref().map(String::as_str))
    };
    let task = server.users().export_users(request).await?.into_inner().task.unwrap();
    match watch {
        Some(watch) => watch.resume_on(server).await?,
        None => *watch = Some(server.try_watch(&task.task_id, 0).await?),
    }
    let watch = watch.as_mut().unwrap();
    while watch.next().await?.is_some() {}
    Ok(watch.seen().last().unwrap().clone())
}

/// What must not depend on crashes: the records, without times and the name of the attempt.
async fn picture(caller: &Caller, name: &str, task: &pb::Task) -> (Vec<String>, Vec<i64>) {
    let mut records = Vec::new();
    for index in [0, 2] {
        for mut record in unpack(&archive(caller, task, index).await) {
            let item = record["item"].as_object_mut().unwrap();
            for varies in ["updated_at", "read_from", "read_to", "task_id"] {
                item.remove(varies);
            }
            records.push(record.to_string().replace(name, "NAME"));
        }
    }
    let counters = vec![task.users_done, task.users_failed, task.rows_done, task.failures.into()];
    (records, counters)
}

/// Dies at the first, second, ... passing of `point`, until there is no such passing.
async fn survives_dying_at(point: &str, place: Place, backend: Backend) {
    let launch = place.launch(&backend);
    let mut pictures = Vec::new();
    for hit in 0..30 {
        let name = format!("hit{hit:02}");
        let mut server = launch.clone().failpoints(&format!("{point}={hit}*off->return")).start().await;
        server.imported(&name, &world(&name)).await;
        let mut watch = None;
        let survived = follow(&server, &name, &mut watch).await;
        if survived.is_ok() {
            server.signal("TERM").await;
        }
        let is_alive = server.ended(Duration::from_secs(10)).await.success();
        let server = launch.start().await;
        let task = match survived {
            Ok(task) => task,
            Err(_) => follow(&server, &name, &mut watch).await.unwrap(),
        };
        let picture = picture(&server, &name, &task).await;
        if is_alive {
            let least = if point.starts_with("task_") { 5 } else { 2 };
            assert!(pictures.len() >= least, "{point}: is passed {} times only", pictures.len());
            let messages = picture.0.iter().filter(|record| record.contains(r#""type":"message""#));
            assert_eq!(messages.count(), MESSAGES);
            if place == Place::Directory {
                let left = std::fs::read_dir(Place::directory(&backend)).unwrap().count();
                assert_eq!(
                    left,
                    2 * (pictures.len() + 1),
                    "two archives each, and nothing of what was begun"
                );
            }
            for (hit, crashed) in pictures.iter().enumerate() {
                assert_eq!(*crashed, picture, "after dying at passing {hit} of {point}");
            }
            return;
        }
        pictures.push(picture);
        server.kill().await;
    }
    panic!("{point} is passed without end");
}

each_backend! {
    async fn dying_at_the_beginning_of_a_batch_leaves_the_same_archive(backend: Backend) {
        survives_dying_at("task_begin", Place::Database, backend).await;
    }

    async fn dying_before_the_commit_of_a_batch_leaves_the_same_archive(backend: Backend) {
        survives_dying_at("task_before_commit", Place::Database, backend).await;
    }

    async fn dying_after_the_commit_of_a_batch_leaves_the_same_archive(backend: Backend) {
        survives_dying_at("task_committed", Place::Database, backend).await;
    }

    async fn dying_after_the_commit_of_a_batch_leaves_one_object_for_each_archive(backend: Backend) {
        survives_dying_at("task_committed", Place::Directory, backend).await;
    }

    async fn dying_before_an_object_is_sent_leaves_one_object_for_each_archive(backend: Backend) {
        survives_dying_at("object_begun", Place::Directory, backend).await;
    }

    async fn dying_after_an_object_was_sent_leaves_one_object_for_each_archive(backend: Backend) {
        survives_dying_at("object_sent", Place::Directory, backend).await;
    }
}
