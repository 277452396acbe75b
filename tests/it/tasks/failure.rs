//! Tasks whose work fails: tried again, given up, and taken up again by `RetryTask`.

use tonic::Code;

use crate::harness::{Answer, Backend, each_backend, pb, user_ids};
use pb::TaskState;

each_backend! {
    async fn a_step_that_panics_is_tried_again_and_progress_forgives_it(backend: Backend) {
        let server = backend
            .launch()
            .flag("--task-batch", "5")
            .failpoints("task_begin=2*off->1*panic->off")
            .start()
            .await;
        let ids = user_ids("u", 20);
        server.seed(&ids).await;

        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        let ended = watch.end().await;

        assert_eq!((ended.state(), ended.users_done, ended.failures), (TaskState::Completed, 20, 0));
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
    }

    async fn a_task_that_always_fails_ends_failed_and_can_be_retried(backend: Backend) {
        let launch = backend.launch().flag("--task-batch", "5").flag("--task-max-failures", "2");
        let server = launch.failpoints("task_before_commit=2*off->2*panic->off").start().await;
        let ids = user_ids("u", 20);
        server.seed(&ids).await;

        let task = server.deactivate_all(&ids).await;
        let failed = server.watch(&task).await.end().await;

        assert_eq!((failed.state(), failed.users_done, failed.failures), (TaskState::Failed, 10, 2));
        assert_eq!(failed.error.as_ref().unwrap().reason, "INTERNAL");
        assert!(failed.finished_at.is_some());
        let message = failed.error.unwrap().message;
        assert!(!message.contains("panic") && !message.contains("task_before"), "{message}");
        let versions: i64 = server.read(&ids).await.iter().map(|user| user.version - 1).sum();
        assert_eq!(versions, 10, "what was done stays, the rest is untouched");

        let cancel = pb::CancelTaskRequest { task_id: task.task_id.clone() };
        server.tasks().cancel_task(cancel).await.refused(Code::FailedPrecondition, "TASK_FINISHED");
        let request = pb::RetryTaskRequest { task_id: task.task_id.clone() };
        let retried = server.tasks().retry_task(request).await.answered().task.unwrap();
        assert!(retried.revision > failed.revision);
        assert!(retried.finished_at.is_none() && retried.error.is_none());
        let ended = server.completed(&retried).await;
        assert_eq!((ended.users_done, ended.rows_done, ended.failures), (20, 20, 0));
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
    }

    async fn a_failing_task_does_not_hold_up_others(backend: Backend) {
        // Every step of the first attempt at anything fails; the first task takes the failures.
        let server =
            backend.launch().flag("--workers", "2").failpoints("task_begin=3*panic->off").start().await;
        let (some, others) = (user_ids("some", 5), user_ids("other", 5));
        server.seed(&some).await;
        server.seed(&others).await;
        let first = server.deactivate_all(&some).await;
        let second = server.deactivate_all(&others).await;
        server.completed(&second).await;
        server.completed(&first).await;
        assert!(server.read(&[some, others].concat()).await.iter().all(|user| user.version == 2));
    }

    async fn a_failed_task_that_is_repeated_by_its_request_tells_so(backend: Backend) {
        let launch = backend.launch().flag("--task-max-failures", "1").failpoints("task_begin=1*panic->off");
        let server = launch.start().await;
        server.seed(&user_ids("u", 2)).await;
        let request = pb::DeactivateUsersRequest {
            user_ids: user_ids("u", 2),
            request_id: "once".to_owned(),
            ..Default::default()
        };
        let task = server.users().deactivate_users(request.clone()).await.answered().task.unwrap();
        let failed = server.watch(&task).await.end().await;
        assert_eq!(failed.state(), TaskState::Failed);

        let repeated = server.users().deactivate_users(request).await.answered().task.unwrap();
        assert_eq!(repeated, failed);
    }
}
