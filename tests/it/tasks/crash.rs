//! The process dies at every point of the engine, at every passing; what is left is as if it had not.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use tonic::Status;

use crate::harness::{Answer, Backend, Caller, Launch, Process, Watch, each_backend, pb, user_ids};

const SIGABRT: i32 = 6;
/// Thirty users in batches of ten.
const USERS: usize = 30;

fn launch(backend: &Backend) -> Launch {
    backend.launch().flag("--task-batch", "10").flag("--task-lease", "500ms")
}

fn request(name: &str) -> pb::DeactivateUsersRequest {
    let mut ids = user_ids(name, USERS);
    ids.insert(15, "nobody".to_owned());
    ids.insert(5, "a b".to_owned());
    pb::DeactivateUsersRequest { user_ids: ids, request_id: name.to_owned(), ..Default::default() }
}

/// Everything that must not depend on crashes.
#[derive(Debug, PartialEq)]
struct Picture {
    state: pb::TaskState,
    counters: [i64; 5],
    failures: i32,
    items: Vec<(i32, pb::ItemOutcome, String)>,
    users: Vec<(i64, bool)>,
}

async fn picture(caller: &Caller, name: &str, task: &pb::Task) -> Picture {
    let items = caller.items(&task.task_id).await;
    let users = caller.read(&user_ids(name, USERS)).await;
    Picture {
        state: task.state(),
        counters: [
            task.users_total,
            task.users_done,
            task.users_failed,
            task.users_unchanged,
            task.rows_done,
        ],
        failures: task.failures,
        items: items.into_iter().map(|item| (item.index, item.outcome(), item.reason)).collect(),
        users: users.into_iter().map(|user| (user.version, user.deactivated_at.is_some())).collect(),
    }
}

/// Begins the work and follows it; an error where the server dies over it.
async fn follow(
    server: &Process,
    request: pb::DeactivateUsersRequest,
    watch: &mut Option<Watch>,
) -> Result<pb::Task, Status> {
    let task = server.users().deactivate_users(request).await?.into_inner().task.unwrap();
    match watch {
        Some(watch) => watch.resume_on(server).await?,
        None => *watch = Some(server.try_watch(&task.task_id, 0).await?),
    }
    let watch = watch.as_mut().unwrap();
    while watch.next().await?.is_some() {}
    Ok(watch.seen().last().unwrap().clone())
}

async fn died(mut server: Process) {
    let status = server.ended(Duration::from_secs(10)).await;
    assert_eq!(status.signal(), Some(SIGABRT), "{status}: {}", server.log());
}

/// Whether the process is alive, and was not about to die when the end of the task was seen; it ends with this.
async fn outlives(mut server: Process, seems_to: bool) -> bool {
    if seems_to {
        server.signal("TERM").await;
    }
    let status = server.ended(Duration::from_secs(10)).await;
    assert!(status.success() || status.signal() == Some(SIGABRT), "{status}: {}", server.log());
    status.success()
}

/// Dies at the first, second, ... passing of `point`, until there is no such passing.
async fn survives_dying_at(point: &str, backend: Backend) {
    let launch = launch(&backend);
    let mut pictures = Vec::new();
    for hit in 0..20 {
        let name = format!("hit{hit}");
        let server = launch.clone().failpoints(&format!("{point}={hit}*off->return")).start().await;
        server.seed(&user_ids(&name, USERS)).await;
        // One watcher sees all lives: revisions rise and progress does not fall across the crash.
        let mut watch = None;
        let survived = follow(&server, request(&name), &mut watch).await;
        let is_alive = outlives(server, survived.is_ok()).await;
        let server = launch.start().await;
        let task = match survived {
            Ok(task) => task,
            Err(_) => follow(&server, request(&name), &mut watch).await.unwrap(),
        };
        let picture = picture(&server, &name, &task).await;
        if is_alive {
            let uninterrupted = picture;
            assert!(!pictures.is_empty(), "{point} is passed at least once");
            assert_eq!(uninterrupted.counters, [32, 32, 2, 0, 30]);
            assert!(uninterrupted.users.iter().all(|user| *user == (2, true)));
            for (hit, crashed) in pictures.iter().enumerate() {
                assert_eq!(*crashed, uninterrupted, "after dying at passing {hit} of {point}");
            }
            return;
        }
        pictures.push(picture);
        server.kill().await;
    }
    panic!("{point} is passed without end");
}

