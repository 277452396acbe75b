//! `ListMessages`.

use serde_json::{Value, json};
use tonic::{Code, Response, Status};

use super::import_kinds::people;
use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, item, pb};

/// A channel with messages, two at each second, and what `more` adds to the one with a number.
async fn channel_with(server: &TestServer, count: usize, more: impl Fn(usize) -> Value) {
    let mut items = people();
    items.push(item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"})));
    items.extend((0..count).map(|number| {
        let mut fields = json!({"id": format!("m{number:04}"), "channel_type": "messaging", "channel_id": "c",
            "user": "ada", "created_at": format!("2024-05-01T12:{:02}:{:02}Z", number / 120, number / 2 % 60)});
        for (name, value) in more(number).as_object().unwrap() {
            fields[name] = value.clone();
        }
        item("message", fields)
    }));
    server.imported("channel", &items).await;
}

async fn list(
    caller: &Caller,
    request: pb::ListMessagesRequest,
) -> Result<Response<pb::ListMessagesResponse>, Status> {
    caller.content().list_messages(request).await
}

fn of(cid: &str, limit: i32, page_token: &str) -> pb::ListMessagesRequest {
    pb::ListMessagesRequest {
        cid: cid.to_owned(),
        limit,
        page_token: page_token.to_owned(),
        include_deleted: false,
    }
}

/// The ids of all messages, and how many pages they took.
async fn walk(caller: &Caller, limit: i32) -> (Vec<String>, usize) {
    let (mut ids, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = list(caller, of("messaging:c", limit, &token)).await.answered();
        ids.extend(page.messages.into_iter().map(|message| message.id));
        pages += 1;
        token = page.next_page_token;
        if token.is_empty() {
            return (ids, pages);
        }
    }
}

each_backend! {
    async fn pages_follow_each_other_without_gap_or_repetition(server: TestServer) {
        channel_with(&server, 230, |_| json!({})).await;
        let expected: Vec<_> = (0..230).map(|number| format!("m{number:04}")).collect();
        for limit in [0, 7, 50, 51, 100, 230, 1000] {
            let (ids, pages) = walk(&server, limit).await;
            assert_eq!(ids, expected, "limit {limit}");
            let limit = if limit == 0 { 30 } else { usize::try_from(limit).unwrap() };
            assert!((230_usize.div_ceil(limit)..=230 / limit + 1).contains(&pages), "limit {limit}: {pages}");
        }
    }

    async fn pages_are_cut_by_bytes(server: TestServer) {
        channel_with(&server, 60, |_| json!({"text": "x".repeat(200 * 1024)})).await;
        let (ids, pages) = walk(&server, 1000).await;
        assert_eq!(ids.len(), 60);
        assert!((4..=6).contains(&pages), "{pages} pages of at most 3.5 MiB for 12 MiB");
    }

    async fn deleted_messages_are_told_on_request(server: TestServer) {
        channel_with(&server, 4, |number| match number % 2 {
            0 => json!({}),
            _ => json!({"type": "deleted", "deleted_at": "2024-06-01T12:00:00Z"}),
        })
        .await;
        assert_eq!(walk(&server, 0).await.0, ["m0000", "m0002"]);
        let all = pb::ListMessagesRequest { include_deleted: true, ..of("messaging:c", 0, "") };
        assert_eq!(list(&server, all).await.answered().messages.len(), 4);
    }

    async fn an_empty_channel_has_no_messages(server: TestServer) {
        channel_with(&server, 0, |_| json!({})).await;
        assert_eq!(walk(&server, 0).await, (vec![], 1));
    }

    async fn requests_that_break_a_rule_are_refused(server: TestServer) {
        channel_with(&server, 4, |_| json!({})).await;
        for (request, fields) in [
            (of("general", 1, ""), vec!["cid"]),
            (of("messaging:c", -1, ""), vec!["limit"]),
            (of("", 1_001, ""), vec!["cid", "limit"]),
        ] {
            let status = list(&server, request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), fields);
        }
        list(&server, of("messaging:nowhere", 1, "")).await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
        list(&server, of("messaging:c", 1, "x")).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");

        let token = list(&server, of("messaging:c", 1, "")).await.answered().next_page_token;
        let other = pb::ListMessagesRequest { include_deleted: true, ..of("messaging:c", 1, &token) };
        list(&server, other).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
}
