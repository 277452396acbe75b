//! `StreamUsers`: everybody whom a query finds, as fast as the caller reads.

use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Request, Status, Streaming};

use super::query::{by, found};
use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, fields_of, pb, reason_of, struct_of, user, user_ids,
};

const MAX_MESSAGE: usize = 3_500 * 1024;

pub(super) fn everybody() -> pb::StreamUsersRequest {
    let id = by("id", pb::SortDirection::Asc, pb::SortType::Unspecified);
    pb::StreamUsersRequest { sort: vec![id], include_deactivated_users: true, ..Default::default() }
}

async fn open(caller: &Caller, request: pb::StreamUsersRequest) -> Streaming<pb::StreamUsersResponse> {
    caller.users().stream_users(request).await.answered()
}

/// Reads to the end; what must hold of every message is checked.
async fn all(mut stream: Streaming<pb::StreamUsersResponse>) -> Result<Vec<pb::User>, Status> {
    let mut users = Vec::new();
    while let Some(message) = stream.message().await? {
        assert!(!message.users.is_empty() && message.encoded_len() <= MAX_MESSAGE);
        users.extend(message.users);
    }
    Ok(users)
}

pub(super) async fn streamed(caller: &Caller, request: pb::StreamUsersRequest) -> Vec<String> {
    all(open(caller, request).await).await.unwrap().into_iter().map(|user| user.id).collect()
}

/// Users of 5 KB each, more than any window between caller and server holds.
async fn seed_heavy(caller: &Caller, count: usize) -> Vec<String> {
    let ids = user_ids("u", count);
    let heavy =
        |id: &String| pb::UserInput { custom: Some(struct_of(json!({"t": "x".repeat(5_000)}))), ..user(id) };
    for some in ids.chunks(250) {
        caller.upsert(some.iter().map(heavy).collect()).await;
    }
    ids
}

/// Reads until the stream ends by itself, and tells how.
async fn end_of(mut stream: Streaming<pb::StreamUsersResponse>) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream should not come to its end"),
            Err(status) => return status,
        }
    }
}

