//! `QueryUsers`: pages, by offset, by id and by token.

use serde_json::json;
use tonic::Code;

use super::query::{by, found};
use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, pb, struct_of, user, user_ids};

fn query() -> pb::QueryUsersRequest {
    let id = by("id", pb::SortDirection::Asc, pb::SortType::Unspecified);
    pb::QueryUsersRequest { sort: vec![id], ..Default::default() }
}

/// One of the four fields that cut an order by id.
type Bound = fn(&mut pb::QueryUsersRequest) -> &mut String;

/// All pages of a query, each as ids.
async fn pages(caller: &Caller, mut query: pb::QueryUsersRequest) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let answer = caller.users().query_users(query.clone()).await.answered();
        pages.push(answer.users.into_iter().map(|user| user.id).collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        query.page_token = answer.next_page_token;
        assert!(pages.len() < 1_000, "pages should end");
    }
}

async fn first_token(caller: &Caller, query: pb::QueryUsersRequest) -> String {
    let token = caller.users().query_users(query).await.answered().next_page_token;
    assert!(!token.is_empty(), "there should be a next page");
    token
}

each_backend! {
    async fn the_limit_is_thirty_unless_said_and_a_thousand_at_most(server: TestServer) {
        server.seed(&user_ids("u", 1_001)).await;
        assert_eq!(found(&server, query()).await.len(), 30);
        let limited = |limit| pb::QueryUsersRequest { limit, ..query() };
        assert_eq!(found(&server, limited(1)).await, ["u-00000"]);
        assert_eq!(found(&server, limited(1_000)).await.len(), 1_000);
        for limit in [1_001, -1, i32::MAX, i32::MIN] {
            let status = server
                .users()
                .query_users(limited(limit))
                .await
                .refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["limit"]);
        }
    }

    async fn offsets_go_to_a_thousand(server: TestServer) {
        server.seed(&user_ids("u", 1_003)).await;
        let at = |offset| pb::QueryUsersRequest { offset, limit: 2, ..query() };
        assert_eq!(found(&server, at(1)).await, ["u-00001", "u-00002"]);
        assert_eq!(found(&server, at(1_000)).await, ["u-01000", "u-01001"]);
        for offset in [1_001, -1, i32::MAX] {
            let status =
                server.users().query_users(at(offset)).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["offset"]);
        }
        let token = first_token(&server, query()).await;
        let both = pb::QueryUsersRequest { page_token: token, offset: 1, ..query() };
        server.users().query_users(both).await.refused(Code::InvalidArgument, "INVALID_FIELD");
    }

    async fn an_offset_and_tokens_behind_it_show_each_user_once(server: TestServer) {
        let ids = user_ids("u", 25);
        server.seed(&ids).await;
        let got = pages_from_offset(&server, 5, 7).await.concat();
        assert_eq!(got, ids[5..]);
    }

    async fn id_bounds_cut_the_order(server: TestServer) {
        server.seed(&user_ids("u", 5)).await;
        let cases: [(Bound, &[usize]); 4] = [
            (|query| &mut query.id_gt, &[4, 3]),
            (|query| &mut query.id_gte, &[4, 3, 2]),
            (|query| &mut query.id_lt, &[1, 0]),
            (|query| &mut query.id_lte, &[2, 1, 0]),
        ];
        for (bound, expected) in cases {
            let expected: Vec<String> = expected.iter().map(|number| format!("u-{number:05}")).collect();
            let mut request = pb::QueryUsersRequest::default();
            "u-00002".clone_into(bound(&mut request));
            assert_eq!(found(&server, request.clone()).await, expected, "downwards by id, unless sorted");
            let mut upwards = pb::QueryUsersRequest { sort: query().sort, ..request };
            upwards.limit = 1;
            assert_eq!(found(&server, upwards).await[0], *expected.last().unwrap());
        }
        let between =
            pb::QueryUsersRequest { id_gt: "u-00000".to_owned(), id_lte: "u-00003".to_owned(), ..query() };
        assert_eq!(found(&server, between).await, ["u-00001", "u-00002", "u-00003"]);
    }

    async fn contradicting_or_malformed_id_bounds_are_refused(server: TestServer) {
        let x = || "x".to_owned();
        let both = [
            pb::QueryUsersRequest { id_gt: x(), id_gte: x(), ..query() },
            pb::QueryUsersRequest { id_lt: x(), id_lte: x(), ..query() },
        ];
        for request in both {
            server.users().query_users(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        }
        let nul = pb::QueryUsersRequest { id_gt: "a\0".to_owned(), ..query() };
        let status = server.users().query_users(nul).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["id_gt"]);
    }

    async fn pages_by_token_show_each_user_once_in_every_order(server: TestServer) {
        use pb::SortDirection::{Asc, Desc};
        use pb::SortType::{Boolean, Number, Unspecified};
        // Of every type, and absent.
        let mixed = |at: usize| [json!(at), json!(format!("text {at}")), json!(at % 8 == 2), json!(null)][at % 4].clone();
        let roles = ["user", "admin", "guest"];
        let users: Vec<_> = user_ids("u", 97)
            .iter()
            .enumerate()
            .map(|(at, id)| pb::UserInput {
                role: roles[at % 3].to_owned(),
                name: if at % 4 == 0 { String::new() } else { format!("name {}", at % 5) },
                custom: (at % 7 != 0).then(|| {
                    struct_of(json!({"score": at % 6, "flag": at % 2 == 0, "mixed": mixed(at % 23)}))
                }),
                ..user(id)
            })
            .collect();
        server.upsert(users).await;
        let orders = [
            vec![],
            vec![by("id", Desc, Unspecified)],
            vec![by("name", Asc, Unspecified)],
            vec![by("name", Desc, Unspecified)],
            vec![by("role", Asc, Unspecified), by("custom.score", Desc, Number)],
            vec![
                by("custom.flag", Desc, Boolean),
                by("name", Asc, Unspecified),
                by("created_at", Desc, Unspecified),
            ],
            vec![by("updated_at", Asc, Unspecified)],
            vec![by("mixed", Asc, Unspecified)],
            vec![by("custom.mixed", Desc, Unspecified), by("name", Asc, Unspecified)],
        ];
        for sort in orders {
            let whole = found(
                &server,
                pb::QueryUsersRequest { sort: sort.clone(), limit: 1_000, ..Default::default() },
            )
            .await;
            assert_eq!(whole.len(), 97);
            let paged =
                pages(&server, pb::QueryUsersRequest { sort: sort.clone(), limit: 8, ..Default::default() })
                    .await;
            assert_eq!(paged.concat(), whole, "{sort:?}");
            assert!(paged.iter().all(|page| page.len() <= 8));
        }
    }

    async fn users_that_do_not_change_are_neither_skipped_nor_repeated_while_others_do(server: TestServer) {
        let ids = user_ids("u", 60);
        server.seed(&ids).await;
        let mut request = pb::QueryUsersRequest { limit: 10, ..query() };
        let mut seen = Vec::new();
        for round in 0.. {
            let answer = server.users().query_users(request.clone()).await.answered();
            seen.extend(answer.users.into_iter().map(|user| user.id).filter(|id| id.starts_with("u-")));
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
            // Somebody before, and somebody behind, come and go.
            server.upsert(vec![user(&format!("a{round}")), user(&format!("z{round}"))]).await;
            server.deactivate(&format!("a{round}")).await;
        }
        assert_eq!(seen, ids);
    }

    async fn pages_are_cut_by_size_and_go_on(server: TestServer) {
        let ids = user_ids("u", 1_000);
        let heavy = |id: &String| pb::UserInput {
            custom: Some(struct_of(json!({"t": "x".repeat(5_000)}))),
            ..user(id)
        };
        for some in ids.chunks(250) {
            server.upsert(some.iter().map(heavy).collect()).await;
        }
        let paged = pages(&server, pb::QueryUsersRequest { limit: 1_000, ..query() }).await;
        assert!(paged.len() > 1, "5 MB do not go into one answer");
        assert_eq!(paged.concat(), ids);
    }

    async fn a_damaged_token_is_refused(server: TestServer) {
        server.seed(&user_ids("u", 40)).await;
        let token = first_token(&server, query()).await;
        let mut damaged = vec![
            "x".to_owned(),
            "=".to_owned(),
            "é".to_owned(),
            "A".repeat(20_000),
            format!("{token}A"),
            token[1..].to_owned(),
        ];
        for at in [0, token.len() / 3, token.len() / 2, token.len() - 1] {
            let mut text: Vec<char> = token.chars().collect();
            text[at] = if text[at] == 'A' { 'B' } else { 'A' };
            damaged.push(text.into_iter().collect());
        }
        for page_token in damaged {
            let request = pb::QueryUsersRequest { page_token, ..query() };
            server.users().query_users(request).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        }
        assert!(!token.contains("u-0"), "a token tells nothing of the users");
    }

    async fn a_token_of_another_query_is_refused(server: TestServer) {
        server.seed(&user_ids("u", 40)).await;
        let token = first_token(&server, query()).await;
        let with_token =
            |request: pb::QueryUsersRequest| pb::QueryUsersRequest { page_token: token.clone(), ..request };
        let others = [
            pb::QueryUsersRequest { filter: Some(struct_of(json!({"role": "user"}))), ..query() },
            pb::QueryUsersRequest {
                sort: vec![by("id", pb::SortDirection::Desc, pb::SortType::Unspecified)],
                ..query()
            },
            pb::QueryUsersRequest { sort: Vec::new(), ..query() },
            pb::QueryUsersRequest { include_deactivated_users: true, ..query() },
            pb::QueryUsersRequest { include_deleted_users: true, ..query() },
            pb::QueryUsersRequest { id_gt: "u".to_owned(), ..query() },
        ];
        for other in others {
            let refused = server.users().query_users(with_token(other)).await;
            refused.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        }
        let another_limit = pb::QueryUsersRequest { limit: 3, ..with_token(query()) };
        assert_eq!(found(&server, another_limit).await.len(), 3, "the limit may change from page to page");
        let list = pb::ListTasksRequest { page_token: token.clone(), ..Default::default() };
        server.tasks().list_tasks(list).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn a_token_outlives_a_restart(server: TestServer) {
        server.seed(&user_ids("u", 40)).await;
        let token = first_token(&server, query()).await;
        let server = server.restart().await;
        let rest = found(&server, pb::QueryUsersRequest { page_token: token, ..query() }).await;
        assert_eq!(rest, user_ids("u", 40)[30..]);
    }
}

async fn pages_from_offset(caller: &Caller, offset: i32, limit: i32) -> Vec<Vec<String>> {
    let first =
        caller.users().query_users(pb::QueryUsersRequest { offset, limit, ..query() }).await.answered();
    let mut all = vec![first.users.into_iter().map(|user| user.id).collect()];
    if !first.next_page_token.is_empty() {
        all.extend(
            pages(caller, pb::QueryUsersRequest { page_token: first.next_page_token, limit, ..query() })
                .await,
        );
    }
    all
}
