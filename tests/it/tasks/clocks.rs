//! Clocks that step: tasks that wait, and tasks whose worker died, go on all the same.

use crate::harness::{Backend, each_backend, on_sqlite, pb, user_ids};
use pb::TaskState;

/// What a clock that stepped back by an hour leaves of the times stored before.
const AN_HOUR_AHEAD: &str = "UPDATE tasks SET run_after = run_after + 3600000000, \
                             lease_expires_at = lease_expires_at + 3600000000 \
                             WHERE state IN ('pending', 'running')";

each_backend! {
    async fn a_task_whose_worker_died_goes_on_though_its_lease_ends_in_an_hour(backend: Backend) {
        let launch = backend.launch().flag("--task-batch", "5").flag("--task-lease", "1s");
        let mut server = launch.clone().failpoints("task_committed=2*off->return").start().await;
        let ids = user_ids("u", 20);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        server.ended(std::time::Duration::from_secs(20)).await;
        backend.meddle(launch.place(), AN_HOUR_AHEAD).await;

        let server = launch.start().await;
        let ended = server.completed(&task).await;

        assert_eq!((ended.state(), ended.users_done), (TaskState::Completed, 20));
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
    }

    async fn tasks_that_wait_go_on_though_their_time_comes_in_an_hour(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 4);
        server.seed(&ids).await;
        let mut tasks = Vec::new();
        for some in ids.chunks(2) {
            tasks.push(server.deactivate_all(some).await);
        }
        backend.meddle(server.place(), AN_HOUR_AHEAD).await;

        let server = server.restart_with(&["--workers", "1", "--task-lease", "1s"]).await;

        for task in tasks {
            assert_eq!(server.completed(&task).await.users_done, 2);
        }
    }
}

/// The database's clock is the server's.
mod embedded {
    use super::*;

    on_sqlite! {
        async fn tasks_go_on_when_the_clock_of_a_running_server_steps_back(backend: Backend) {
            let clock = backend.dir().join("clock");
            std::fs::write(&clock, "+3600s\n").unwrap();
            let launch = backend.launch().flag("--workers", "1").flag("--task-lease", "1s");
            let Some(launch) = launch.with_clock_in(&clock) else { return };
            let server = launch.failpoints("task_begin=1*sleep(2000)->off").start().await;
            let ids = user_ids("u", 4);
            server.seed(&ids).await;
            let first = server.deactivate_all(&ids[..2]).await;
            let second = server.deactivate_all(&ids[2..]).await;

            std::fs::write(&clock, "+0s\n").unwrap();

            assert_eq!(server.completed(&first).await.users_done, 2);
            assert_eq!(server.completed(&second).await.users_done, 2);
            let third = server.deactivate_all(&ids[..1]).await;
            assert_eq!(server.completed(&third).await.users_unchanged, 1);
        }
    }
}
