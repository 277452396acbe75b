//! `DeactivateUsers` and `ReactivateUsers`: what becomes of each user, and repeating a call.

use std::collections::HashSet;

use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, TestServer, each_backend, fields_of, pb, user, user_ids};
use pb::ItemOutcome::{Done, Failed, Unchanged};

fn deactivate(ids: &[String]) -> pb::DeactivateUsersRequest {
    pb::DeactivateUsersRequest { user_ids: ids.to_vec(), ..Default::default() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

each_backend! {
    async fn every_user_is_deactivated_once_and_told_as_an_item(server: TestServer) {
        let ids = user_ids("u", 450);
        server.seed(&ids).await;

        let request = pb::DeactivateUsersRequest {
            created_by_id: "boss".to_owned(),
            reason: "contract ended".to_owned(),
            request_id: "r1".to_owned(),
            ..deactivate(&ids)
        };
        let begun = server.users().deactivate_users(request).await.answered().task.unwrap();

        assert_eq!(
            (begun.kind.as_str(), begun.users_total, begun.phase.as_str()),
            ("deactivate_users", 450, "users")
        );
        assert_eq!(
            (begun.created_by_id.as_str(), begun.reason.as_str(), begun.request_id.as_str()),
            ("boss", "contract ended", "r1")
        );
        assert!(begun.created_at.is_some() && begun.finished_at.is_none());
        assert!(begun.revision > 0, "0 stands for no revision");
        let ended = server.completed(&begun).await;
        assert_eq!(
            (ended.users_done, ended.users_failed, ended.users_unchanged, ended.rows_done),
            (450, 0, 0, 450)
        );
        assert!(ended.started_at.is_some() && ended.finished_at.is_some() && ended.error.is_none());
        assert_eq!(ended.failures, 0);
        assert!(
            server.read(&ids).await.iter().all(|user| user.deactivated_at.is_some() && user.version == 2)
        );
        let items = server.items(&begun.task_id).await;
        assert_eq!(
            items.iter().map(|item| item.user_id.clone()).collect::<Vec<_>>(),
            ids,
            "in the order of the request"
        );
        assert!(items.iter().enumerate().all(|(at, item)| item.index == i32::try_from(at).unwrap()));
        assert!(items.iter().all(|item| item.outcome() == Done && item.reason.is_empty()));

        let back = server.reactivate_all(&ids).await;
        assert_eq!(back.kind, "reactivate_users");
        assert_eq!(server.completed(&back).await.rows_done, 450);
        assert!(
            server.read(&ids).await.iter().all(|user| user.deactivated_at.is_none() && user.version == 3)
        );
    }

    async fn unknown_malformed_deleted_and_unchanged_users_are_items(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("ada"), user("off")]).await;
        server.deactivate("off").await;
        let long = "x".repeat(300);
        let ids = strings(&["nobody", "ada", "a b", "gone", "", "off", "a\0b", &long, "é"]);

        let ended = server.deactivated(&ids).await;

        assert_eq!(
            (ended.users_total, ended.users_done, ended.users_failed, ended.users_unchanged, ended.rows_done),
            (9, 9, 7, 1, 1)
        );
        let items = server.items(&ended.task_id).await;
        let told: Vec<_> = items.iter().map(|item| (item.outcome(), item.reason.as_str())).collect();
        let malformed = (Failed, "INVALID_FIELD");
        assert_eq!(
            told,
            [
                (Failed, "USER_NOT_FOUND"),
                (Done, ""),
                malformed,
                (Failed, "USER_DELETED"),
                malformed,
                (Unchanged, ""),
                malformed,
                malformed,
                malformed,
            ]
        );
        assert_eq!((items[2].user_id.as_str(), items[8].user_id.as_str()), ("a b", "é"), "told as sent");
        assert_eq!(server.user("off").await.version, 2, "unchanged means untouched");
        assert_eq!(server.user("ada").await.version, 2);
    }

    async fn users_that_are_live_are_unchanged_by_reactivation(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let task = server.reactivate_all(&strings(&["ada"])).await;
        let ended = server.completed(&task).await;
        assert_eq!((ended.users_done, ended.users_unchanged, ended.rows_done), (1, 1, 0));
        assert_eq!(server.user("ada").await.version, 1);
    }

    async fn ids_named_twice_count_once(server: TestServer) {
        server.upsert(vec![user("a"), user("b")]).await;
        let ended = server.deactivated(&strings(&["b", "a", "b", "x y", "b", "x y"])).await;
        assert_eq!(ended.users_total, 3);
        let items: Vec<_> =
            server.items(&ended.task_id).await.into_iter().map(|item| (item.index, item.user_id)).collect();
        assert_eq!(items, [(0, "b".to_owned()), (1, "a".to_owned()), (2, "x y".to_owned())]);
        assert_eq!(server.user("b").await.version, 2);
    }

    async fn ten_thousand_users_are_taken_and_one_more_is_refused(server: TestServer) {
        let ids = user_ids("u", 10_000);
        server.seed(&ids[4_000..6_000]).await;

        let ended = server.deactivated(&ids).await;

        assert_eq!(
            (ended.users_total, ended.users_done, ended.users_failed, ended.rows_done),
            (10_000, 10_000, 8_000, 2_000)
        );
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2));
        assert_eq!(server.items(&ended.task_id).await.len(), 10_000);

        for refused in [user_ids("v", 10_001), Vec::new()] {
            let status = server.users().deactivate_users(deactivate(&refused)).await;
            assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), ["user_ids"]);
            let request = pb::ReactivateUsersRequest { user_ids: refused, ..Default::default() };
            let status = server.users().reactivate_users(request).await;
            assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), ["user_ids"]);
        }
    }

    async fn the_form_of_every_field_is_checked(server: TestServer) {
        let fine = || deactivate(&strings(&["ada"]));
        let request_id = |request_id: String| pb::DeactivateUsersRequest { request_id, ..fine() };
        let cases = [
            ("created_by_id", pb::DeactivateUsersRequest { created_by_id: "a b".to_owned(), ..fine() }),
            ("reason", pb::DeactivateUsersRequest { reason: "x".repeat(1_025), ..fine() }),
            ("reason", pb::DeactivateUsersRequest { reason: "a\0".to_owned(), ..fine() }),
            ("request_id", request_id("x".repeat(129))),
            ("request_id", request_id("a\0".to_owned())),
            ("request_id", request_id("a\n".to_owned())),
        ];
        for (field, request) in cases {
            let status = server.users().deactivate_users(request).await;
            assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), [field]);
        }
        server.users().deactivate_users(request_id("é".repeat(64))).await.answered();
        let longest = pb::DeactivateUsersRequest { reason: "x".repeat(1_024), ..fine() };
        server.users().deactivate_users(longest).await.answered();
    }

    async fn a_repeat_returns_the_same_task_and_does_nothing_again(server: TestServer) {
        let ids = user_ids("u", 20);
        server.seed(&ids).await;
        let request = pb::DeactivateUsersRequest { request_id: "once".to_owned(), ..deactivate(&ids) };

        let first = server.users().deactivate_users(request.clone()).await.answered().task.unwrap();
        let early = server.users().deactivate_users(request.clone()).await.answered().task.unwrap();
        let ended = server.completed(&first).await;
        let back = server.reactivate_all(&ids).await;
        server.completed(&back).await;
        let late = server.users().deactivate_users(request.clone()).await.answered().task.unwrap();
        let server = server.restart().await;
        let later = server.users().deactivate_users(request).await.answered().task.unwrap();

        assert_eq!(early.task_id, first.task_id);
        assert_eq!((&late, &later), (&ended, &ended), "a repeat tells how the task stands now");
        assert!(
            server.read(&ids).await.iter().all(|user| user.version == 3),
            "deactivated once, reactivated once"
        );
    }

    async fn a_request_id_with_another_body_is_refused(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let once = |ids: &[&str]| pb::DeactivateUsersRequest {
            request_id: "once".to_owned(),
            ..deactivate(&strings(ids))
        };
        server.users().deactivate_users(once(&["ada", "bob"])).await.answered();

        for other in [
            once(&["ada"]),
            once(&["bob", "ada"]),
            once(&["ada", "bob", "eve"]),
            pb::DeactivateUsersRequest { reason: "another".to_owned(), ..once(&["ada", "bob"]) },
            pb::DeactivateUsersRequest { created_by_id: "another".to_owned(), ..once(&["ada", "bob"]) },
        ] {
            server.users().deactivate_users(other).await.refused(Code::AlreadyExists, "REQUEST_ID_REUSED");
        }
        let other_call = pb::ReactivateUsersRequest {
            user_ids: strings(&["ada", "bob"]),
            request_id: "once".to_owned(),
            ..Default::default()
        };
        server.users().reactivate_users(other_call).await.refused(Code::AlreadyExists, "REQUEST_ID_REUSED");
        let listed = server.tasks().list_tasks(pb::ListTasksRequest::default()).await.answered();
        assert_eq!(listed.tasks.len(), 1, "what is refused leaves no task");
    }

    async fn calls_without_a_request_id_are_tasks_of_their_own(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let first = server.deactivate_all(&strings(&["ada"])).await;
        let second = server.deactivate_all(&strings(&["ada"])).await;
        assert_ne!(first.task_id, second.task_id);
        assert_eq!(server.completed(&second).await.users_unchanged, 1);
    }

    async fn thirty_two_racing_repeats_make_one_task(server: TestServer) {
        let ids = user_ids("u", 50);
        server.seed(&ids).await;
        let repeats = (0..32).map(|_| {
            let request = pb::DeactivateUsersRequest { request_id: "once".to_owned(), ..deactivate(&ids) };
            let caller = server.on_another_connection();
            async move { caller.users().deactivate_users(request).await.answered().task.unwrap() }
        });

        let told = futures_util::future::join_all(repeats).await;

        let different: HashSet<_> = told.iter().map(|task| task.task_id.clone()).collect();
        assert_eq!(different.len(), 1);
        server.completed(&told[0]).await;
        assert!(server.read(&ids).await.iter().all(|user| user.version == 2));
        let listed = server.tasks().list_tasks(pb::ListTasksRequest::default()).await.answered();
        assert_eq!(listed.tasks.len(), 1);
    }
}
