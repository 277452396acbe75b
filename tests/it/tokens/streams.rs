//! Streams end, with the reason, within a second of whatever refuses the caller who opened them.

use std::time::{Duration, Instant};

use serde_json::json;
use tonic::{Code, Status, Streaming};

use crate::harness::{
    Answer, Backend, Caller, Credentials, Import, TestServer, Watch, each_backend, now, on_postgres, pb,
    reason_of, struct_of, user, user_ids, user_item,
};

/// No stream may go on for longer.
const BOUND: Duration = Duration::from_secs(1);
/// Tasks stay as they are.
const NO_WORKERS: [&str; 2] = ["--workers", "0"];

/// One stream of each RPC that has them.
struct Streams {
    import: Import,
    users: Streaming<pb::StreamUsersResponse>,
    watch: Watch,
}

impl Streams {
    /// Opened by `caller`. The users are not read.
    async fn open(caller: &Caller, task: &pb::Task) -> Self {
        let apart = caller.on_another_connection();
        let mut watch = caller.watch(task).await;
        watch.next().await.unwrap().unwrap();
        Self {
            import: caller.import(&caller.credentials().kid, pb::ImportMode::Upsert).await,
            users: apart.users().stream_users(pb::StreamUsersRequest::default()).await.answered(),
            watch,
        }
    }

    /// Each ends for `reason`, those that have nothing to wait for within the bound.
    async fn end(mut self, reason: &str, since: Instant) {
        let ended = async |status: Status| {
            assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unauthenticated, reason));
        };
        ended(self.watch.next().await.unwrap_err()).await;
        let watched = since.elapsed();
        ended(self.import.failed().await).await;
        let imported = since.elapsed();
        assert!(watched < BOUND && imported < BOUND, "{watched:?}, {imported:?}");
        // What was on the way when it stood still comes first.
        let status = loop {
            match self.users.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream came to its end"),
                Err(status) => break status,
            }
        };
        ended(status).await;
    }
}

/// Users of more weight than lies between a server and a caller who does not read.
async fn seed_heavy(caller: &Caller) {
    let heavy = |id: &String| {
        let custom = Some(struct_of(json!({"t": "x".repeat(5_000)})));
        pb::UserInput { custom, ..user(id) }
    };
    for ids in user_ids("heavy", 1_500).chunks(300) {
        caller.upsert(ids.iter().map(heavy).collect()).await;
    }
}

/// A caller with a key of its own of the same app.
async fn by_another_key(server: &Caller) -> Caller {
    let answer = server.apps().create_key(pb::CreateKeyRequest::default()).await.answered();
    server.of_app(Credentials { kid: answer.key.unwrap().kid, secret: answer.secret })
}

async fn retire(caller: &Caller, retired: &Caller) -> Instant {
    let kid = retired.credentials().kid.clone();
    caller.apps().retire_key(pb::RetireKeyRequest { kid }).await.answered();
    Instant::now()
}

each_backend! {
    async fn streams_end_when_their_key_is_retired_and_those_of_others_go_on(backend: Backend) {
        let server = backend.start_with(&NO_WORKERS).await;
        seed_heavy(&server).await;
        let task = server.deactivate_all(&user_ids("heavy", 3)).await;
        let other = by_another_key(&server).await;
        let theirs = Streams::open(&other, &task).await;
        let mut ours = Streams::open(&server, &task).await;

        let since = retire(&server, &other).await;
        theirs.end("TOKEN_INVALID", since).await;

        ours.import.send(0, &user_item(&json!({"id": "later"}))).await;
        ours.import.committed(0).await;
        let request = pb::CancelTaskRequest { task_id: task.task_id.clone() };
        server.tasks().cancel_task(request).await.answered();
        assert_eq!(ours.watch.end().await.state(), pb::TaskState::Cancelled);
        while ours.users.message().await.unwrap().is_some() {}
        ours.import.finish().await;
    }

    async fn an_import_that_never_pauses_ends_too_and_stores_nothing_after_that(server: TestServer) {
        let other = by_another_key(&server).await;
        let mut import = other.import("busy", pb::ImportMode::Upsert).await;
        let mut offset = 0;
        let mut retired = None;
        let status = loop {
            import.send(offset, &user_item(&json!({"id": format!("u{offset}")}))).await;
            if offset == 20 {
                retired = Some(retire(&server, &other).await);
            }
            match import.acknowledged().await {
                Ok(told) => assert!(told.is_some(), "it is not over"),
                Err(status) => break status,
            }
            offset += 1;
        };
        assert!(retired.expect("it was retired").elapsed() < BOUND);
        assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
        let ids: Vec<String> = (0..=offset).map(|offset| format!("u{offset}")).collect();
        let stored = server.users().get_users(pb::GetUsersRequest { user_ids: ids, ..Default::default() }).await;
        let committed = import.tally().committed_offset.unwrap();
        assert_eq!(stored.answered().users.len(), usize::try_from(committed + 1).unwrap());
    }

    async fn streams_end_when_the_tokens_of_the_app_are_revoked(backend: Backend) {
        let server = backend.start_with(&NO_WORKERS).await;
        seed_heavy(&server).await;
        let task = server.deactivate_all(&user_ids("heavy", 3)).await;
        let streams = Streams::open(&server, &task).await;
        server.tokens().revoke_app_tokens(pb::RevokeAppTokensRequest::default()).await.answered();
        streams.end("TOKEN_REVOKED", Instant::now()).await;
    }

    async fn a_stream_ends_when_its_token_expires(backend: Backend) {
        let server = backend.start_with(&NO_WORKERS).await;
        let task = server.deactivate_all(&user_ids("u", 3)).await;
        let expires = now() + 2;
        let caller = server.with_token(&server.credentials().sign(&json!({"server": true, "exp": expires})));
        let mut watch = caller.watch(&task).await;
        watch.next().await.unwrap().unwrap();
        let status = watch.next().await.unwrap_err();
        assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
        assert!((expires..=expires + 1).contains(&now()), "{expires}: {}", now());
    }
}

on_postgres! {
    async fn streams_end_on_every_replica(backend: Backend) {
        let here = backend.start_with(&NO_WORKERS).await;
        let there = backend.start_with(&NO_WORKERS).await;
        seed_heavy(&here).await;
        let task = here.deactivate_all(&user_ids("heavy", 3)).await;
        let other = by_another_key(&here).await;
        let theirs = Streams::open(&there.of_app(other.credentials().clone()), &task).await;
        let ours = Streams::open(&there, &task).await;

        let since = retire(&here, &other).await;
        theirs.end("TOKEN_INVALID", since).await;

        here.tokens().revoke_app_tokens(pb::RevokeAppTokensRequest::default()).await.answered();
        ours.end("TOKEN_REVOKED", Instant::now()).await;
    }
}
