//! `CancelTask` and `RetryTask`.

use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, fields_of, on_postgres, pb, user_ids,
};
use pb::{ItemOutcome, TaskState};

async fn cancel(
    caller: &Caller,
    task: &pb::Task,
) -> Result<tonic::Response<pb::CancelTaskResponse>, tonic::Status> {
    caller.tasks().cancel_task(pb::CancelTaskRequest { task_id: task.task_id.clone() }).await
}

async fn retry(
    caller: &Caller,
    task: &pb::Task,
) -> Result<tonic::Response<pb::RetryTaskResponse>, tonic::Status> {
    caller.tasks().retry_task(pb::RetryTaskRequest { task_id: task.task_id.clone() }).await
}

each_backend! {
    async fn a_task_nobody_works_on_is_cancelled_at_once(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 5);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;

        let ended = cancel(&server, &task).await.answered().task.unwrap();

        assert_eq!(
            (ended.state(), ended.users_done, ended.users_failed, ended.rows_done),
            (TaskState::Cancelled, 5, 0, 0)
        );
        assert!(ended.finished_at.is_some() && ended.revision > task.revision);
        assert!(
            server.items(&task.task_id).await.iter().all(|item| item.outcome() == ItemOutcome::Cancelled)
        );
        assert!(
            server.read(&ids).await.iter().all(|user| user.deactivated_at.is_none() && user.version == 1)
        );
        assert_eq!(server.watch(&task).await.end().await, ended);
        let server = server.restart_with(&[]).await;
        server.deactivate(&ids[0]).await;
        assert_eq!(server.task(&task.task_id).await, ended, "no worker takes it up");
    }

    async fn a_watcher_sees_the_end_even_when_whoever_cancels_goes_away(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        for round in 0..15 {
            let ids = [format!("u{round}")];
            let task = server.deactivate_all(&ids).await;
            let mut watch = server.watch(&task).await;
            watch.until(|task| task.state() == TaskState::Pending).await;
            // Somewhere in these, the call is dropped while what it did is committed.
            let patience = std::time::Duration::from_micros(200 * round);
            let _ = tokio::time::timeout(patience, cancel(&server, &task)).await;
            if server.task(&task.task_id).await.state() == TaskState::Cancelled {
                assert_eq!(watch.end().await.state(), TaskState::Cancelled);
            }
        }
    }

    async fn cancelling_leaves_out_the_form_of_unfit_ids_too(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&["a b".to_owned(), "nobody".to_owned()]).await;
        let ended = cancel(&server, &task).await.answered().task.unwrap();
        assert_eq!((ended.state(), ended.users_done, ended.users_total), (TaskState::Cancelled, 2, 2));
        let items = server.items(&task.task_id).await;
        let told = items.iter().filter(|item| item.outcome() == ItemOutcome::Failed).count();
        assert_eq!(i64::try_from(told).unwrap(), ended.users_failed, "counters and items agree");
    }

    async fn a_running_task_stops_at_the_next_batch_and_what_is_done_stays(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "1"]).await;
        let ids = user_ids("u", 2_000);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        watch.until(|task| task.users_done > 0).await;

        let asked = cancel(&server, &task).await.answered().task.unwrap();
        assert!(asked.cancel_requested || asked.state() == TaskState::Cancelled);
        let ended = watch.end().await;

        assert_eq!((ended.state(), ended.users_done), (TaskState::Cancelled, 2_000), "every item is over");
        assert!(ended.cancel_requested);
        let items = server.items(&task.task_id).await;
        let done = items.iter().filter(|item| item.outcome() == ItemOutcome::Done).count();
        assert!((1..2_000).contains(&done), "some were done, some not: {done}");
        assert_eq!(i64::try_from(done).unwrap(), ended.rows_done);
        for (user, item) in server.read(&ids).await.iter().zip(&items) {
            let was_done = item.outcome() == ItemOutcome::Done;
            assert!(was_done || item.outcome() == ItemOutcome::Cancelled);
            assert_eq!(
                (user.deactivated_at.is_some(), user.version),
                (was_done, 1 + i64::from(was_done)),
                "{item:?}"
            );
        }
    }

    async fn cancelling_twice_is_no_error_until_the_task_has_ended(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "1"]).await;
        let ids = user_ids("u", 500);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let calls = futures_util::future::join_all((0..8).map(|_| cancel(&server, &task))).await;
        assert!(calls.iter().any(Result::is_ok));
        for refused in calls.into_iter().filter(Result::is_err) {
            refused.refused(Code::FailedPrecondition, "TASK_FINISHED");
        }
        assert_eq!(server.watch(&task).await.end().await.state(), TaskState::Cancelled);
        cancel(&server, &task).await.refused(Code::FailedPrecondition, "TASK_FINISHED");
    }

    async fn a_finished_task_can_neither_be_cancelled_nor_retried(server: TestServer) {
        let ended = server.deactivated(&user_ids("u", 1)).await;
        cancel(&server, &ended).await.refused(Code::FailedPrecondition, "TASK_FINISHED");
        retry(&server, &ended).await.refused(Code::FailedPrecondition, "TASK_NOT_FAILED");
        assert_eq!(server.task(&ended.task_id).await, ended);
    }

    async fn pending_and_cancelled_tasks_are_not_retried(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 1)).await;
        retry(&server, &task).await.refused(Code::FailedPrecondition, "TASK_NOT_FAILED");
        cancel(&server, &task).await.answered();
        retry(&server, &task).await.refused(Code::FailedPrecondition, "TASK_NOT_FAILED");
    }

    async fn what_waits_for_a_cancelled_task_goes_on(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 3);
        server.seed(&ids).await;
        let first = server.deactivate_all(&ids).await;
        let second = server.reactivate_all(&ids).await;
        cancel(&server, &first).await.answered();

        let server = server.restart_with(&[]).await;
        assert_eq!(server.completed(&second).await.users_unchanged, 3);
        assert!(server.read(&ids).await.iter().all(|user| user.version == 1));
    }

    async fn unknown_and_malformed_task_ids_are_refused(server: TestServer) {
        let task = |task_id: &str| pb::Task { task_id: task_id.to_owned(), ..Default::default() };
        let unknown = task("00000000-0000-7000-8000-000000000000");
        cancel(&server, &unknown).await.refused(Code::NotFound, "TASK_NOT_FOUND");
        retry(&server, &unknown).await.refused(Code::NotFound, "TASK_NOT_FOUND");
        for malformed in ["", "x", "a\0"] {
            let status =
                cancel(&server, &task(malformed)).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["task_id"]);
            let status =
                retry(&server, &task(malformed)).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["task_id"]);
        }
    }
}

on_postgres! {
    async fn a_task_can_be_cancelled_through_any_replica(backend: Backend) {
        let _worker = backend.start_with(&["--task-batch", "1"]).await;
        let other = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 2_000);
        other.seed(&ids).await;
        let task = other.deactivate_all(&ids).await;
        let mut watch = other.watch(&task).await;
        watch.until(|task| task.users_done > 0).await;

        cancel(&other, &task).await.answered();

        let ended = watch.end().await;
        assert_eq!((ended.state(), ended.users_done), (TaskState::Cancelled, 2_000));
        assert!(ended.rows_done < 2_000, "it stopped on the way");
    }
}
