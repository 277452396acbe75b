//! A replica that was paused past its lease cannot commit any more.

use std::time::Duration;

use crate::harness::{Backend, Process, eventually, on_postgres, pb, user_ids};

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

    async fn a_replica_that_wakes_up_while_another_holds_its_task_does_nothing(backend: Backend) {
        // The first one rests after its second batch, is paused there, and wakes up with its lease lost.
        let launch = backend.launch().flag("--task-batch", "10").flag("--task-lease", "500ms");
        let first = launch.failpoints("task_committed=1*off->1*sleep(2000)->off").start().await;
        let observer = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 100);
        observer.seed(&ids).await;
        let task = observer.deactivate_all(&ids).await;
        eventually("two batches", || async {
            (observer.task(&task.task_id).await.users_done == 20).then_some(())
        })
        .await;
        first.signal("STOP").await;
        let before = observer.task(&task.task_id).await;
        assert_eq!(before.users_done, 20, "it was paused in time");

        // The second one claims the task, and rests before it begins.
        let launch = backend.launch().flag("--task-batch", "10").flag("--task-lease", "20s");
        let second = launch.failpoints("task_claimed=1*sleep(3000)->off").start().await;
        eventually("a claim", || async { (backend.claims_of(&task.task_id).await == 2).then_some(()) }).await;
        let mut watch = observer.watch_after(&task.task_id, before.revision).await;
        first.signal("CONT").await;
        let quiet = tokio::time::timeout(Duration::from_millis(2_400), watch.next()).await;
        assert!(quiet.is_err(), "nobody but the second one may do anything: {quiet:?}");
        assert_eq!(observer.task(&task.task_id).await.users_done, 20);

        assert_eq!(watch.end().await.rows_done, 100);
        assert!(observer.read(&ids).await.iter().all(|user| user.version == 2));
        drop((first, second));
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
