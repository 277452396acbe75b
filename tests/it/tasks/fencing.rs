//! A replica that was paused past its lease cannot commit any more.

use std::time::Duration;

use crate::harness::{Backend, Process, on_postgres, pb, user_ids};

/// What is done while the first replica is paused, and after it wakes up.
///
/// `flags` of the first one make it stop inside or outside of a transaction; it is paused at `progress`.
async fn pause(backend: &Backend, failpoints: &str, progress: i64) {
    const USERS: usize = 400;
    let launch = backend.launch().flag("--task-batch", "10").flag("--task-lease", "1s");
    let paused = launch.failpoints(failpoints).start().await;
    let observer = backend.start_with(&["--workers", "0"]).await;
    let ids = user_ids("u", USERS);
    observer.seed(&ids).await;

    let task = observer.deactivate_all(&ids).await;
    let mut watch = observer.watch(&task).await;
    watch.until(|task| task.users_done >= progress).await;
    paused.signal("STOP").await;
    let successor = backend.start_with(&["--task-batch", "10", "--task-lease", "1s"]).await;
    let ended = watch.end().await;
    assert_eq!(ended.state(), pb::TaskState::Completed);
    paused.signal("CONT").await;

    // Work that only it can do proves that it is through with what it was doing.
    successor.stop().await;
    woken(&paused, &ids).await;
    assert_eq!(observer.task(&task.task_id).await, ended, "nothing was added after the end");
    let items = observer.items(&task.task_id).await;
    assert!(items.iter().all(|item| item.outcome() == pb::ItemOutcome::Done));
    assert_eq!((ended.users_done, ended.rows_done, ended.failures), (400, 400, 0));
}

/// The replica works again, and every user has changed once before and once now.
async fn woken(paused: &Process, ids: &[String]) {
    let back = paused.reactivate_all(ids).await;
    let back = tokio::time::timeout(Duration::from_secs(20), paused.completed(&back)).await;
    assert_eq!(back.expect("it works again").rows_done, 400);
    for user in paused.read(ids).await {
        assert_eq!((user.version, user.deactivated_at), (3, None), "once off, once on: {}", user.id);
    }
}

on_postgres! {
    async fn a_replica_paused_past_its_lease_commits_nothing_more(backend: Backend) {
        pause(&backend, "", 10).await;
    }

    async fn a_replica_paused_inside_its_transaction_holds_nobody_up(backend: Backend) {
        // The third batch rests before its commit, with the task locked, long enough to be paused there.
        pause(&backend, "task_before_commit=2*off->1*sleep(2000)->off", 20).await;
    }

    async fn a_replica_paused_between_lock_and_work_commits_nothing_more(backend: Backend) {
        pause(&backend, "task_begin=2*off->1*sleep(2000)->off", 20).await;
    }

    async fn a_replica_paused_after_its_claim_does_no_work(backend: Backend) {
        pause(&backend, "task_claimed=1*sleep(1500)->off", 0).await;
    }
}
