//! Going down: in order, and within a bound, whoever holds on.

use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::raw::{DATA, GOAWAY, RawPeer};
use crate::harness::{Backend, each_backend, on_postgres, pb, reason_of, user_ids};

/// What `ended` may take beyond delay and grace.
const MOMENT: Duration = Duration::from_secs(1);

each_backend! {
    async fn an_idle_server_ends_at_once_with_success(backend: Backend) {
        let mut server = backend.launch().flag("--drain-grace", "30s").start().await;
        let begun = Instant::now();
        server.signal("TERM").await;
        let status = server.ended(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}: {}", server.log());
        assert!(begun.elapsed() < Duration::from_secs(3), "nothing to wait for: {:?}", begun.elapsed());
    }

    async fn an_interrupt_ends_it_in_the_same_way(backend: Backend) {
        let mut server = backend.launch().start().await;
        server.signal("INT").await;
        assert!(server.ended(Duration::from_secs(10)).await.success());
    }

    async fn nobody_can_hold_it_up(backend: Backend) {
        let mut server = backend.launch().flag("--workers", "0").flag("--drain-grace", "1s").start().await;
        let task = server.deactivate_all(&user_ids("u", 1)).await;
        let mut task_watch = server.watch(&task).await;
        task_watch.next().await.unwrap();
        let request = HealthCheckRequest { service: String::new() };
        let mut health_watch =
            server.on_another_connection().health().watch(request).await.unwrap().into_inner();
        health_watch.message().await.unwrap();
        let import = server.on_another_connection().import("open", pb::ImportMode::Upsert).await;
        let silent = TcpStream::connect(server.address()).await.unwrap();

        let begun = Instant::now();
        server.signal("TERM").await;
        let status = server.ended(Duration::from_secs(10)).await;

        assert!(status.success(), "{status}: {}", server.log());
        assert!(
            begun.elapsed() < Duration::from_secs(1) + MOMENT,
            "grace and a moment: {:?}",
            begun.elapsed()
        );
        task_watch.until_draining().await;
        assert_eq!(reason_of(&import.failed().await), "SERVER_DRAINING");
        drop((silent, health_watch));
    }

    async fn it_ends_with_the_calls_under_way_whoever_else_is_connected(backend: Backend) {
        let mut server = backend.launch().flag("--drain-grace", "60s").start().await;
        let request = HealthCheckRequest { service: String::new() };
        let mut watch = server.health().watch(request).await.unwrap().into_inner();
        watch.message().await.unwrap();
        let silent = TcpStream::connect(server.address()).await.unwrap();
        // Speaks HTTP/2, and answers nothing that it is asked.
        let mut deaf = RawPeer::connect(&server).await;

        let begun = Instant::now();
        server.signal("TERM").await;
        let status = server.ended(Duration::from_secs(30)).await;

        assert!(status.success(), "{status}: {}", server.log());
        assert!(begun.elapsed() < Duration::from_secs(10), "no call was under way: {:?}", begun.elapsed());
        let last = watch.message().await.unwrap().unwrap();
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert_eq!(reason_of(&watch.message().await.unwrap_err()), "SERVER_DRAINING");
        assert!(deaf.until(|frame| frame.kind == GOAWAY).await.is_some(), "it was asked to end");
        drop(silent);
    }

    async fn a_call_that_was_on_the_way_is_served(backend: Backend) {
        let mut server = backend.launch().flag("--drain-grace", "60s").start().await;
        server.seed(&user_ids("u", 1)).await;
        let mut peer = RawPeer::connect(&server).await;
        let path = "/usher.v1.UserService/GetUsers";
        // A call that never ends its request keeps the connection open.
        assert!(peer.send(&peer.begin(1, path)).await);
        server.signal("TERM").await;
        peer.until(|frame| frame.kind == GOAWAY).await.expect("GOAWAY comes first");

        // Sent before the peer could know.
        let message = pb::GetUsersRequest { user_ids: user_ids("u", 1), include_deleted: false }.encode_to_vec();
        let late = [peer.begin(3, path), RawPeer::message(3, &message)].concat();
        assert!(peer.send(&late).await);
        let answer = peer.until(|frame| frame.stream == 3 && frame.kind == DATA).await.expect("an answer");
        assert!(answer.payload.len() > 5, "the user");

        assert!(peer.send(&RawPeer::reset(1)).await);
        assert!(server.ended(Duration::from_secs(30)).await.success(), "nothing is left to wait for");
    }

    async fn a_call_under_way_is_answered(backend: Backend) {
        let launch = backend.launch().flag("--task-batch", "1").flag("--drain-grace", "20s");
        let mut server = launch.failpoints("task_begin=1*sleep(1000)->off").start().await;
        let ids = user_ids("u", 1);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        watch.until(|task| task.state() == pb::TaskState::Running).await;
        // It waits for the batch, which rests for a second. What is sent behind it on the same
        // connection and answered proves that it has arrived.
        let caller = server.on_another_connection();
        let (mut first, second) = (caller.users(), &caller);
        let request = pb::ReactivateUserRequest { user_id: ids[0].clone(), ..Default::default() };
        let terminate = async {
            second.read(&ids).await;
            server.signal("TERM").await;
        };
        let (answer, ()) = futures_util::future::join(first.reactivate_user(request), terminate).await;

        assert!(server.ended(Duration::from_secs(20)).await.success());
        let user = answer.expect("the call is answered").into_inner().user.unwrap();
        assert_eq!((user.version, user.deactivated_at), (3, None));
    }

    async fn a_task_in_its_middle_goes_on_after_the_restart(backend: Backend) {
        let mut server = backend.launch().flag("--task-batch", "1").start().await;
        let ids = user_ids("u", 500);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        let mut watch = server.watch(&task).await;
        let seen = watch.until(|task| task.users_done > 0).await;
        server.signal("TERM").await;
        watch.until_draining().await;
        assert!(server.ended(Duration::from_secs(10)).await.success());

        let server = server.launch().start().await;
        watch.resume_on(&server).await.unwrap();
        let ended = watch.end().await;

        assert_eq!((ended.users_done, ended.failures, ended.started_at), (500, 0, seen.started_at));
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
    }

    async fn a_second_signal_does_no_harm(backend: Backend) {
        let mut server = backend.launch().flag("--drain-delay", "300ms").start().await;
        server.signal("TERM").await;
        server.signal("TERM").await;
        assert!(server.ended(Duration::from_secs(10)).await.success());
    }
}

on_postgres! {
    async fn a_database_that_does_not_answer_cannot_hold_it_up(backend: Backend) {
        let (launch, proxy) = backend.launch().flag("--drain-grace", "1s").through_proxy().await;
        let mut server = launch.start().await;
        server.seed(&user_ids("u", 1)).await;
        proxy.freeze();

        let begun = Instant::now();
        server.signal("TERM").await;
        let status = server.ended(Duration::from_secs(10)).await;

        assert!(status.success(), "{status}: {}", server.log());
        assert!(
            begun.elapsed() < Duration::from_secs(2) + MOMENT,
            "grace and a moment: {:?}",
            begun.elapsed()
        );
    }
}
