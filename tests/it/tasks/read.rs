//! `GetTask`, `ListTasks`, `ListTaskItems`.

use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, Backend, Caller, TestServer, each_backend, fields_of, pb, user_ids};
use pb::{ItemOutcome, TaskState};

async fn list(caller: &Caller, request: pb::ListTasksRequest) -> Vec<String> {
    let answer = caller.tasks().list_tasks(request).await.answered();
    answer.tasks.into_iter().map(|task| task.task_id).collect()
}

fn items(task: &pb::Task) -> pb::ListTaskItemsRequest {
    pb::ListTaskItemsRequest { task_id: task.task_id.clone(), ..Default::default() }
}

/// Tasks of one unknown user each, oldest first.
async fn make_tasks(caller: &Caller, count: usize) -> Vec<String> {
    let mut made = Vec::new();
    for id in user_ids("nobody", count) {
        made.push(caller.deactivate_all(&[id]).await.task_id);
    }
    made
}

each_backend! {
    async fn a_task_is_read_as_it_stands(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let begun = server.deactivate_all(&user_ids("u", 3)).await;
        assert_eq!(server.task(&begun.task_id).await, begun);
        assert_eq!(begun.state(), TaskState::Pending);

        let server = server.restart_with(&[]).await;
        let ended = server.completed(&begun).await;
        assert_eq!(server.task(&begun.task_id).await, ended);
    }

    async fn unknown_and_malformed_task_ids_are_refused(server: TestServer) {
        let unknown = "00000000-0000-7000-8000-000000000000".to_owned();
        let get = |task_id| pb::GetTaskRequest { task_id };
        server.tasks().get_task(get(unknown.clone())).await.refused(Code::NotFound, "TASK_NOT_FOUND");
        let list = pb::ListTaskItemsRequest { task_id: unknown, ..Default::default() };
        server.tasks().list_task_items(list).await.refused(Code::NotFound, "TASK_NOT_FOUND");
        for malformed in ["", "x", "a\0", "00000000-0000-7000-8000-00000000000", &"0".repeat(10_000)] {
            let status = server
                .tasks()
                .get_task(get(malformed.to_owned()))
                .await
                .refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["task_id"]);
            let list = pb::ListTaskItemsRequest { task_id: malformed.to_owned(), ..Default::default() };
            let status =
                server.tasks().list_task_items(list).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["task_id"]);
        }
    }

    async fn tasks_are_listed_newest_first_page_by_page(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let mut made = make_tasks(&server, 35).await;
        made.reverse();

        assert_eq!(list(&server, pb::ListTasksRequest::default()).await, made[..30], "30 unless said");
        assert_eq!(list(&server, pb::ListTasksRequest { limit: 1_000, ..Default::default() }).await, made);
        let mut request = pb::ListTasksRequest { limit: 10, ..Default::default() };
        let mut paged = Vec::new();
        loop {
            let page = server.tasks().list_tasks(request.clone()).await.answered();
            paged.extend(page.tasks.into_iter().map(|task| task.task_id));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(paged, made);
    }

    async fn tasks_are_listed_by_state_and_kind(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let off = server.deactivate_all(&user_ids("u", 1)).await.task_id;
        let on = server.reactivate_all(&user_ids("u", 1)).await.task_id;
        let cancel = pb::CancelTaskRequest { task_id: off.clone() };
        server.tasks().cancel_task(cancel).await.answered();
        let states = |states: &[TaskState]| pb::ListTasksRequest {
            states: states.iter().map(|state| i32::from(*state)).collect(),
            ..Default::default()
        };
        let kinds = |kinds: &[&str]| pb::ListTasksRequest {
            kinds: kinds.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };

        assert_eq!(list(&server, states(&[TaskState::Pending])).await, std::slice::from_ref(&on));
        assert_eq!(list(&server, states(&[TaskState::Cancelled])).await, std::slice::from_ref(&off));
        assert_eq!(
            list(&server, states(&[TaskState::Cancelled, TaskState::Pending])).await,
            [on.clone(), off.clone()]
        );
        assert!(list(&server, states(&[TaskState::Failed])).await.is_empty());
        assert_eq!(list(&server, kinds(&["deactivate_users"])).await, std::slice::from_ref(&off));
        assert_eq!(list(&server, kinds(&["deactivate_users", "reactivate_users"])).await, [on, off]);
    }

    async fn what_is_no_state_kind_limit_or_page_is_refused(server: TestServer) {
        make_tasks(&server, 1).await;
        let cases = [
            (pb::ListTasksRequest { states: vec![1, 99], ..Default::default() }, "states[1]"),
            (pb::ListTasksRequest { states: vec![0], ..Default::default() }, "states[0]"),
            (pb::ListTasksRequest { kinds: vec!["a\0".to_owned()], ..Default::default() }, "kinds[0]"),
            (pb::ListTasksRequest { limit: 1_001, ..Default::default() }, "limit"),
            (pb::ListTasksRequest { limit: -1, ..Default::default() }, "limit"),
        ];
        for (request, field) in cases {
            let status =
                server.tasks().list_tasks(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), [field]);
        }
        let junk = pb::ListTasksRequest { page_token: "junk".to_owned(), ..Default::default() };
        server.tasks().list_tasks(junk).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn a_page_token_belongs_to_its_list(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        make_tasks(&server, 3).await;
        let first = server
            .tasks()
            .list_tasks(pb::ListTasksRequest { limit: 1, ..Default::default() })
            .await
            .answered();
        let page_token = first.next_page_token;
        let other =
            pb::ListTasksRequest { page_token: page_token.clone(), states: vec![1], ..Default::default() };
        server.tasks().list_tasks(other).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        let items = pb::ListTaskItemsRequest { page_token, ..items(&first.tasks[0]) };
        server.tasks().list_task_items(items).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn items_are_listed_in_the_order_of_the_request_page_by_page(server: TestServer) {
        let mut ids = user_ids("u", 120);
        ids.reverse();
        server.seed(&ids[..60]).await;
        let task = server.deactivated(&ids).await;

        let first = server.tasks().list_task_items(items(&task)).await.answered();
        assert_eq!(first.items.len(), 30, "30 unless said");
        let all = server.items(&task.task_id).await;
        assert_eq!(all.iter().map(|item| item.user_id.clone()).collect::<Vec<_>>(), ids);
        let mut request = pb::ListTaskItemsRequest {
            limit: 25,
            outcomes: vec![ItemOutcome::Failed.into()],
            ..items(&task)
        };
        let mut failed = Vec::new();
        loop {
            let page = server.tasks().list_task_items(request.clone()).await.answered();
            assert!(page.items.len() <= 25);
            failed.extend(page.items);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(failed, all[60..], "only those asked for, with their places in the whole");
    }

    async fn items_of_a_task_nobody_has_begun_are_pending(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 3)).await;
        let told = server.items(&task.task_id).await;
        assert!(told.iter().all(|item| item.outcome() == ItemOutcome::Pending));
        assert_eq!(told.len(), 3);
    }

    async fn what_is_no_outcome_limit_or_page_of_items_is_refused(server: TestServer) {
        let task = server.deactivated(&user_ids("u", 40)).await;
        let cases = [
            (pb::ListTaskItemsRequest { outcomes: vec![77], ..items(&task) }, "outcomes[0]"),
            (pb::ListTaskItemsRequest { limit: 1_001, ..items(&task) }, "limit"),
            (pb::ListTaskItemsRequest { limit: -5, ..items(&task) }, "limit"),
        ];
        for (request, field) in cases {
            let status =
                server.tasks().list_task_items(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), [field]);
        }
        let token = server.tasks().list_task_items(items(&task)).await.answered().next_page_token;
        assert!(!token.is_empty());
        let other = server.deactivated(&user_ids("v", 40)).await;
        let foreign = pb::ListTaskItemsRequest { page_token: token, ..items(&other) };
        server.tasks().list_task_items(foreign).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn a_page_of_long_ids_stays_readable(server: TestServer) {
        let ids: Vec<String> = (0..1_000).map(|number| format!("{number:0>255}")).collect();
        let task = server.deactivated(&ids).await;
        let request = pb::ListTaskItemsRequest { limit: 1_000, ..items(&task) };
        assert_eq!(server.tasks().list_task_items(request).await.answered().items.len(), 1_000);
    }

    async fn the_answer_to_a_lifecycle_call_says_who_and_why_and_keeps_it(server: TestServer) {
        server.upsert(vec![crate::harness::user("ada")]).await;
        let request = pb::ReactivateUsersRequest {
            user_ids: vec!["ada".to_owned()],
            created_by_id: "boss".to_owned(),
            reason: json!({"ticket": 7}).to_string(),
            ..Default::default()
        };
        let begun = server.users().reactivate_users(request).await.answered().task.unwrap();
        let ended = server.completed(&begun).await;
        assert_eq!((ended.created_by_id.as_str(), ended.reason.as_str()), ("boss", r#"{"ticket":7}"#));
        assert_eq!(ended.request_id, "");
    }
}