each_backend! {
    async fn dying_after_a_claim_changes_nothing(backend: Backend) {
        survives_dying_at("task_claimed", backend).await;
    }

    async fn dying_at_the_beginning_of_a_step_changes_nothing(backend: Backend) {
        survives_dying_at("task_begin", backend).await;
    }

    async fn dying_before_the_commit_of_a_step_changes_nothing(backend: Backend) {
        survives_dying_at("task_before_commit", backend).await;
    }

    async fn dying_after_the_commit_of_a_step_changes_nothing(backend: Backend) {
        survives_dying_at("task_committed", backend).await;
    }

    async fn a_task_gets_to_its_end_though_every_life_ends_after_one_batch(backend: Backend) {
        let launch = launch(&backend).failpoints("task_begin=1*off->return");
        let server = launch.start().await;
        server.seed(&user_ids("u", USERS)).await;
        let mut watch = None;
        let mut told = follow(&server, request("u"), &mut watch).await;
        died(server).await;
        let mut lives = 1;
        while told.is_err() {
            lives += 1;
            assert!(lives < 10, "each life takes the task one batch further");
            // It may get to its batch, and die over it, before it says that it serves.
            let Ok(server) = launch.try_start().await else { continue };
            told = follow(&server, request("u"), &mut watch).await;
        }
        assert!(lives >= 3, "there are several batches");
        let server = launch.clone().without_failpoints().start().await;
        let picture = picture(&server, "u", &told.unwrap()).await;
        assert_eq!((picture.counters, picture.failures), ([32, 32, 2, 0, 30], 0));
        assert!(picture.users.iter().all(|user| *user == (2, true)));
    }

    async fn what_was_acknowledged_outlives_a_kill(backend: Backend) {
        let launch = backend.launch();
        let mut acknowledged = Vec::new();
        for round in 0..4 {
            let server = launch.start().await;
            let write = |number: usize| {
                let caller = server.on_another_connection();
                async move {
                    let mut done = Vec::new();
                    // Until the server dies.
                    for batch in 0.. {
                        let ids = user_ids(&format!("r{round}w{number}b{batch}"), 5);
                        let users = ids.iter().map(|id| crate::harness::user(id)).collect();
                        if caller.users().upsert_users(pb::UpsertUsersRequest { users }).await.is_err() {
                            // Either all of it or nothing was stored.
                            return (done, ids);
                        }
                        done.extend(ids);
                    }
                    unreachable!("the server dies")
                }
            };
            let writers = futures_util::future::join_all((0..4).map(write));
            let enough = async {
                // A few hundred writes in: any moment will do.
                while server
                    .users()
                    .query_users(pb::QueryUsersRequest { limit: 1, offset: 150, ..Default::default() })
                    .await
                    .answered()
                    .users
                    .is_empty()
                {}
                server.signal("KILL").await;
            };
            let (written, ()) = tokio::join!(writers, enough);
            let server = {
                drop(server);
                launch.start().await
            };
            for (done, doubtful) in written {
                assert_eq!(server.read(&done).await.len(), done.len(), "no acknowledged write is lost");
                assert!([0, 5].contains(&server.read(&doubtful).await.len()), "no batch is half written");
                acknowledged.extend(done);
            }
            server.kill().await;
        }
        let server = launch.start().await;
        assert_eq!(server.read(&acknowledged).await.len(), acknowledged.len());
    }
}
