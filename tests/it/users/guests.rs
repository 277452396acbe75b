//! `CreateGuest`, and what becomes of guests who stay away.

use prost_types::Duration as Validity;
use serde_json::json;
use tonic::{Code, Response, Status};

use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, eventually, fields_of, now, pb, struct_of, user,
};

fn guest(id: &str) -> pb::UserInput {
    user(id)
}

async fn create(caller: &Caller, user: pb::UserInput) -> Result<Response<pb::CreateGuestResponse>, Status> {
    let request = pb::CreateGuestRequest { user: Some(user), validity: None };
    caller.users().create_guest(request).await
}

async fn verified(caller: &Caller, token: &str) -> pb::VerifyTokenResponse {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    caller.tokens().verify_token(request).await.answered()
}

each_backend! {
    async fn a_guest_comes_with_a_token_of_its_own(server: TestServer) {
        let input = pb::UserInput {
            name: "Visitor".to_owned(),
            image: "i.png".to_owned(),
            custom: Some(struct_of(json!({"from": "shop"}))),
            ..guest("visitor")
        };
        let created = create(&server, input).await.answered();
        let stored = created.user.unwrap();
        assert_eq!((stored.id.as_str(), stored.role.as_str(), stored.version), ("visitor", "guest", 1));
        assert_eq!((stored.name.as_str(), stored.image.as_str()), ("Visitor", "i.png"));
        assert_eq!(stored.custom, Some(struct_of(json!({"from": "shop"}))));
        assert_eq!(server.user("visitor").await, stored);

        let verdict = verified(&server, &created.token).await;
        assert_eq!((verdict.valid, verdict.user_id.as_str(), verdict.role.as_str()), (true, "visitor", "guest"));
        assert_eq!(verdict.expires_at, created.expires_at);
        let expires = u64::try_from(created.expires_at.unwrap().seconds).unwrap();
        assert!(expires.abs_diff(now() + 3_600) < 60, "an hour, unless asked otherwise");
        let me = pb::GetUsersRequest { user_ids: vec!["visitor".to_owned()], include_deleted: false };
        server.with_token(&created.token).users().get_users(me).await.answered();
    }

    async fn an_id_is_made_where_none_is_asked_for(server: TestServer) {
        let created = server.users().create_guest(pb::CreateGuestRequest::default()).await.answered();
        let other = create(&server, guest("")).await.answered().user.unwrap();
        let stored = created.user.unwrap();
        assert!(stored.id.starts_with("guest-") && stored.id != other.id, "{stored:?}");
        assert_eq!(verified(&server, &created.token).await.user_id, stored.id);
    }

    async fn nobody_comes_to_a_token_of_a_user_who_was_there_before(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![pb::UserInput { role: "admin".to_owned(), ..user("boss") }, user("off")]).await;
        server.deactivate("off").await;
        create(&server, guest("visitor")).await.answered();
        for taken in ["boss", "off", "gone", "visitor"] {
            for caller in [&*server, &server.nobody()] {
                let before = server.user(taken).await;
                let created = create(caller, guest(taken)).await.answered();
                let id = created.user.unwrap().id;
                assert!(id != taken && id.contains(taken), "{id}");
                let verdict = verified(&server, &created.token).await;
                assert_eq!((verdict.valid, verdict.user_id, verdict.role), (true, id, "guest".to_owned()));
                assert_eq!(server.user(taken).await, before);
            }
        }
    }

    async fn an_anonymous_caller_never_gets_the_very_id_it_asks_for(server: TestServer) {
        let nobody = server.nobody();
        let created = create(&nobody, guest("boss-to-be")).await.answered();
        let id = created.user.unwrap().id;
        assert!(id.starts_with("guest-") && id.ends_with("-boss-to-be"), "{id}");
        server.upsert(vec![pb::UserInput { role: "admin".to_owned(), ..user("boss-to-be") }]).await;
        let verdict = verified(&server, &created.token).await;
        assert_eq!((verdict.user_id, verdict.role.as_str()), (id, "guest"));
    }

    async fn of_racing_calls_for_one_id_each_has_a_guest_of_its_own(server: TestServer) {
        let call = |_| {
            let caller = server.on_another_connection();
            async move { create(&caller, guest("visitor")).await.answered().user.unwrap().id }
        };
        let mut ids = futures_util::future::join_all((0..12).map(call)).await;
        assert_eq!(ids.iter().filter(|id| *id == "visitor").count(), 1);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 12);
    }

    async fn the_app_decides_about_anonymous_callers(server: TestServer) {
        let nobody = server.nobody();
        let settings = pb::AppSettings { guests_enabled: false, ..Default::default() };
        server.set_up(settings.clone(), &["guests_enabled"]).await;
        create(&nobody, guest("a")).await.refused(Code::PermissionDenied, "GUESTS_DISABLED");
        create(&server, guest("a")).await.answered();
        server.set_up(pb::AppSettings { guests_enabled: true, ..settings }, &["guests_enabled"]).await;
        create(&nobody, guest("a")).await.answered();

        let ada = server.upsert(vec![user("ada")]).await.remove(0);
        let ada = server.with_token(&server.user_token(&ada.id).await);
        create(&ada, guest("b")).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn only_servers_give_guests_teams(server: TestServer) {
        let teams = pb::UserInput { teams: vec!["red".to_owned()], ..guest("a") };
        let roles = pb::UserInput { teams_role: [("red".to_owned(), "admin".to_owned())].into(), ..guest("b") };
        for (input, field) in [(teams, "user.teams"), (roles, "user.teams_role")] {
            let refused = create(&server.nobody(), input.clone()).await;
            assert_eq!(fields_of(&refused.refused(Code::PermissionDenied, "PERMISSION_MISSING")), [field]);
            create(&server, input).await.answered();
        }
    }

    async fn what_cannot_be_asked_is_refused_with_its_path(server: TestServer) {
        let longest = "x".repeat(212);
        create(&server, guest(&longest)).await.answered();
        let taken = create(&server, guest(&longest)).await.answered().user.unwrap();
        assert_eq!(taken.id.len(), 255);
        let cases = [
            (guest("a b"), "user.id"),
            (guest(&"x".repeat(213)), "user.id"),
            (pb::UserInput { role: "admin".to_owned(), ..guest("a") }, "user.role"),
            (pb::UserInput { expected_version: Some(0), ..guest("a") }, "user.expected_version"),
            (pb::UserInput { name: "\0".to_owned(), ..guest("") }, "user.name"),
        ];
        for (input, field) in cases {
            let refused = create(&server, input).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), [field]);
        }
        let lasting = |seconds, nanos| pb::CreateGuestRequest {
            user: None,
            validity: Some(Validity { seconds, nanos }),
        };
        server.users().create_guest(lasting(365 * 86_400, 0)).await.answered();
        let shortest = pb::AppSettings {
            max_token_validity: Some(Validity { seconds: 60, nanos: 0 }),
            ..Default::default()
        };
        server.set_up(shortest, &["max_token_validity"]).await;
        let refused = server.users().create_guest(lasting(61, 0)).await;
        assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["validity"]);
        server.users().create_guest(lasting(60, 0)).await.answered();
        for (seconds, nanos) in [(0, 0), (-1, 0), (1, 1), (365 * 86_400 + 1, 0), (i64::MAX, 0)] {
            let refused = server.users().create_guest(lasting(seconds, nanos)).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["validity"]);
        }
        let knight = pb::UserInput { teams_role: [("red".to_owned(), "knight".to_owned())].into(), ..guest("k") };
        let refused = create(&server, knight).await.refused(Code::NotFound, "ROLE_NOT_FOUND");
        assert_eq!(fields_of(&refused), ["user.teams_role"]);
    }

    async fn a_guest_has_a_name_that_nobody_else_has(server: TestServer) {
        server.keep_names_unique(pb::UniqueNames::App).await;
        server.upsert(vec![pb::UserInput { name: "Ada".to_owned(), ..user("ada") }]).await;
        let same = pb::UserInput { name: "a.d.a".to_owned(), ..guest("") };
        let refused = create(&server.nobody(), same).await.refused(Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(fields_of(&refused), ["user.name"]);
        create(&server.nobody(), pb::UserInput { name: "Bob".to_owned(), ..guest("") }).await.answered();
    }

    async fn guests_who_stay_away_are_deleted_and_nobody_else(backend: Backend) {
        let server = backend.start().await;
        let days = |days| pb::AppSettings { guest_retention_days: days, ..Default::default() };
        server.set_up(days(2), &["guest_retention_days"]).await;
        let other = server.of_app(backend.create_app("shop", server.place()).await);
        other.upsert(vec![pb::UserInput { role: "guest".to_owned(), ..user("kept") }]).await;
        for id in ["never-came", "away", "here", "fresh"] {
            create(&server, guest(id)).await.answered();
        }
        server.upsert(vec![user("ada")]).await;
        let place = server.place().clone();
        server.stop().await;
        let ago = |hours: u64| (now() - hours * 3_600) * 1_000_000;
        for (columns, ids) in [
            (format!("created_at = {}", ago(49)), "'never-came', 'ada', 'kept'"),
            (format!("created_at = {}, last_active = {}", ago(100), ago(49)), "'away'"),
            (format!("created_at = {}, last_active = {}", ago(100), ago(47)), "'here'"),
        ] {
            backend.meddle(&place, &format!("UPDATE users SET {columns} WHERE id IN ({ids})")).await;
        }

        let server = backend.try_start_at(&place).await.expect("the server starts");

        for id in ["never-came", "away"] {
            let gone = eventually("no guest who stays away", || async {
                let found = server.user(id).await;
                found.deleted_at.is_some().then_some(found)
            })
            .await;
            assert_eq!((gone.version, gone.updated_at), (2, gone.deleted_at));
        }
        let left = server.read(&["here", "fresh", "ada"].map(str::to_owned)).await;
        assert!(left.iter().all(|user| user.deleted_at.is_none() && user.version == 1), "{left:?}");
        let other = server.of_app(other.credentials().clone());
        assert_eq!(other.user("kept").await.deleted_at, None, "its app keeps them");
    }
}