each_backend! {
    async fn everybody_comes_in_order_whatever_their_number(server: TestServer) {
        let ids = user_ids("u", 2_600);
        server.seed(&ids).await;
        server.deactivate(&ids[7]).await;
        assert_eq!(streamed(&server, everybody()).await, ids);
        let mut down = ids.clone();
        down.remove(7);
        down.reverse();
        assert_eq!(streamed(&server, pb::StreamUsersRequest::default()).await, down, "newest first, the active ones");
        let after = pb::StreamUsersRequest { id_gt: ids[2_500].clone(), ..everybody() };
        assert_eq!(streamed(&server, after).await, ids[2_501..]);
    }

    async fn it_finds_what_a_query_finds(server: TestServer) {
        let colours = ["red", "green", "blue"];
        let users = user_ids("u", 400).into_iter().enumerate().map(|(at, id)| pb::UserInput {
            name: if at % 5 == 0 { String::new() } else { format!("Name {}", at % 11) },
            custom: Some(struct_of(json!({"colour": colours[at % 3], "level": at % 7}))),
            ..user(&id)
        });
        server.upsert(users.collect()).await;
        for filter in [json!(null), json!({"colour": "red"}), json!({"level": {"$gt": 3}}), json!({"name": {"$autocomplete": "3"}})] {
            let sort = vec![
                by("name", pb::SortDirection::Desc, pb::SortType::Unspecified),
                by("custom.level", pb::SortDirection::Asc, pb::SortType::Number),
            ];
            let filter = (!filter.is_null()).then(|| struct_of(filter));
            let query = pb::QueryUsersRequest { filter: filter.clone(), sort: sort.clone(), limit: 1_000, ..Default::default() };
            let stream = pb::StreamUsersRequest { filter, sort, ..Default::default() };
            assert_eq!(streamed(&server, stream).await, found(&server, query).await);
        }
    }

    async fn nobody_is_a_stream_without_messages(server: TestServer) {
        assert!(streamed(&server, everybody()).await.is_empty());
        let filter = Some(struct_of(json!({"id": {"$in": []}})));
        assert!(streamed(&server, pb::StreamUsersRequest { filter, ..everybody() }).await.is_empty());
    }

    async fn bad_requests_are_refused_as_queries_are(server: TestServer) {
        let filter = Some(struct_of(json!({"name": {"$gt": "a"}})));
        let refused = server.users().stream_users(pb::StreamUsersRequest { filter, ..everybody() }).await;
        assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "FILTER_INVALID")), ["filter.name.$gt"]);
        let bad = pb::StreamUsersRequest { id_gt: "a".to_owned(), id_gte: "a".to_owned(), view: 0, ..everybody() };
        let refused = server.users().stream_users(bad).await;
        assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["id_gt"]);
        let bad = pb::StreamUsersRequest { view: 9, ..everybody() };
        assert_eq!(fields_of(&server.users().stream_users(bad).await.refused(Code::InvalidArgument, "INVALID_FIELD")), ["view"]);
    }

    async fn messages_stay_readable_however_much_users_weigh(server: TestServer) {
        let ids = seed_heavy(&server, 1_000).await;
        assert_eq!(streamed(&server, everybody()).await, ids);

        let blocked: Vec<String> = (0..1_000).map(|number| format!("{number:04}{}", "b".repeat(250))).collect();
        let items: Vec<Value> =
            ids[..40].iter().map(|id| json!({"id": id, "blocked_user_ids": blocked})).collect();
        server.import_users("blocks", &items).await;
        let full = pb::StreamUsersRequest { view: pb::UserView::Full.into(), ..everybody() };
        let users = all(open(&server, full).await).await.unwrap();
        assert_eq!(users.iter().map(|user| user.id.clone()).collect::<Vec<_>>(), ids);
        assert!(users[..40].iter().all(|user| user.blocked_user_ids == blocked));
    }

    async fn a_stream_ends_when_the_server_drains(backend: Backend) {
        let server = backend.start_with(&["--drain-grace", "10s"]).await;
        seed_heavy(&server, 3_000).await;
        let caller = server.on_another_connection();
        let mut stream = open(&caller, everybody()).await;
        stream.message().await.unwrap().unwrap();
        let (status, ()) = tokio::join!(end_of(stream), server.stop());
        assert_eq!(
            (status.code(), reason_of(&status)),
            (Code::Unavailable, "SERVER_DRAINING".to_owned()),
            "{status:?}"
        );
    }

    async fn a_stream_ends_by_the_callers_deadline(server: TestServer) {
        seed_heavy(&server, 3_000).await;
        let mut request = Request::new(everybody());
        request.set_timeout(Duration::from_millis(400));
        let mut stream = server.users().stream_users(request).await.unwrap().into_inner();
        stream.message().await.unwrap().unwrap();
        // Nobody reads until it has passed; then the server says so, or the client by itself.
        tokio::time::timeout(Duration::from_secs(20), async {
            let caller = server.on_another_connection();
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_millis(500) {
                found(&caller, pb::QueryUsersRequest { limit: 1, ..Default::default() }).await;
            }
        })
        .await
        .unwrap();
        assert!(matches!(end_of(stream).await.code(), Code::DeadlineExceeded | Code::Cancelled));
    }

    async fn leaving_ends_a_stream_and_leaves_nothing_behind(backend: Backend) {
        let server = backend.start_with(&["--database-connections", "4"]).await;
        seed_heavy(&server, 1_000).await;
        for _ in 0..10 {
            let opened = (0..20).map(|_| async {
                let mut stream = open(&server, everybody()).await;
                stream.message().await.unwrap().unwrap();
            });
            futures_util::future::join_all(opened).await;
        }
        // Neither connections nor places are held by those who left.
        assert_eq!(streamed(&server, everybody()).await.len(), 1_000);
        let begun = std::time::Instant::now();
        server.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(2), "nothing to wait for: {:?}", begun.elapsed());
    }

    async fn memory_does_not_grow_with_what_is_streamed(backend: Backend) {
        let server = backend.launch().start().await;
        let ids = seed_heavy(&server, 10_000).await;
        assert_eq!(streamed(&server, everybody()).await, ids, "so that caches are warm");
        let before = server.memory();
        let mut stalled = Vec::new();
        for _ in 0..4 {
            let mut stream = open(&server.on_another_connection(), everybody()).await;
            stream.message().await.unwrap().unwrap();
            stalled.push(stream);
        }
        assert_eq!(streamed(&server, everybody()).await, ids);
        let grown = server.memory().saturating_sub(before);
        // Four that stand still and one that was read to its end: 50 MB each would be all of it.
        assert!(grown < 60 * 1024 * 1024, "{grown} bytes more");
    }
}
