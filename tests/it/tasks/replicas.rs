//! Replicas die while they work and while they are watched.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch::{Receiver, Sender};

use crate::harness::{
    Backend, Caller, Launch, Process, Watch, aside, each_backend, on_postgres, pb, user_ids,
};

const USERS: usize = 2_000;
const KILLS: usize = 5;

fn launch(backend: &Backend) -> Launch {
    backend.launch().flag("--task-batch", "10").flag("--task-lease", "500ms")
}

/// Follows a task to its end on whatever replica answers, and tells its progress to `heard`.
async fn stubborn(
    task: pb::Task,
    mut replicas: Receiver<Vec<Caller>>,
    first: usize,
    heard: Sender<i64>,
) -> Watch {
    let mut watch: Option<Watch> = None;
    for turn in first.. {
        let caller = {
            let now = replicas.borrow_and_update();
            now[turn % now.len()].clone()
        };
        let opened = match &mut watch {
            Some(watch) => watch.resume_on(&caller).await,
            None => match caller.try_watch(&task.task_id, 0).await {
                Ok(opened) => {
                    watch = Some(opened);
                    Ok(())
                }
                Err(status) => Err(status),
            },
        };
        let mut broken = opened.is_err();
        while !broken {
            match watch.as_mut().unwrap().next().await {
                Ok(Some(task)) => {
                    heard.send_replace(task.users_done);
                }
                Ok(None) => return watch.unwrap(),
                Err(_) => broken = true,
            }
        }
        // The replica is gone; a short breath, unless the list of replicas changes before.
        let _ = tokio::time::timeout(Duration::from_millis(50), replicas.changed()).await;
    }
    unreachable!("turns do not end")
}

/// Kills one replica after the other, whenever progress is seen again, while two watchers look on.
async fn work_goes_on_over(mut fleet: Vec<Process>) {
    let items: Vec<_> = user_ids("u", USERS).into_iter().map(|id| json!({"id": id})).collect();
    assert_eq!(fleet[0].import_users("fleet", &items).await.accepted, i64::try_from(USERS).unwrap());
    let ids = user_ids("u", USERS);
    let task = fleet[0].deactivate_all(&ids).await;

    let callers = |fleet: &[Process]| fleet.iter().map(|process| Caller::clone(process)).collect::<Vec<_>>();
    let (replicas, look) = tokio::sync::watch::channel(callers(&fleet));
    let (heard, mut progress) = tokio::sync::watch::channel(0);
    let one = aside(stubborn(task.clone(), look.clone(), 0, heard.clone()));
    let two = aside(stubborn(task.clone(), look, 1, heard));
    let mut kills = 0;
    while kills < KILLS {
        let before = *progress.borrow_and_update();
        if progress.wait_for(|done| *done > before).await.is_err() || *progress.borrow() >= 2_000 {
            break;
        }
        let victim = kills % fleet.len();
        let launch = fleet.remove(victim).kill().await;
        fleet.insert(victim, launch.start().await);
        replicas.send_replace(callers(&fleet));
        kills += 1;
    }
    drop(progress);

    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let last = one.seen().last().unwrap();
    assert_eq!(last, two.seen().last().unwrap(), "both see the same end");
    assert_eq!(last.state(), pb::TaskState::Completed, "{last:?}");
    assert_eq!((last.users_done, last.rows_done, last.users_failed, last.failures), (2_000, 2_000, 0, 0));
    for user in fleet[0].read(&ids).await {
        assert_eq!((user.version, user.deactivated_at.is_some()), (2, true), "once: {}", user.id);
    }
    assert!(kills >= 3, "the work was interrupted, {kills} times");
}

each_backend! {
    async fn work_is_done_once_though_the_server_is_killed_again_and_again(backend: Backend) {
        work_goes_on_over(vec![launch(&backend).start().await]).await;
    }
}

on_postgres! {
    async fn work_is_done_once_though_replicas_are_killed_in_turn(backend: Backend) {
        work_goes_on_over(vec![launch(&backend).start().await, launch(&backend).start().await]).await;
    }

    async fn many_tasks_of_a_dead_replica_are_all_taken_over(backend: Backend) {
        let dying = launch(&backend).flag("--workers", "32").start().await;
        let observer = backend.start_with(&["--workers", "0"]).await;
        let mut tasks = Vec::new();
        for number in 0..32 {
            let ids = user_ids(&format!("u{number}"), 40);
            observer.seed(&ids).await;
            tasks.push((observer.deactivate_all(&ids).await, ids));
        }
        dying.kill().await;

        let _heir = backend.start_with(&["--task-lease", "1s"]).await;
        for (task, ids) in tasks {
            assert_eq!(observer.completed(&task).await.users_done, 40);
            assert!(observer.read(&ids).await.iter().all(|user| user.version == 2));
        }
    }

    async fn a_replica_that_stops_gives_its_work_to_another_at_once(backend: Backend) {
        // A lease of minutes: only if it is given back can another go on within the time of a test.
        let flags = ["--task-batch", "1", "--task-lease", "5m"];
        let first = backend.start_with(&flags).await;
        let observer = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 500);
        observer.seed(&ids).await;
        let task = observer.deactivate_all(&ids).await;
        let mut watch = observer.watch(&task).await;
        watch.until(|task| task.users_done > 0).await;

        first.stop().await;
        let _second = backend.start_with(&["--task-lease", "5m"]).await;

        assert_eq!(watch.end().await.users_done, 500);
        assert!(observer.read(&ids).await.iter().all(|user| user.version == 2));
    }
}
