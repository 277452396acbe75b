//! `UpsertUsers`: what it stores, and that a batch is stored whole or not at all.

use prost_types::Timestamp;
use serde_json::json;
use tonic::Code;

use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, pb, struct_of, user, user_ids};

/// A user that has everything a caller can write.
fn full(id: &str) -> pb::UserInput {
    let on = |enabled| Some(pb::PrivacySetting { enabled });
    pb::UserInput {
        id: id.to_owned(),
        name: "Ada Lovelace".to_owned(),
        image: "https://example.org/ada.png".to_owned(),
        role: "moderator".to_owned(),
        custom: Some(struct_of(
            json!({"level": 3, "ratio": 0.5, "address": {"city": "Zürich"}, "tags": ["a", null]}),
        )),
        language: "pt-BR".to_owned(),
        invisible: true,
        teams: vec!["red".to_owned(), "blue".to_owned(), "red".to_owned()],
        teams_role: [("red".to_owned(), "admin".to_owned())].into(),
        privacy_settings: Some(pb::PrivacySettings {
            typing_indicators: on(false),
            read_receipts: on(true),
            delivery_receipts: None,
        }),
        push_notifications: Some(pb::PushNotifications {
            disabled: true,
            disabled_until: Some(Timestamp { seconds: 4_102_444_800, nanos: 123_456_789 }),
        }),
        expected_version: None,
    }
}

async fn upsert(
    caller: &Caller,
    users: Vec<pb::UserInput>,
) -> Result<tonic::Response<pb::UpsertUsersResponse>, tonic::Status> {
    caller.users().upsert_users(pb::UpsertUsersRequest { users }).await
}

/// A deleted user, which only an import can make.
async fn import_deleted(server: &TestServer, id: &str) {
    let items = [json!({"id": id, "deleted_at": "2024-05-01T12:00:00Z"})];
    let tally = server.import_users(&format!("deleted-{id}"), &items).await;
    assert_eq!(tally.accepted, 1, "{tally:?}");
}

