//! Archives in an object store: a real S3 server, and a directory.

use std::path::Path;

use serde_json::json;
use tonic::Code;

use super::export::{archive, download, erase, of_all, of_user, start, unpack};
use crate::harness::{
    Answer, Backend, Caller, Launch, Process, S3, each_backend, eventually, item, pb, reason_of, retry_of,
    user,
};
use crate::users::export::{exported, of};

/// Bytes of the text of a message of [`seed_large`].
const TEXT: usize = 5_000;

fn launch(backend: &Backend) -> Launch {
    backend.launch().flag("--task-lease", "500ms")
}

/// `ada` with 10 MB of messages that compress badly: an archive of two parts.
async fn seed_large(caller: &Caller) {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'#' + u8::try_from((state >> 33) % 56).unwrap())
    };
    let mut items = vec![
        item("user", json!({"id": "ada"})),
        item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"})),
    ];
    items.extend((0..2_000).map(|at| {
        let text: String = (0..TEXT).map(|_| letter()).collect();
        item(
            "message",
            json!({"id": format!("m{at:06}"), "channel_type": "messaging", "channel_id": "c", "user": "ada",
            "text": text}),
        )
    }));
    caller.imported("large", &items).await;
}

async fn exports(server: &Process, users: &[&str]) -> pb::Task {
    server.completed(&start(server, of_all(users)).await).await
}

async fn file_of(caller: &Caller, task: &pb::Task) -> pb::ExportedFile {
    caller.items(&task.task_id).await[0].file.clone().unwrap()
}

/// Waits until the server has logged this.
async fn logged(server: &Process, text: &str) {
    eventually(text, async || server.log().contains(text).then_some(())).await;
}

/// The task in its terminal state, whichever it is.
async fn ended(server: &Process, task: &pb::Task) -> pb::Task {
    server.watch(task).await.end().await
}

async fn count(backend: &Backend, server: &Process, table: &str) -> usize {
    backend.dump(server.launch().place()).await[table].len()
}

