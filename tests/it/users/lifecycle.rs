//! `DeactivateUser` and `ReactivateUser`.

use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, TestServer, each_backend, fields_of, pb, user};

fn deactivate(id: &str) -> pb::DeactivateUserRequest {
    pb::DeactivateUserRequest { user_id: id.to_owned(), ..Default::default() }
}

fn reactivate(id: &str) -> pb::ReactivateUserRequest {
    pb::ReactivateUserRequest { user_id: id.to_owned(), ..Default::default() }
}

each_backend! {
    async fn the_state_has_changed_when_the_call_returns(server: TestServer) {
        let before =
            server.upsert(vec![pb::UserInput { name: "Ada".to_owned(), ..user("ada") }]).await.remove(0);

        let off = server.users().deactivate_user(deactivate("ada")).await.answered().user.unwrap();
        assert!(off.deactivated_at.is_some());
        assert_eq!((off.version, off.created_at, off.name.as_str()), (2, before.created_at, "Ada"));
        assert_eq!(server.user("ada").await, off);

        let on = server.users().reactivate_user(reactivate("ada")).await.answered().user.unwrap();
        assert_eq!((on.deactivated_at, on.version, on.name.as_str()), (None, 3, "Ada"));
        assert_eq!(server.user("ada").await, on);
    }

    async fn reactivation_can_give_a_new_name(server: TestServer) {
        server.upsert(vec![pb::UserInput { name: "Ada".to_owned(), ..user("ada") }]).await;
        server.deactivate("ada").await;

        let request = pb::ReactivateUserRequest { name: "Countess".to_owned(), ..reactivate("ada") };
        let on = server.users().reactivate_user(request).await.answered().user.unwrap();

        assert_eq!((on.name.as_str(), on.version), ("Countess", 3));
        assert_eq!(server.user("ada").await.name, "Countess");
    }

    async fn a_user_already_in_that_state_is_refused_and_not_changed(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        server
            .users()
            .reactivate_user(reactivate("ada"))
            .await
            .refused(Code::FailedPrecondition, "USER_NOT_DEACTIVATED");

        server.deactivate("ada").await;
        server
            .users()
            .deactivate_user(deactivate("ada"))
            .await
            .refused(Code::FailedPrecondition, "USER_DEACTIVATED");

        assert_eq!(server.user("ada").await.version, 2);
    }

    async fn unknown_and_deleted_users_are_refused(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;

        server.users().deactivate_user(deactivate("nobody")).await.refused(Code::NotFound, "USER_NOT_FOUND");
        server.users().reactivate_user(reactivate("nobody")).await.refused(Code::NotFound, "USER_NOT_FOUND");
        server
            .users()
            .deactivate_user(deactivate("gone"))
            .await
            .refused(Code::FailedPrecondition, "USER_DELETED");
        server
            .users()
            .reactivate_user(reactivate("gone"))
            .await
            .refused(Code::FailedPrecondition, "USER_DELETED");
    }

    async fn the_expected_version_is_kept_to(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let expecting =
            |version| pb::DeactivateUserRequest { expected_version: Some(version), ..deactivate("ada") };

        for wrong in [0, 2, i64::MAX] {
            server.users().deactivate_user(expecting(wrong)).await.refused(Code::Aborted, "VERSION_MISMATCH");
        }
        server.users().deactivate_user(expecting(1)).await.answered();

        let wrong = pb::ReactivateUserRequest { expected_version: Some(1), ..reactivate("ada") };
        server.users().reactivate_user(wrong).await.refused(Code::Aborted, "VERSION_MISMATCH");
        let right = pb::ReactivateUserRequest { expected_version: Some(2), ..reactivate("ada") };
        server.users().reactivate_user(right).await.answered();
    }

    async fn the_form_of_every_field_is_checked(server: TestServer) {
        server.upsert(vec![user("ada"), user("off")]).await;
        server.deactivate("off").await;
        let reason = |reason: String| pb::DeactivateUserRequest { reason, ..deactivate("ada") };
        let cases = [
            ("user_id", deactivate("")),
            ("user_id", deactivate("a b")),
            ("user_id", deactivate(&"x".repeat(256))),
            (
                "created_by_id",
                pb::DeactivateUserRequest { created_by_id: "a b".to_owned(), ..deactivate("ada") },
            ),
            ("reason", reason("x".repeat(1_025))),
            ("reason", reason("a\0".to_owned())),
            (
                "expected_version",
                pb::DeactivateUserRequest { expected_version: Some(-1), ..deactivate("ada") },
            ),
        ];
        for (field, request) in cases {
            let status = server.users().deactivate_user(request).await;
            assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), [field]);
        }
        let name = |name: String| pb::ReactivateUserRequest { name, ..reactivate("off") };
        let cases = [
            ("user_id", reactivate("a\0b")),
            ("name", name("é".repeat(256))),
            ("name", name("a\0".to_owned())),
            (
                "created_by_id",
                pb::ReactivateUserRequest { created_by_id: "é".to_owned(), ..reactivate("off") },
            ),
            ("reason", pb::ReactivateUserRequest { reason: "x".repeat(1_025), ..reactivate("off") }),
        ];
        for (field, request) in cases {
            let status = server.users().reactivate_user(request).await;
            assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), [field]);
        }
        assert_eq!(server.user("ada").await.version, 1);
        server.users().deactivate_user(reason("x".repeat(1_024))).await.answered();
    }

    async fn of_racing_calls_one_changes_the_user(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let calls = (0..16).map(|_| {
            let caller = server.on_another_connection();
            async move { caller.users().deactivate_user(deactivate("ada")).await }
        });

        let ended = futures_util::future::join_all(calls).await;

        assert_eq!(ended.iter().filter(|call| call.is_ok()).count(), 1);
        for refused in ended.into_iter().filter(Result::is_err) {
            refused.refused(Code::FailedPrecondition, "USER_DEACTIVATED");
        }
        assert_eq!(server.user("ada").await.version, 2);
    }

    async fn deactivation_outlives_a_restart(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let off = server.deactivate("ada").await;
        let server = server.restart().await;
        assert_eq!(server.user("ada").await, off);
    }
}
