//! Clocks that step: tasks that wait, and tasks whose worker died, go on all the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::{
    Backend, Caller, Kind, Launch, Place, each_backend, eventually, on_postgres, on_sqlite, pb, user_ids,
};
use pb::TaskState;

/// What a clock that stepped back by an hour leaves of the times stored before.
const AN_HOUR_AHEAD: &str = "UPDATE tasks SET run_after = run_after + 3600000000, \
                             lease_expires_at = lease_expires_at + 3600000000 \
                             WHERE state IN ('pending', 'running')";

/// What a clock that stepped forward by an hour leaves of them.
const AN_HOUR_BEHIND: &str = "UPDATE tasks SET run_after = run_after - 3600000000, \
                              lease_expires_at = lease_expires_at - 3600000000 \
                              WHERE state IN ('pending', 'running')";

/// A lease that no test with a clock that steps forward waits out.
const LEASE: Duration = Duration::from_secs(15);

/// A clock that steps forward when it is asked to: the server's, and with it the database's.
struct Clock {
    file: PathBuf,
    backend: Backend,
}

impl Clock {
    /// Launches with such a clock. `None` where there is no libfaketime, which is then said.
    fn of(backend: &Backend) -> Option<(Launch, Self)> {
        let clock = Self { file: backend.dir().join("clock"), backend: backend.clone() };
        std::fs::write(&clock.file, "+0s\n").unwrap();
        let lease = format!("{}s", LEASE.as_secs());
        let launch = backend.launch().flag("--task-batch", "5").flag("--task-lease", &lease);
        Some((launch.with_clock_in(&clock.file)?, clock))
    }

    async fn step_forward(&self, place: &Place) {
        std::fs::write(&self.file, "+3600s\n").unwrap();
        if self.backend.kind() == Kind::Postgres {
            // Its clock is that of the machine; the times that it has stored step back instead.
            self.backend.meddle(place, AN_HOUR_BEHIND).await;
        }
    }
}

/// How long a worker rests after its first batch; it keeps a thread of its server to itself meanwhile, so that
/// what becomes of its task is read from the database.
const REST: Duration = Duration::from_secs(3);

/// A task that comes first, one that waits for it, and one that waits for a worker.
struct Tasks {
    first: pb::Task,
    waiting: pb::Task,
    pending: pb::Task,
    users: [Vec<String>; 2],
}

impl Tasks {
    /// Stores them while no worker is there.
    async fn store(launch: &Launch) -> Self {
        let idle = launch.clone().flag("--workers", "0").start().await;
        let users = [user_ids("first", 20), user_ids("pending", 20)];
        for ids in &users {
            idle.seed(ids).await;
        }
        let first = idle.deactivate_all(&users[0]).await;
        let waiting = idle.reactivate_all(&users[0]).await;
        let pending = idle.deactivate_all(&users[1]).await;
        idle.kill().await;
        Self { first, waiting, pending, users }
    }

    /// Waits for a batch of any of them.
    async fn begun(&self, backend: &Backend, place: &Place) {
        let query = "SELECT id FROM tasks WHERE users_done > 0";
        eventually("a batch", async || (!backend.select(place, query).await.is_empty()).then_some(())).await;
    }

    /// Sees that each ends within a lease, and that every user was changed once by each.
    async fn end_once_each(&self, server: &Caller) {
        let begun = Instant::now();
        for task in [&self.first, &self.waiting, &self.pending] {
            let ended = server.completed(task).await;
            assert_eq!((ended.users_done, ended.rows_done, ended.failures), (20, 20, 0), "{ended:?}");
        }
        assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
        for (ids, version) in self.users.iter().zip([3, 2]) {
            assert!(server.read(ids).await.iter().all(|user| user.version == version), "each user once");
        }
    }
}

fn resting(launch: &Launch, workers: &str, rest: Duration) -> Launch {
    let rest = format!("task_committed=1*sleep({})->off", rest.as_millis());
    launch.clone().flag("--workers", workers).failpoints(&rest)
}

each_backend! {
    async fn tasks_go_on_once_each_though_the_clock_of_a_running_server_steps_forward(backend: Backend) {
        let Some((launch, clock)) = Clock::of(&backend) else { return };
        let tasks = Tasks::store(&launch).await;
        let server = resting(&launch, "1", REST).start().await;
        tasks.begun(&backend, launch.place()).await;

        clock.step_forward(launch.place()).await;

        tasks.end_once_each(&server).await;
    }

    async fn tasks_go_on_once_each_though_a_step_forward_ends_leases_while_workers_are_free(backend: Backend) {
        let Some((launch, clock)) = Clock::of(&backend) else { return };
        let tasks = Tasks::store(&launch).await;
        let server = resting(&launch, "4", REST).start().await;
        tasks.begun(&backend, launch.place()).await;

        clock.step_forward(launch.place()).await;

        tasks.end_once_each(&server).await;
    }

    async fn tasks_go_on_once_each_though_the_clock_stepped_forward_while_their_worker_was_dead(backend: Backend) {
        let Some((launch, clock)) = Clock::of(&backend) else { return };
        let tasks = Tasks::store(&launch).await;
        let server = resting(&launch, "1", REST).start().await;
        tasks.begun(&backend, launch.place()).await;
        server.kill().await;

        clock.step_forward(launch.place()).await;

        let server = launch.start().await;
        tasks.end_once_each(&server).await;
    }

    async fn a_task_that_rests_after_failures_goes_on_once_though_the_clock_steps_forward(backend: Backend) {
        let Some((launch, clock)) = Clock::of(&backend) else { return };
        let server = launch.failpoints("task_begin=6*panic->off").start().await;
        let ids = user_ids("u", 20);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        // The sixth pause is 1.6 seconds or longer.
        eventually("pauses", async || (server.task(&task.task_id).await.failures == 6).then_some(())).await;
        let begun = Instant::now();

        clock.step_forward(server.launch().place()).await;

        let ended = server.completed(&task).await;
        assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
        assert_eq!((ended.users_done, ended.rows_done), (20, 20), "{ended:?}");
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
    }

    async fn a_task_whose_worker_died_goes_on_though_its_lease_ends_in_an_hour(backend: Backend) {
        let launch = backend.launch().flag("--task-batch", "5").flag("--task-lease", "1s");
        let mut server = launch.clone().failpoints("task_committed=2*off->return").start().await;
        let ids = user_ids("u", 20);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        server.ended(Duration::from_secs(20)).await;
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

mod shared {
    use super::*;

    on_postgres! {
        async fn a_lease_that_a_step_forward_ends_goes_to_another_replica_and_the_first_does_nothing_more(backend: Backend) {
            let Some((launch, clock)) = Clock::of(&backend) else { return };
            let tasks = Tasks::store(&launch).await;
            let rest = REST * 3;
            let first = resting(&launch, "1", rest).start().await;
            tasks.begun(&backend, launch.place()).await;
            let rests = Instant::now();
            let second = launch.start().await;
            assert_eq!(second.task(&tasks.first.task_id).await.users_done, 5, "the lease lasts");

            clock.step_forward(launch.place()).await;

            let ended = second.completed(&tasks.first).await;
            assert!(rests.elapsed() < rest, "{:?}", rests.elapsed());
            tasks.end_once_each(&second).await;
            // Work that only it can do proves that it is through with what it was doing.
            second.signal("STOP").await;
            assert_eq!(first.deactivated(&tasks.users[0]).await.users_done, 20);
            assert_eq!(first.task(&tasks.first.task_id).await, ended, "nothing was added after the end");
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
