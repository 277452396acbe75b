//! PostgreSQL goes away in the ways it does, and comes back.

use std::future::Future;
use std::time::{Duration, Instant};

use tonic::{Code, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::{
    Answer, Backend, Caller, Cut, Process, Proxy, aside, eventually, metadata_of, on_postgres, pb, retry_of,
    user, user_ids,
};

/// By then the server is well again after its database is.
const HEALED: Duration = Duration::from_secs(5);
/// By then a statement has ended whose caller is gone: a second, and the time to see it. Without a cancel it
/// waits for as long as a call may take.
const ENDED: Duration = Duration::from_secs(5);

async fn health(caller: &Caller) -> ServingStatus {
    let request = HealthCheckRequest { service: String::new() };
    caller.anonymous().health().check(request).await.unwrap().into_inner().status()
}

async fn write(caller: &Caller, id: &str) -> Result<(), Status> {
    let request = pb::UpsertUsersRequest { users: vec![user(id)] };
    caller.users().upsert_users(request).await.map(drop)
}

async fn read(caller: &Caller, id: &str) -> Result<(), Status> {
    let request = pb::GetUsersRequest { user_ids: vec![id.to_owned()], include_deleted: false };
    caller.users().get_users(request).await.map(drop)
}

/// Callers that write without a pause and without a deadline until their runtime ends.
fn keep_busy(server: &Process, callers: usize) {
    for number in 0..callers {
        let caller = server.on_another_connection();
        aside(async move {
            loop {
                write(&caller, &format!("busy-{number}")).await.ok();
            }
        });
    }
}

/// How long it takes until `call` succeeds and health says SERVING, the first of 20 times in a row: how fast they
/// follow each other is a matter of the machine.
async fn healed<F: Future<Output = Result<(), Status>>>(server: &Caller, call: impl Fn() -> F) -> Duration {
    let begun = Instant::now();
    eventually("a healthy server", || async {
        let mut healed = None;
        for _ in 0..20 {
            if call().await.is_err() || health(server).await != ServingStatus::Serving {
                return None;
            }
            healed = healed.or_else(|| Some(begun.elapsed()));
        }
        healed
    })
    .await
}

/// Sees that statements of `callers` that wait for a locked row of ada's end when their callers go.
pub(super) async fn statements_of_callers_gone_end(server: &Process, backend: &Backend, callers: usize) {
    write(server, "ada").await.unwrap();
    let _lock = backend.session(&["BEGIN", "SELECT 1 FROM users WHERE id = 'ada' FOR UPDATE"]).await;
    let direct = backend.place();
    let waiting = || async {
        let query = "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock'";
        backend.select(&direct, query).await.len()
    };

    let calls: Vec<_> = (0..callers)
        .map(|_| {
            let caller = server.on_another_connection();
            aside(async move { write(&caller, "ada").await })
        })
        .collect();
    eventually("statements that wait", async || (waiting().await >= callers).then_some(())).await;
    for call in &calls {
        call.abort();
    }

    let gone = Instant::now();
    eventually("none that waits", async || (waiting().await == 0).then_some(())).await;
    assert!(gone.elapsed() < ENDED, "{:?}", gone.elapsed());
}

/// Writes a user while the next COMMIT is cut, and again where it was the COMMIT of something else.
async fn cut_write(server: &Caller, proxy: &Proxy, cut: Cut, number: usize) -> (String, Status) {
    for attempt in 0..50 {
        let id = format!("u{number}-{attempt}");
        proxy.cut_next(cut);
        if let Err(status) = write(server, &id).await {
            return (id, status);
        }
    }
    panic!("no write was cut");
}

on_postgres! {
    async fn connections_that_went_dead_without_a_word_are_replaced(backend: Backend) {
        let (launch, proxy) = backend.launch().through_proxy().await;
        let server = launch.start().await;
        write(&server, "ada").await.unwrap();
        keep_busy(&server, 16);
        eventually("calls under way", async || read(&server, "busy-15").await.ok()).await;

        proxy.freeze();

        let caller = server.on_another_connection();
        let took = healed(&caller, || write(&caller, "ada")).await;
        assert!(took < HEALED, "{took:?}; the server logged: {}", server.log());
    }

    async fn statements_end_with_their_callers_and_a_busy_pool_is_no_outage(backend: Backend) {
        let server = backend.launch().start().await;
        write(&server, "ada").await.unwrap();
        write(&server, "bob").await.unwrap();
        let mut watch =
            server.health().watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        statements_of_callers_gone_end(&server, &backend, 16).await;
        let gone = Instant::now();
        read(&server, "bob").await.unwrap();
        write(&server, "bob").await.unwrap();
        assert!(gone.elapsed() < ENDED, "{:?}", gone.elapsed());
        // Nothing was said in all this time.
        let silent = tokio::time::timeout(Duration::ZERO, watch.message()).await;
        assert!(silent.is_err(), "{silent:?}");
    }

    async fn health_is_serving_while_all_connections_wait(backend: Backend) {
        let server = backend.launch().flag("--database-connections", "2").start().await;
        write(&server, "ada").await.unwrap();
        let lock = backend.session(&["BEGIN", "SELECT 1 FROM users WHERE id = 'ada' FOR UPDATE"]).await;
        let mut watch =
            server.health().watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        for _ in 0..4 {
            let caller = server.on_another_connection();
            aside(async move { while write(&caller, "ada").await.is_err() {} });
        }

        // Three times as long as health looks.
        let said = tokio::time::timeout(Duration::from_secs(6), watch.message()).await;

        assert!(said.is_err(), "health says nothing else: {said:?}");
        lock.close().await.unwrap();
    }

    async fn a_commit_whose_answer_is_lost_is_not_run_again_and_its_caller_is_told(backend: Backend) {
        let (launch, proxy) = backend.launch().flag("--workers", "0").through_proxy().await;
        let server = launch.start().await;
        for number in 0..10 {
            let cut = if number % 2 == 0 { Cut::After } else { Cut::Before };
            let (id, status) = cut_write(&server, &proxy, cut, number).await;
            let status = Err::<Response<()>, _>(status).refused(Code::Unavailable, "DATABASE_UNAVAILABLE");
            assert!(status.message().contains("read it") && retry_of(&status).is_some(), "{status:?}");
            assert_eq!(metadata_of(&status).get("outcome").map(String::as_str), Some("unknown"));
            let stored = server.read(std::slice::from_ref(&id)).await;
            let versions: Vec<i64> = stored.iter().map(|user| user.version).collect();
            assert_eq!(versions, if cut == Cut::After { vec![1] } else { vec![] }, "{cut:?}");
        }
    }

    async fn nothing_acknowledged_is_missing_and_tasks_work_once_though_commits_are_cut(backend: Backend) {
        let (launch, proxy) = backend.launch().flag("--task-batch", "10").through_proxy().await;
        let server = launch.start().await;
        let ids = user_ids("u", 300);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        let mut acknowledged = Vec::new();
        for number in 0..20 {
            proxy.cut_next(if number % 3 == 0 { Cut::Before } else { Cut::After });
            let id = format!("v{number}");
            if write(&server, &id).await.is_ok() {
                acknowledged.push(id);
            }
        }

        // A watch may end with the database's outage; it is resumed as by any caller.
        let last = loop {
            match watch.next().await {
                Ok(Some(task)) if task.state() == pb::TaskState::Completed => break task,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => {
                    watch = eventually("the watch again", || async {
                        server.try_watch(&task.task_id, 0).await.ok()
                    })
                    .await;
                }
            }
        };

        assert!(proxy.cuts() >= 10, "{}", proxy.cuts());
        assert_eq!((last.users_done, last.users_failed), (300, 0), "{last:?}");
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
        assert_eq!(server.read(&acknowledged).await.len(), acknowledged.len());
    }

    async fn answers_that_mean_not_here_or_not_now_are_unavailable_and_pass(backend: Backend) {
        let server = backend.launch().flag("--workers", "0").start().await;
        write(&server, "ada").await.unwrap();
        let meddle = async |sql: &str| backend.meddle(server.launch().place(), sql).await;
        meddle("CREATE TABLE answers (code text)").await;
        meddle(
            "CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE code text; BEGIN \
             SELECT answers.code INTO code FROM answers; IF code IS NOT NULL THEN \
             RAISE EXCEPTION 'canary' USING ERRCODE = code; END IF; RETURN NEW; END $$",
        )
        .await;
        meddle("CREATE TRIGGER answer BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION answer()").await;

        for code in NOT_HERE_NOT_NOW {
            meddle("DELETE FROM answers").await;
            meddle(&format!("INSERT INTO answers VALUES ('{code}')")).await;
            let status = write(&server, code).await.map(Response::new).refused(Code::Unavailable, "DATABASE_UNAVAILABLE");
            assert!(retry_of(&status).is_some() && !status.message().contains("canary"), "{code}: {status:?}");
            meddle("DELETE FROM answers").await;
            write(&server, code).await.unwrap_or_else(|status| panic!("after {code}: {status:?}"));
        }
        assert!(!server.log().contains("canary"), "{}", server.log());
    }

    async fn a_server_that_only_reads_is_an_outage_until_it_writes_again(backend: Backend) {
        let server = backend.launch().start().await;
        write(&server, "ada").await.unwrap();

        backend.only_reads(true).await;
        let status = eventually("a refusal", async || write(&server, "ada").await.err()).await;
        let status = Err::<Response<()>, _>(status).refused(Code::Unavailable, "DATABASE_UNAVAILABLE");
        assert!(retry_of(&status).is_some(), "{status:?}");
        eventually("NOT_SERVING", async || {
            (health(&server).await == ServingStatus::NotServing).then_some(())
        })
        .await;
        for _ in 0..50 {
            write(&server, "ada").await.map(Response::new).refused(Code::Unavailable, "DATABASE_UNAVAILABLE");
        }

        backend.only_reads(false).await;
        let took = healed(&server, || write(&server, "ada")).await;
        assert!(took < HEALED, "{took:?}; the server logged: {}", server.log());
        assert!(server.log().contains("read-only"), "the log names the cause: {}", server.log());
    }
}

/// Classes of answers by which a database says that it is another one, going away, or full.
const NOT_HERE_NOT_NOW: [&str; 24] = [
    "08000", "08003", "08006", "0A000", "25006", "26000", "28000", "3D000", "3F000", "42501", "42P05",
    "53000", "53100", "53200", "53300", "55000", "57P01", "57P02", "57P03", "57P04", "58000", "58030",
    "XX001", "XX002",
];
