//! Operations on one user take effect in the order they were accepted, whoever works on them.

use std::time::Duration;

use tonic::Code;

use crate::harness::{Answer, Backend, TestServer, each_backend, on_postgres, pb, retry_of, user_ids};

/// Deactivates and reactivates the same users in turn, all accepted at once; tells the tasks.
async fn alternate(server: &TestServer, ids: &[String], rounds: usize) -> Vec<pb::Task> {
    let mut tasks = Vec::new();
    for round in 0..rounds {
        // Each in another order: what counts is when they were accepted.
        let mut ids = ids.to_vec();
        let by = round * 7 % ids.len();
        ids.rotate_left(by);
        tasks.push(match round % 2 {
            0 => server.deactivate_all(&ids).await,
            _ => server.reactivate_all(&ids).await,
        });
    }
    tasks
}

async fn all_in_turn(server: &TestServer, ids: &[String], rounds: usize) {
    for task in alternate(server, ids, rounds).await {
        let ended = server.completed(&task).await;
        assert_eq!(ended.users_unchanged, 0, "each found the state the one before had left: {ended:?}");
        assert_eq!(ended.users_failed, 0);
    }
    let expected = 1 + i64::try_from(rounds).unwrap();
    for user in server.read(ids).await {
        assert_eq!(user.version, expected, "{}", user.id);
        assert_eq!(user.deactivated_at.is_some(), rounds % 2 == 1, "the last one decides: {}", user.id);
    }
}

each_backend! {
    async fn of_overlapping_tasks_the_last_one_decides(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "7", "--workers", "8"]).await;
        let ids = user_ids("u", 300);
        server.seed(&ids).await;
        all_in_turn(&server, &ids, 6).await;
    }

    async fn a_single_call_waits_for_bulk_work_accepted_before(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "10"]).await;
        let ids = user_ids("u", 400);
        server.seed(&ids).await;

        let task = server.deactivate_all(&ids).await;
        let last = pb::ReactivateUserRequest { user_id: ids[399].clone(), ..Default::default() };
        let user = server.users().reactivate_user(last).await.answered().user.unwrap();

        assert_eq!(
            (user.deactivated_at, user.version),
            (None, 3),
            "deactivated by the task, then reactivated"
        );
        let ended = server.completed(&task).await;
        assert_eq!((ended.users_done, ended.rows_done), (400, 400));
        assert_eq!(server.user(&ids[399]).await, user);
    }

    async fn a_single_call_gives_up_where_nobody_works(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 2);
        server.seed(&ids).await;
        server.deactivate_all(&ids[..1]).await;

        let request = pb::DeactivateUserRequest { user_id: ids[0].clone(), ..Default::default() };
        let status = server.users().deactivate_user(request).await.refused(Code::Aborted, "CONFLICT");
        assert!(retry_of(&status).is_some_and(|after| after > Duration::ZERO), "it helps to try again later");
        assert_eq!(server.user(&ids[0]).await.version, 1);

        server.deactivate(&ids[1]).await;
    }

    async fn a_deletion_taken_up_again_comes_after_what_was_accepted_meanwhile(backend: Backend) {
        let launch = backend.launch().flag("--task-batch", "5").flag("--task-max-failures", "1");
        let server = launch.failpoints("task_before_commit=1*off->1*panic->off").start().await;
        let ids = user_ids("u", 20);
        server.seed(&ids).await;
        let request = pb::DeleteUsersRequest { user_ids: ids.clone(), ..Default::default() };
        let deletion = server.users().delete_users(request).await.answered().task.unwrap();
        let failed = server.watch(&deletion).await.end().await;
        assert_eq!((failed.state(), failed.users_done), (pb::TaskState::Failed, 5));

        let request = pb::RestoreUsersRequest { user_ids: ids.clone(), ..Default::default() };
        let restoration = server.users().restore_users(request).await.answered().task.unwrap();
        assert_eq!(server.completed(&restoration).await.users_failed, 0);
        assert!(server.read(&ids).await.iter().all(|user| user.deleted_at.is_none()));

        let request = pb::RetryTaskRequest { task_id: deletion.task_id.clone() };
        let retried = server.tasks().retry_task(request).await.answered().task.unwrap();
        let ended = server.completed(&retried).await;
        assert_eq!((ended.users_done, ended.users_failed, ended.users_unchanged), (20, 0, 0));
        let users = server.read(&ids).await.into_iter();
        let left: Vec<String> = users.filter(|user| user.deleted_at.is_none()).map(|user| user.id).collect();
        assert_eq!(left, ids[..5], "whom it had not come to was deleted again, the others stay restored");
    }

    async fn a_task_on_other_users_does_not_wait(backend: Backend) {
        let server = backend.start_with(&["--task-batch", "5", "--workers", "1"]).await;
        let (many, few) = (user_ids("many", 3_000), user_ids("few", 5));
        server.seed(&many).await;
        server.seed(&few).await;

        let long = server.deactivate_all(&many).await;
        let short = server.deactivate_all(&few).await;
        server.completed(&short).await;

        let ended = server.completed(&long).await;
        assert_eq!(ended.users_done, 3_000);
    }
}

on_postgres! {
    async fn the_order_holds_across_replicas(backend: Backend) {
        let flags = ["--task-batch", "5", "--workers", "4"];
        let first = backend.start_with(&flags).await;
        let _others = (backend.start_with(&flags).await, backend.start_with(&flags).await);
        let ids = user_ids("u", 50);
        first.seed(&ids).await;
        all_in_turn(&first, &ids, 6).await;
    }
}