fn files(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

each_backend! {
    async fn archives_lie_in_the_bucket_and_are_the_same_as_in_the_database(backend: Backend) {
        let Some(s3) = S3::start().await else { return };
        let server = launch(&backend).archives_in(&s3).start().await;
        server.upsert(vec![user("ada"), user("bob"), user("eve")]).await;
        let streamed = exported(&server, of("ada")).await;
        let task = exports(&server, &["ada", "nobody", "bob", "eve"]).await;
        assert_eq!((task.users_done, task.users_failed, task.failures), (4, 1, 0));
        assert_eq!(s3.held().await, [3, 3, 0]);
        let objects = s3.world().await["objects"].to_string();
        assert!(objects.contains("usher/exports/") && !objects.contains("ada") && !objects.contains(&task.task_id));
        assert_eq!(count(&backend, &server, "export_chunks").await, 0);

        let bytes = archive(&server, &task, 0).await;
        assert_eq!(of_user(&unpack(&bytes)), of_user(&streamed));
        for offset in [0, 1, bytes.len() / 2, bytes.len()] {
            let (_, rest) = download(&server, &task, 0, i64::try_from(offset).unwrap()).await.unwrap();
            assert_eq!(rest, bytes[offset..]);
        }
        let file = file_of(&server, &task).await;
        let (status, name, fetched) = s3.fetch(&file.download_url).await;
        assert_eq!((status, fetched), (200, bytes));
        assert_eq!(name, format!("attachment; filename=\"{}\"", file.file_name));
        let history = pb::ListUserHistoryRequest { user_id: "eve".to_owned(), ..Default::default() };
        let entries = server.users().list_user_history(history).await.answered().entries;
        let kinds: Vec<_> = entries.iter().map(pb::UserHistoryEntry::kind).collect();
        assert_eq!(kinds, [pb::UserHistoryKind::ArchiveLinked, pb::UserHistoryKind::Exported]);
    }

    async fn a_large_archive_is_uploaded_in_parts_and_a_failure_midway_leaves_nothing(backend: Backend) {
        let Some(s3) = S3::start().await else { return };
        let server = launch(&backend).archives_in(&s3).start().await;
        seed_large(&server).await;
        let streamed = exported(&server, of("ada")).await;
        s3.fail(json!({"fail_parts_from": 2})).await;
        let task = start(&server, of_all(&["ada"])).await;
        logged(&server, "a task waits").await;
        s3.heal().await;
        let task = server.completed(&task).await;
        assert_eq!((task.failures, s3.held().await), (0, [1, 1, 0]));
        let bytes = archive(&server, &task, 0).await;
        assert!(bytes.len() > 5 * 1024 * 1024, "{} bytes make two parts", bytes.len());
        assert!(of_user(&unpack(&bytes)) == of_user(&streamed), "the records are those of the stream");
        assert_eq!(count(&backend, &server, "export_chunks").await, 0);
    }

    async fn an_export_waits_for_the_store_and_a_download_says_that_it_is_down(backend: Backend) {
        let Some(s3) = S3::start().await else { return };
        s3.fail(json!({"down": true})).await;
        // The store does not keep the server from starting.
        let server = launch(&backend).archives_in(&s3).start().await;
        server.upsert(vec![user("ada")]).await;
        let task = start(&server, of_all(&["ada"])).await;
        logged(&server, "a task waits").await;
        let not_ready = download(&server, &task, 0, 0).await.unwrap_err();
        assert_eq!(reason_of(&not_ready), "EXPORT_NOT_READY");
        s3.heal().await;
        let task = server.completed(&task).await;
        assert_eq!(task.failures, 0);
        archive(&server, &task, 0).await;

        s3.fail(json!({"down": true})).await;
        let down = download(&server, &task, 0, 0).await.unwrap_err();
        assert_eq!((down.code(), &*reason_of(&down)), (Code::Unavailable, "OBJECT_STORE_UNAVAILABLE"));
        assert!(retry_of(&down).is_some() && !down.message().contains("127.0.0.1"), "{down:?}");
        s3.heal().await;
        archive(&server, &task, 0).await;
    }

    async fn a_store_that_returns_other_bytes_fails_the_task_and_a_retry_ends_it(backend: Backend) {
        let Some(s3) = S3::start().await else { return };
        let server = launch(&backend).archives_in(&s3).flag("--task-max-failures", "2").start().await;
        server.upsert(vec![user("ada")]).await;
        s3.fail(json!({"corrupt": true})).await;
        let failed = ended(&server, &start(&server, of_all(&["ada"])).await).await;
        assert_eq!(failed.state(), pb::TaskState::Failed);
        let error = failed.error.clone().unwrap();
        assert_eq!(error.reason, "OBJECT_STORE_UNAVAILABLE");
        assert!(error.message.contains("checksum") && error.message.contains("retry"), "{error:?}");
        s3.heal().await;
        let retry = pb::RetryTaskRequest { task_id: failed.task_id.clone() };
        server.tasks().retry_task(retry).await.answered();
        let task = server.completed(&failed).await;
        archive(&server, &task, 0).await;
        assert_eq!(s3.held().await, [1, 1, 0]);
    }

    async fn an_erasure_deletes_the_object_and_waits_while_the_store_is_down(backend: Backend) {
        let Some(s3) = S3::start().await else { return };
        let server = launch(&backend).archives_in(&s3).start().await;
        server.upsert(vec![user("ada"), user("bob")]).await;
        let of_ada = exports(&server, &["ada"]).await;
        let of_bob = exports(&server, &["bob"]).await;
        let url = file_of(&server, &of_ada).await.download_url;
        s3.fail(json!({"down": true})).await;
        let task = server.users().delete_users(erase("ada")).await.answered().task.unwrap();
        logged(&server, "a task waits").await;
        // It cannot be read any more, though the store still has it.
        let gone = download(&server, &of_ada, 0, 0).await.unwrap_err();
        assert_eq!(reason_of(&gone), "EXPORT_GONE");
        assert_eq!(server.task(&task.task_id).await.users_done, 0);
        s3.heal().await;
        let task = server.completed(&task).await;
        assert_eq!((task.failures, s3.held().await), (0, [1, 1, 0]));
        assert!(matches!(s3.fetch(&url).await.0, 403 | 404));
        archive(&server, &of_bob, 0).await;
        assert_eq!(count(&backend, &server, "export_objects").await, 1);
    }

    async fn versions_of_a_bucket_are_deleted_and_one_that_forbids_it_is_refused(backend: Backend) {
        let Some(s3) = S3::start().await else { return };
        s3.keep_versions().await;
        let server = launch(&backend).archives_in(&s3).start().await;
        server.upsert(vec![user("ada")]).await;
        exports(&server, &["ada"]).await;
        assert_eq!(s3.held().await, [1, 1, 0]);
        let task = server.users().delete_users(erase("ada")).await.answered().task.unwrap();
        server.completed(&task).await;
        assert_eq!(s3.held().await, [0, 0, 0]);
        server.kill().await;

        s3.fail(json!({"deny_versions": true})).await;
        let (status, log) = launch(&backend).archives_in(&s3).try_start().await.err().unwrap();
        assert_eq!(status.code(), Some(2));
        assert!(log.contains("keeps versions") && log.contains("s3:DeleteObjectVersion"), "{log}");
        let missing = launch(&backend).archives_in_bucket(&s3, "missing");
        let (status, log) = missing.try_start().await.err().unwrap();
        assert_eq!(status.code(), Some(2));
        assert!(log.contains("the object store cannot be used"), "{log}");
    }

    async fn a_directory_holds_archives_that_only_its_owner_can_read(backend: Backend) {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = backend.dir().join("archives");
        let url = format!("file://{}", dir.display());
        let server = launch(&backend).variable("USHER_OBJECT_STORE_URL", &url).start().await;
        seed_large(&server).await;
        let task = exports(&server, &["ada"]).await;
        let bytes = archive(&server, &task, 0).await;
        let names = files(&dir);
        let stored = dir.join(&names[0]);
        assert_eq!((names.len(), std::fs::read(&stored).unwrap() == bytes), (1, true));
        for (path, mode) in [(&dir, 0o700), (&stored, 0o600)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        let file = file_of(&server, &task).await;
        assert_eq!(file.download_url, "");
        // A file that was changed or removed from outside never seems whole.
        std::fs::write(&stored, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(reason_of(&download(&server, &task, 0, 0).await.unwrap_err()), "EXPORT_GONE");
        std::fs::remove_file(&stored).unwrap();
        assert_eq!(reason_of(&download(&server, &task, 0, 0).await.unwrap_err()), "EXPORT_GONE");
        let task = server.users().delete_users(erase("ada")).await.answered().task.unwrap();
        server.completed(&task).await;
        assert_eq!(files(&dir), Vec::<String>::new());

        // A server that does not know the store cannot erase what lies in it, and says so.
        server.upsert(vec![user("bob")]).await;
        let of_bob = exports(&server, &["bob"]).await;
        let launch = server.kill().await.without_variables();
        let server = launch.flag("--task-max-failures", "1").start().await;
        let refused = download(&server, &of_bob, 0, 0).await.unwrap_err();
        assert_eq!(reason_of(&refused), "OBJECT_STORE_UNAVAILABLE");
        assert_eq!(file_of(&server, &of_bob).await.download_url, "");
        let task = server.users().delete_users(erase("bob")).await.answered().task.unwrap();
        let task = ended(&server, &task).await;
        assert_eq!(task.state(), pb::TaskState::Failed);
        assert!(task.error.unwrap().message.contains("USHER_OBJECT_STORE_URL"));
    }
}
