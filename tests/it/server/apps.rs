//! Nothing crosses apps: what belongs to another one looks like what does not exist.

use serde_json::json;
use tonic::{Code, Status};

use crate::harness::{
    Answer, Backend, Caller, TestServer, aside, each_backend, eventually, pb, struct_of, user, user_ids,
};

/// A server, its app `default`, and a caller of another app.
async fn two_apps(backend: &Backend, flags: &[&str]) -> (TestServer, Caller) {
    let server = backend.start_with(flags).await;
    let other = backend.create_app("other", server.place()).await;
    let other = server.of_app(other);
    (server, other)
}

/// Code, text and details: all that a caller can tell apart.
fn face(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

async fn all_users(caller: &Caller) -> Vec<pb::User> {
    let request = pb::QueryUsersRequest {
        include_deactivated_users: true,
        include_deleted_users: true,
        with_total: true,
        ..Default::default()
    };
    let answer = caller.users().query_users(request).await.answered();
    assert_eq!(answer.total, Some(i64::try_from(answer.users.len()).unwrap()));
    answer.users
}

each_backend! {
    async fn one_app_cannot_take_every_place(backend: Backend) {
        let (server, other) = two_apps(&backend, &["--max-concurrent-calls", "2", "--workers", "0"]).await;
        let ids = user_ids("u", 1);
        server.seed(&ids).await;
        server.deactivate_all(&ids).await;
        // This one waits for the work before it, which nobody does.
        let caller = server.on_another_connection();
        let waiting = aside(async move {
            let request = pb::DeactivateUserRequest { user_id: ids[0].clone(), ..Default::default() };
            while caller.users().deactivate_user(request.clone()).await.is_err() {}
        });
        let request = pb::ListTasksRequest::default();
        eventually("a refusal while another call of the app is worked on", || async {
            server.tasks().list_tasks(request.clone()).await.err()
        })
        .await
        .code()
        .eq(&Code::ResourceExhausted)
        .then_some(())
        .expect("OVERLOADED");
        other.tasks().list_tasks(request.clone()).await.answered();
        waiting.abort();
    }

    async fn an_id_names_another_user_in_each_app(backend: Backend) {
        let (server, other) = two_apps(&backend, &[]).await;
        server.upsert(vec![pb::UserInput { name: "ours".to_owned(), ..user("ada") }, user("bob")]).await;
        assert!(other.read(&["ada".to_owned(), "bob".to_owned()]).await.is_empty());

        other.upsert(vec![pb::UserInput { name: "theirs".to_owned(), ..user("ada") }]).await;
        other.deactivate("ada").await;
        other.deactivated(&["ada".to_owned(), "bob".to_owned()]).await;

        let ours = server.user("ada").await;
        assert_eq!((ours.name.as_str(), ours.version, ours.deactivated_at), ("ours", 1, None));
        assert_eq!(server.user("bob").await.version, 1);
        assert_eq!(all_users(&server).await.len(), 2);
        assert_eq!(all_users(&other).await.len(), 1);
        let request = pb::DeactivateUserRequest { user_id: "bob".to_owned(), ..Default::default() };
        other.users().deactivate_user(request).await.refused(Code::NotFound, "USER_NOT_FOUND");
    }

    async fn a_filter_finds_nobody_of_another_app(backend: Backend) {
        let (server, other) = two_apps(&backend, &[]).await;
        let secret = |id| pb::UserInput { custom: Some(struct_of(json!({"secret": 7}))), ..user(id) };
        server.upsert(vec![secret("ada")]).await;
        for filter in [
            json!({"secret": 7}),
            json!({"id": "ada"}),
            json!({"$nor": [{"id": "x"}]}),
            json!({"$or": [{"role": "user"}, {"id": {"$exists": true}}]}),
        ] {
            let request = pb::QueryUsersRequest {
                filter: Some(struct_of(filter)),
                with_total: true,
                ..Default::default()
            };
            let answer = other.users().query_users(request).await.answered();
            assert_eq!((answer.users.len(), answer.total), (0, Some(0)));
        }
    }

    async fn a_task_of_another_app_looks_like_one_that_does_not_exist(backend: Backend) {
        let (server, other) = two_apps(&backend, &["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 2)).await;
        let missing = "00000000-0000-7000-8000-000000000000";

        let mut faces = Vec::new();
        for task_id in [task.task_id.as_str(), missing] {
            let task_id = task_id.to_owned();
            let get = other.tasks().get_task(pb::GetTaskRequest { task_id: task_id.clone() }).await;
            let items = pb::ListTaskItemsRequest { task_id: task_id.clone(), ..Default::default() };
            let items = other.tasks().list_task_items(items).await;
            let cancel = other.tasks().cancel_task(pb::CancelTaskRequest { task_id: task_id.clone() }).await;
            let retry = other.tasks().retry_task(pb::RetryTaskRequest { task_id: task_id.clone() }).await;
            faces.push([
                face(&get.refused(Code::NotFound, "TASK_NOT_FOUND")),
                face(&items.refused(Code::NotFound, "TASK_NOT_FOUND")),
                face(&cancel.refused(Code::NotFound, "TASK_NOT_FOUND")),
                face(&retry.refused(Code::NotFound, "TASK_NOT_FOUND")),
                face(&other.watch_refused(&task_id, Code::NotFound, "TASK_NOT_FOUND").await),
            ]);
        }
        assert_eq!(faces[0], faces[1]);
        let listed = other.tasks().list_tasks(pb::ListTasksRequest::default()).await.answered();
        assert!(listed.tasks.is_empty());
        assert_eq!(server.task(&task.task_id).await, task, "nothing was done to it");
    }

    async fn request_and_import_ids_belong_to_their_app(backend: Backend) {
        let (server, other) = two_apps(&backend, &[]).await;
        let request = |ids: Vec<String>| pb::DeactivateUsersRequest {
            user_ids: ids,
            request_id: "once".to_owned(),
            ..Default::default()
        };
        let ours = server.users().deactivate_users(request(user_ids("u", 1))).await.answered().task.unwrap();
        let theirs = other.users().deactivate_users(request(user_ids("v", 1))).await.answered().task.unwrap();
        assert_ne!(ours.task_id, theirs.task_id);

        let ada = [json!({"id": "ada"})];
        assert_eq!(server.import_users("once", &ada).await.accepted, 1);
        assert_eq!(other.import_users("once", &ada).await.accepted, 1);
        assert_eq!((all_users(&server).await.len(), all_users(&other).await.len()), (1, 1));
    }

    async fn page_tokens_belong_to_their_app(backend: Backend) {
        let (server, other) = two_apps(&backend, &["--workers", "0"]).await;
        for caller in [&server, &other] {
            caller.seed(&user_ids("u", 40)).await;
            caller.deactivate_all(&user_ids("x", 1)).await;
            caller.deactivate_all(&user_ids("y", 1)).await;
        }
        let users =
            server.users().query_users(pb::QueryUsersRequest::default()).await.answered().next_page_token;
        let foreign = pb::QueryUsersRequest { page_token: users, ..Default::default() };
        other.users().query_users(foreign).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        let one = pb::ListTasksRequest { limit: 1, ..Default::default() };
        let tasks = server.tasks().list_tasks(one.clone()).await.answered().next_page_token;
        let foreign = pb::ListTasksRequest { page_token: tasks, ..one };
        other.tasks().list_tasks(foreign).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn tokens_are_good_in_their_app_only(backend: Backend) {
        let (server, other) = two_apps(&backend, &[]).await;
        server.upsert(vec![user("ada")]).await;
        other.upsert(vec![user("ada")]).await;
        let ours = server.user_token("ada").await;

        for token in [ours, server.credentials().server_token()] {
            let request = pb::VerifyTokenRequest { token: token.clone() };
            let verdict = other.tokens().verify_token(request.clone()).await.answered();
            assert_eq!((verdict.valid, verdict.reason.as_str()), (false, "TOKEN_INVALID"));
            assert!(server.tokens().verify_token(request).await.answered().valid);
        }
        // Signed with one app's secret, naming the key of the other.
        let mixed = crate::harness::Credentials {
            kid: other.credentials().kid.clone(),
            secret: server.credentials().secret.clone(),
        };
        let caller = server.with_token(&mixed.server_token());
        let request = pb::GetUsersRequest { user_ids: vec!["ada".to_owned()], include_deleted: false };
        caller.users().get_users(request).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
    }
}