each_backend! {
    async fn a_new_user_comes_back_as_sent(server: TestServer) {
        let stored = server.upsert(vec![full("ada")]).await.remove(0);

        let sent = full("ada");
        assert_eq!((&stored.id, &stored.name, &stored.image), (&sent.id, &sent.name, &sent.image));
        assert_eq!((&stored.role, &stored.language, stored.invisible), (&sent.role, &sent.language, true));
        assert_eq!(stored.custom, sent.custom);
        assert_eq!(stored.teams, ["red", "blue"], "in the caller's order, each once");
        assert_eq!(stored.teams_role, sent.teams_role);
        assert_eq!(stored.privacy_settings, sent.privacy_settings);
        let until = stored.push_notifications.unwrap().disabled_until.unwrap();
        assert_eq!(until.nanos, 123_456_000, "times are truncated to microseconds");
        assert_eq!(stored.version, 1);
        assert!(stored.created_at.is_some());
        assert_eq!(stored.created_at, stored.updated_at);
        assert_eq!((stored.deactivated_at, stored.deleted_at), (None, None));
        assert_eq!(server.user("ada").await, stored, "and is read as answered");
    }

    async fn what_is_left_out_is_cleared_and_the_role_goes_back_to_user(server: TestServer) {
        let before = server.upsert(vec![full("ada")]).await.remove(0);

        let after = server.upsert(vec![user("ada")]).await.remove(0);

        let bare = pb::User {
            id: "ada".to_owned(),
            role: "user".to_owned(),
            created_at: before.created_at,
            updated_at: after.updated_at,
            version: 2,
            ..pb::User::default()
        };
        assert_eq!(after, bare);
        let time = |at: Option<Timestamp>| at.map(|at| (at.seconds, at.nanos));
        assert!(time(after.updated_at) >= time(before.updated_at), "time of change does not go back");
    }

    async fn blocks_stay_when_a_user_is_replaced(server: TestServer) {
        server.import_users("blocks", &[json!({"id": "ada", "blocked_user_ids": ["eve", "bob"]})]).await;

        server.upsert(vec![full("ada")]).await;

        assert_eq!(server.user("ada").await.blocked_user_ids, ["bob", "eve"]);
    }

    async fn the_version_rises_by_one_even_when_nothing_changes(server: TestServer) {
        for version in 1..=3 {
            assert_eq!(server.upsert(vec![full("ada")]).await[0].version, version);
        }
    }

    async fn users_come_back_in_the_order_of_the_request(server: TestServer) {
        let ids = ["m", "B", "a", "_", "-z", "@"];
        let stored = server.upsert(ids.iter().map(|id| user(id)).collect()).await;
        assert_eq!(stored.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ids);
    }

    async fn ids_are_compared_byte_by_byte(server: TestServer) {
        server.upsert(vec![user("ada"), user("Ada"), user("ADA")]).await;
        assert_eq!(server.read(&["ada".into(), "Ada".into(), "ADA".into(), "aDA".into()]).await.len(), 3);
    }

    async fn five_hundred_users_are_taken_and_one_more_is_refused(server: TestServer) {
        server.upsert(user_ids("u", 500).iter().map(|id| user(id)).collect()).await;

        let too_many = user_ids("v", 501).iter().map(|id| user(id)).collect();
        let status = upsert(&server, too_many).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["users"]);

        let status = upsert(&server, Vec::new()).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["users"]);
    }

    async fn an_id_twice_in_one_batch_is_refused_at_the_second(server: TestServer) {
        let twice = vec![user("ada"), user("bob"), user("ada")];
        let status = upsert(&server, twice).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["users[2].id"]);
        assert!(server.read(&["ada".into(), "bob".into()]).await.is_empty(), "nothing is half written");
    }

    async fn an_unknown_role_fails_the_whole_batch(server: TestServer) {
        let knight = pb::UserInput { role: "knight".to_owned(), ..user("bob") };
        let status =
            upsert(&server, vec![user("ada"), knight]).await.refused(Code::NotFound, "ROLE_NOT_FOUND");
        assert_eq!(fields_of(&status), ["users[1].role"]);

        let in_team =
            pb::UserInput { teams_role: [("red".to_owned(), "knight".to_owned())].into(), ..user("bob") };
        let status =
            upsert(&server, vec![user("ada"), in_team]).await.refused(Code::NotFound, "ROLE_NOT_FOUND");
        assert_eq!(fields_of(&status), ["users[1].teams_role"]);

        assert!(server.read(&["ada".into(), "bob".into()]).await.is_empty(), "nothing is half written");
    }

    async fn every_built_in_role_can_be_given(server: TestServer) {
        for role in ["user", "guest", "anonymous", "admin", "moderator"] {
            let given = pb::UserInput { role: role.to_owned(), ..user("ada") };
            assert_eq!(server.upsert(vec![given]).await[0].role, role);
        }
    }

    async fn a_deactivated_user_fails_the_whole_batch(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let before = server.deactivate("bob").await;

        let status = upsert(&server, vec![full("ada"), full("new"), full("bob")])
            .await
            .refused(Code::FailedPrecondition, "USER_DEACTIVATED");

        assert_eq!(fields_of(&status), ["users[2]"]);
        assert_eq!(server.user("ada").await.version, 1, "nothing is half written");
        assert_eq!(server.user("bob").await, before);
        assert!(server.read(&["new".into()]).await.is_empty());
    }

    async fn a_deleted_user_fails_the_whole_batch(server: TestServer) {
        import_deleted(&server, "gone").await;
        server.upsert(vec![user("ada")]).await;

        let status = upsert(&server, vec![full("ada"), full("gone")])
            .await
            .refused(Code::FailedPrecondition, "USER_DELETED");

        assert_eq!(fields_of(&status), ["users[1]"]);
        assert_eq!(server.user("ada").await.version, 1, "nothing is half written");
    }

    async fn a_write_may_name_the_version_it_expects(server: TestServer) {
        let expecting = |version| vec![pb::UserInput { expected_version: Some(version), ..user("ada") }];

        assert_eq!(upsert(&server, expecting(0)).await.answered().users[0].version, 1, "0: not stored yet");
        upsert(&server, expecting(0)).await.refused(Code::Aborted, "VERSION_MISMATCH");
        upsert(&server, expecting(2)).await.refused(Code::Aborted, "VERSION_MISMATCH");
        assert_eq!(upsert(&server, expecting(1)).await.answered().users[0].version, 2);

        let absent = vec![user("new"), pb::UserInput { expected_version: Some(1), ..user("absent") }];
        let status = upsert(&server, absent).await.refused(Code::Aborted, "VERSION_MISMATCH");
        assert_eq!(fields_of(&status), ["users[1].expected_version"]);
        assert!(server.read(&["new".into()]).await.is_empty(), "nothing is half written");

        let negative = upsert(&server, expecting(-1)).await;
        let status = negative.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["users[0].expected_version"]);
    }

    async fn of_racing_writers_that_expect_one_version_one_wins(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let write = |number: usize| {
            let caller = server.on_another_connection();
            async move {
                let name = format!("writer {number}");
                let input = pb::UserInput { name, expected_version: Some(1), ..user("ada") };
                upsert(&caller, vec![input]).await
            }
        };

        let ended = futures_util::future::join_all((0..16).map(write)).await;

        let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 15));
        for loser in lost {
            loser.refused(Code::Aborted, "VERSION_MISMATCH");
        }
        assert_eq!(server.user("ada").await.version, 2);
    }

    async fn racing_writers_of_the_same_users_all_succeed_and_none_is_lost(server: TestServer) {
        // Half of them exist. Each in another order, so that locks taken carelessly would wait in a circle.
        server.seed(&user_ids("u", 20)).await;
        let write = |number: usize| {
            let caller = server.on_another_connection();
            async move {
                let mut batch: Vec<_> = user_ids("u", 40).iter().map(|id| user(id)).collect();
                batch.rotate_left(number);
                upsert(&caller, batch).await.answered()
            }
        };

        futures_util::future::join_all((0..16).map(write)).await;

        let versions: Vec<i64> =
            server.read(&user_ids("u", 40)).await.iter().map(|user| user.version).collect();
        assert_eq!(versions, [[17; 20], [16; 20]].concat(), "each write counts once");
    }
}
