//! `WatchTask`. What must hold of every stream is checked by `harness::watch` in every test that watches.

use tonic::Code;

use crate::harness::{Answer, Backend, TestServer, each_backend, fields_of, on_postgres, pb, user_ids};
use pb::TaskState;

const SLOW: [&str; 2] = ["--task-batch", "1"];

each_backend! {
    async fn the_first_message_comes_at_once(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 3)).await;

        let mut watch = server.watch(&task).await;

        assert_eq!(watch.next().await.unwrap().unwrap(), task, "the whole task, though nothing happens");
    }

    async fn a_watcher_sees_the_work_go_on_to_its_end(backend: Backend) {
        let server = backend.start_with(&SLOW).await;
        let ids = user_ids("u", 150);
        server.seed(&ids).await;

        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        let last = watch.end().await;

        assert_eq!((last.state(), last.users_done), (TaskState::Completed, 150));
        assert!(
            watch.seen().iter().any(|task| task.state() == TaskState::Running && task.users_done > 0),
            "progress is seen"
        );
        assert_eq!(server.task(&task.task_id).await, last);
    }

    async fn the_terminal_state_is_always_sent(server: TestServer) {
        server.seed(&user_ids("u", 3)).await;
        let ended = server.deactivated(&user_ids("u", 3)).await;
        for after in [0, 1, ended.revision - 1, ended.revision, ended.revision + 1, i64::MAX] {
            let mut watch = server.watch_after(&ended.task_id, after).await;
            assert_eq!(watch.end().await, ended, "after {after}");
            assert_eq!(watch.seen().len(), 1, "after {after}");
        }
    }

    async fn with_a_revision_only_newer_states_come(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 2)).await;
        let mut watch = server.watch_after(&task.task_id, task.revision).await;

        let cancel = pb::CancelTaskRequest { task_id: task.task_id.clone() };
        let cancelled = server.tasks().cancel_task(cancel).await.answered().task.unwrap();

        assert_eq!(watch.end().await, cancelled);
        assert_eq!(watch.seen().len(), 1, "the state already known is not repeated");
    }

    async fn every_watcher_sees_the_same_end(backend: Backend) {
        let server = backend.start_with(&SLOW).await;
        let ids = user_ids("u", 40);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let watchers = (0..50).map(|_| async { server.watch(&task).await.end().await });
        let ends = futures_util::future::join_all(watchers).await;
        let stored = server.task(&task.task_id).await;
        assert!(ends.iter().all(|end| *end == stored));
    }

    async fn watchers_of_different_tasks_see_their_own_only(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "2", "--workers", "4"]).await;
        let watch = async |number: usize| {
            let ids = user_ids(&format!("u{number}"), 10 + number);
            server.seed(&ids).await;
            let task = server.deactivate_all(&ids).await;
            server.completed(&task).await.users_done
        };
        let done = futures_util::future::join_all((0..8).map(watch)).await;
        assert_eq!(done, (10..18).collect::<Vec<i64>>());
    }

    async fn a_reader_that_does_not_read_gets_the_end_all_the_same(backend: Backend) {
        let server = backend.start_with(&SLOW).await;
        let ids = user_ids("u", 300);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let mut slow = server.on_another_connection().watch(&task).await;
        let last = server.completed(&task).await;
        // Only now does the slow one read; what it was spared, it need not see.
        assert_eq!(slow.end().await, last);
    }

    async fn opening_and_leaving_many_watches_is_harmless(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 1)).await;
        for _ in 0..50 {
            let open = (0..40).map(|_| async { drop(server.watch(&task).await) });
            futures_util::future::join_all(open).await;
        }
        let mut watch = server.watch(&task).await;
        assert_eq!(watch.next().await.unwrap().unwrap(), task);
    }

    async fn unknown_and_malformed_task_ids_are_refused(server: TestServer) {
        server.watch_refused("00000000-0000-7000-8000-000000000000", Code::NotFound, "TASK_NOT_FOUND").await;
        for malformed in ["", "x", "a\0"] {
            let status = server.watch_refused(malformed, Code::InvalidArgument, "INVALID_FIELD").await;
            assert_eq!(fields_of(&status), ["task_id"]);
        }
    }

    async fn a_negative_revision_is_refused(server: TestServer) {
        let task = server.deactivated(&user_ids("u", 1)).await;
        let request = pb::WatchTaskRequest { task_id: task.task_id, after_revision: -1 };
        let refused = match server.tasks().watch_task(request).await {
            Ok(stream) => stream.into_inner().message().await.map(tonic::Response::new),
            Err(status) => Err(status),
        };
        assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["after_revision"]);
    }

    async fn a_watch_ends_when_the_server_drains_and_resumes_afterwards(backend: Backend) {
        let server = backend.start_with(&SLOW).await;
        let ids = user_ids("u", 200);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        watch.until(|task| task.users_done > 0).await;

        let server = {
            let restart = server.restart();
            let ((), server) = tokio::join!(watch.until_draining(), restart);
            server
        };
        watch.resume_on(&server).await.unwrap();

        assert_eq!(watch.end().await.users_done, 200);
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
        assert_eq!(server.task(&task.task_id).await.failures, 0, "a deploy is no failure");
    }
}

on_postgres! {
    async fn watchers_on_two_replicas_see_the_work_of_a_third(backend: Backend) {
        let worker = backend.start_with(&SLOW).await;
        let first = backend.start_with(&["--workers", "0"]).await;
        let second = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 150);
        worker.seed(&ids).await;

        let task = first.deactivate_all(&ids).await;
        let (mut one, mut two) = (first.watch(&task).await, second.watch(&task).await);
        let (one_end, two_end) = tokio::join!(one.end(), two.end());

        assert_eq!(one_end, two_end);
        assert_eq!(one_end.users_done, 150);
        for watch in [one, two] {
            assert!(
                watch.seen().iter().any(|task| (1..150).contains(&task.users_done)),
                "progress is seen from afar"
            );
        }
    }

    async fn a_watch_resumes_exactly_on_another_replica(backend: Backend) {
        let worker = backend.start_with(&SLOW).await;
        let first = backend.start_with(&["--workers", "0"]).await;
        let second = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 200);
        worker.seed(&ids).await;
        let task = first.deactivate_all(&ids).await;
        let mut watch = first.watch(&task).await;
        watch.until(|task| task.users_done > 3).await;

        let ((), ()) = tokio::join!(watch.until_draining(), first.stop());
        watch.resume_on(&second).await.unwrap();

        assert_eq!(watch.end().await.users_done, 200);
    }
}
