//! PostgreSQL goes away in the ways it does, and comes back.

use std::future::Future;
use std::time::{Duration, Instant};

use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::{Backend, Caller, Process, aside, eventually, on_postgres, pb, user};

/// By then the server is well again after its database is: 5 seconds, and as many again for a machine that is
/// busy with tests.
const HEALED: Duration = Duration::from_secs(10);
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

/// How long it takes until `call` succeeds 20 times in a row while health says SERVING.
async fn healed<F: Future<Output = Result<(), Status>>>(server: &Caller, call: impl Fn() -> F) -> Duration {
    let begun = Instant::now();
    eventually("a healthy server", || async {
        for _ in 0..20 {
            if call().await.is_err() || health(server).await != ServingStatus::Serving {
                return None;
            }
        }
        Some(())
    })
    .await;
    begun.elapsed()
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
        let _lock = backend.session(&["BEGIN", "SELECT 1 FROM users WHERE id = 'ada' FOR UPDATE"]).await;
        let waiting = || async {
            let query = "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database() \
                         AND wait_event_type = 'Lock'";
            backend.select(server.launch().place(), query).await.len()
        };

        let callers: Vec<_> = (0..16)
            .map(|_| {
                let caller = server.on_another_connection();
                aside(async move { write(&caller, "ada").await })
            })
            .collect();
        eventually("sixteen statements that wait", async || (waiting().await >= 16).then_some(())).await;
        for caller in &callers {
            caller.abort();
        }

        let gone = Instant::now();
        eventually("none that waits", async || (waiting().await == 0).then_some(())).await;
        assert!(gone.elapsed() < ENDED, "{:?}", gone.elapsed());
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
}
