//! Limits on messages, calls, streams, connections and time.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request, Response};

use crate::harness::{
    Answer, Backend, Caller, TestServer, aside, each_backend, eventually, on_postgres, pb, reason_of,
    retry_of, user, user_ids,
};

fn one(id: &str) -> pb::GetUsersRequest {
    pb::GetUsersRequest { user_ids: vec![id.to_owned()], include_deleted: false }
}

/// Reads until the other side closes; what came before.
async fn closed(stream: &mut TcpStream, within: Duration) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(within, stream.read_to_end(&mut bytes)).await;
    // Closed, or reset: both are an end.
    assert!(ended.is_ok(), "the connection should be closed within {within:?}");
    bytes
}

each_backend! {
    async fn an_undecodable_message_is_the_callers_fault(server: TestServer) {
        let bodies: [&[u8]; 4] =
            [&[0xff], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0a, 0x02, 0xc3, 0x28], &[0x0b]];
        for body in bodies {
            for path in [
                "/usher.v1.UserService/GetUsers",
                "/usher.v1.UserService/UpsertUsers",
                "/usher.v1.TaskService/GetTask",
            ] {
                let outcome = server.send_raw(path, body).await.map(Response::new);
                outcome.refused(Code::InvalidArgument, "INVALID_FIELD");
            }
            let outcome =
                server.stream_raw("/usher.v1.ContentService/ImportContent", body).await.map(Response::new);
            outcome.refused(Code::InvalidArgument, "INVALID_FIELD");
            let outcome = server.stream_raw("/usher.v1.TaskService/WatchTask", body).await.map(Response::new);
            outcome.refused(Code::InvalidArgument, "INVALID_FIELD");
        }
    }

    async fn an_over_long_message_is_refused_as_too_large(server: TestServer) {
        let long = vec![0_u8; 4 * 1024 * 1024 + 1];
        for path in ["/usher.v1.UserService/UpsertUsers", "/usher.v1.TokenService/VerifyToken"] {
            let outcome = server.send_raw(path, &long).await.map(Response::new);
            outcome.refused(Code::ResourceExhausted, "TOO_LARGE");
        }
        let outcome =
            server.stream_raw("/usher.v1.ContentService/ImportContent", &long).await.map(Response::new);
        outcome.refused(Code::ResourceExhausted, "TOO_LARGE");
        server.seed(&user_ids("still-there", 1)).await;
    }

    async fn the_message_limit_can_be_set(backend: Backend) {
        let server = backend.start_with(&["--max-message-bytes", "65536"]).await;
        let outcome =
            server.send_raw("/usher.v1.UserService/UpsertUsers", &vec![0; 65_537]).await.map(Response::new);
        outcome.refused(Code::ResourceExhausted, "TOO_LARGE");
        let fits = pb::VerifyTokenRequest { token: "x".repeat(65_000) };
        assert!(!server.tokens().verify_token(fits).await.answered().valid);
    }

    async fn calls_beyond_the_limit_are_refused_and_may_try_again(backend: Backend) {
        let server = backend.start_with(&["--max-concurrent-calls", "1", "--workers", "0"]).await;
        let ids = user_ids("u", 1);
        server.seed(&ids).await;
        server.deactivate_all(&ids).await;
        // This one waits for the work before it, which nobody does; it holds the only place.
        let caller = server.on_another_connection();
        let waiting = aside(async move {
            let request = pb::DeactivateUserRequest { user_id: ids[0].clone(), ..Default::default() };
            while caller.users().deactivate_user(request.clone()).await.is_err() {}
        });

        let status = eventually("a refusal while another call is worked on", || async {
            server.users().get_users(one("u")).await.err()
        })
        .await;
        let status = Err::<Response<()>, _>(status).refused(Code::ResourceExhausted, "OVERLOADED");
        assert!(retry_of(&status).is_some_and(|after| after > Duration::ZERO));

        waiting.abort();
        eventually("an answer once it is over", || async { server.users().get_users(one("u")).await.ok() })
            .await;
    }

    async fn health_answers_under_overload(backend: Backend) {
        let server = backend.start_with(&["--max-concurrent-calls", "1"]).await;
        let calls = (0..200).map(|_| async { server.users().get_users(one("u")).await.is_ok() });
        let check = async {
            let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
            server.anonymous().health().check(request).await.unwrap()
        };
        let (answered, _) = tokio::join!(join_all(calls), check);
        assert!(answered.contains(&true), "some are answered");
    }

    async fn streams_beyond_the_limit_of_a_connection_wait_and_do_not_fail(backend: Backend) {
        let server = backend.start_with(&["--max-streams", "8"]).await;
        // The first answer brings the limit with it; a client that has not seen it may overrun it.
        server.users().get_users(one("u")).await.answered();
        let calls = (0..100).map(|_| async { server.users().get_users(one("u")).await.answered() });
        assert_eq!(join_all(calls).await.len(), 100);
    }

    async fn open_watches_do_not_use_up_calls(backend: Backend) {
        let server = backend.start_with(&["--max-concurrent-calls", "2", "--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 1)).await;
        let mut watches = Vec::new();
        for _ in 0..20 {
            let mut watch = server.watch(&task).await;
            watch.next().await.unwrap();
            watches.push(watch);
        }
        server.users().get_users(one("u")).await.answered();
    }

    async fn the_callers_deadline_ends_the_call(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let ids = user_ids("u", 1);
        server.seed(&ids).await;
        server.deactivate_all(&ids).await;
        let mut request =
            Request::new(pb::DeactivateUserRequest { user_id: ids[0].clone(), ..Default::default() });
        request.set_timeout(Duration::from_millis(200));
        let begun = std::time::Instant::now();
        let status = server.users().deactivate_user(request).await.unwrap_err();
        // Whoever of both sees the time run out first.
        let codes = [Code::DeadlineExceeded, Code::Cancelled, Code::Aborted];
        assert!(codes.contains(&status.code()), "{status:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(server.user(&ids[0]).await.version, 1);
    }

    async fn the_servers_own_deadline_ends_the_call(backend: Backend) {
        let server = backend.start_with(&["--workers", "0", "--request-timeout", "1s"]).await;
        let ids = user_ids("u", 1);
        server.seed(&ids).await;
        server.deactivate_all(&ids).await;
        let request = pb::DeactivateUserRequest { user_id: ids[0].clone(), ..Default::default() };
        let status = server.users().deactivate_user(request).await.map(drop).unwrap_err();
        let known = [(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), (Code::Aborted, "CONFLICT")];
        let told = (status.code(), reason_of(&status));
        assert!(known.iter().any(|(code, reason)| told == (*code, (*reason).to_owned())), "{status:?}");
    }

    async fn a_watch_outlives_the_request_timeout(backend: Backend) {
        let server = backend.start_with(&["--workers", "0", "--request-timeout", "500ms"]).await;
        let task = server.deactivate_all(&user_ids("u", 1)).await;
        let mut watch = server.watch(&task).await;
        watch.next().await.unwrap();
        let quiet = tokio::time::timeout(Duration::from_secs(1), watch.next()).await;
        assert!(quiet.is_err(), "nothing comes, and nothing breaks");
    }

    async fn a_connection_that_never_speaks_is_closed(backend: Backend) {
        let server = backend.start_with(&["--handshake-timeout", "300ms"]).await;
        let mut silent = TcpStream::connect(server.address()).await.unwrap();
        let mut halting = TcpStream::connect(server.address()).await.unwrap();
        halting.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        closed(&mut silent, Duration::from_secs(5)).await;
        closed(&mut halting, Duration::from_secs(5)).await;
    }

    async fn a_connection_that_speaks_something_else_is_closed(server: TestServer) {
        for words in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 not a TLS hello",
            "hello\r\n\r\n\r\n\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
            let answer = closed(&mut stream, Duration::from_secs(10)).await;
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{words:?}");
        }
        server.seed(&user_ids("still-there", 1)).await;
    }

    async fn an_old_connection_is_asked_to_close_and_a_call_that_meets_its_end_can_be_repeated(
        backend: Backend,
    ) {
        let server = backend.start_with(&["--max-connection-age", "1s"]).await;
        server.upsert(vec![user("ada")]).await;
        let mut old = TcpStream::connect(server.address()).await.unwrap();
        old.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let ended = async {
            let mut frames = Vec::new();
            // GOAWAY: type 7, no flags, on stream 0.
            while !frames.windows(6).any(|frame| frame == [7, 0, 0, 0, 0, 0]) {
                let read = old.read_buf(&mut frames);
                let read = tokio::time::timeout(Duration::from_secs(10), read).await.expect("GOAWAY comes");
                assert_ne!(read.unwrap(), 0, "GOAWAY comes before the end");
            }
        };
        tokio::pin!(ended);
        let mut calls = 0;
        loop {
            let call = async { server.users().get_users(one("ada")).await };
            tokio::select! {
                () = &mut ended => break,
                answer = call => {
                    if let Err(status) = answer {
                        assert_eq!(reason_of(&status), "", "no refusal of ours: {status:?}");
                        server.users().get_users(one("ada")).await.answered();
                    }
                    calls += 1;
                }
            }
        }
        assert!(calls > 10);
    }
}

on_postgres! {
    async fn a_database_that_is_gone_is_unavailable_and_health_says_so(backend: Backend) {
        let server = backend.start().await;
        server.upsert(vec![user("ada")]).await;
        backend.cut_off(true).await;

        let gone =
            eventually("a refusal", || async { server.users().get_users(one("ada")).await.err() }).await;
        let status = Err::<Response<()>, _>(gone).refused(Code::Unavailable, "DATABASE_UNAVAILABLE");
        assert!(retry_of(&status).is_some());
        eventually("NOT_SERVING", || not_serving(&server)).await;

        backend.cut_off(false).await;
        eventually("an answer again", || async { server.users().get_users(one("ada")).await.ok() }).await;
    }
}

async fn not_serving(caller: &Caller) -> Option<()> {
    use tonic_health::pb::health_check_response::ServingStatus;
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let answer = caller.anonymous().health().check(request).await.unwrap().into_inner();
    (answer.status() == ServingStatus::NotServing).then_some(())
}
