//! Unique names, by every way in which a user can come to one.

use serde_json::json;
use tonic::{Code, Response, Status};

use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, fields_of, on_postgres, pb, struct_of, user, user_ids,
};
use pb::UniqueNames::{App, None as Nobody, Team};

fn named(id: &str, name: &str) -> pb::UserInput {
    pb::UserInput { name: name.to_owned(), ..user(id) }
}

fn in_teams(id: &str, name: &str, teams: &[&str]) -> pb::UserInput {
    pb::UserInput { teams: teams.iter().map(ToString::to_string).collect(), ..named(id, name) }
}

async fn upsert(
    caller: &Caller,
    users: Vec<pb::UserInput>,
) -> Result<Response<pb::UpsertUsersResponse>, Status> {
    caller.users().upsert_users(pb::UpsertUsersRequest { users }).await
}

async fn set(
    caller: &Caller,
    id: &str,
    set: serde_json::Value,
) -> Result<Response<pb::UpdateUsersPartialResponse>, Status> {
    let patch = pb::UserPatch { id: id.to_owned(), set: Some(struct_of(set)), ..Default::default() };
    caller.users().update_users_partial(pb::UpdateUsersPartialRequest { users: vec![patch] }).await
}

async fn reactivate(
    caller: &Caller,
    id: &str,
    name: &str,
) -> Result<Response<pb::ReactivateUserResponse>, Status> {
    let request =
        pb::ReactivateUserRequest { user_id: id.to_owned(), name: name.to_owned(), ..Default::default() };
    caller.users().reactivate_user(request).await
}

/// The call is refused since the name at `field` is taken.
#[track_caller]
fn taken<T>(outcome: Result<Response<T>, Status>, field: &str) {
    assert_eq!(fields_of(&outcome.refused(Code::AlreadyExists, "NAME_TAKEN")), [field]);
}

each_backend! {
    async fn any_number_of_users_may_have_a_name_unless_it_is_said_otherwise(server: TestServer) {
        server.upsert(vec![named("a", "Ada"), named("b", "Ada"), named("c", "ada")]).await;
    }

    async fn a_name_stands_once_in_the_app(server: TestServer) {
        server.keep_names_unique(App).await;
        server.upsert(vec![named("john", "John Doe"), user("bob"), user("nameless"), user("nameless-too")]).await;

        taken(upsert(&server, vec![named("new", "Bob"), named("new2", "john.doe")]).await, "users[1].name");
        taken(upsert(&server, vec![named("bob", "JOHN DOE")]).await, "users[0].name");
        taken(upsert(&server, vec![named("x", "X y"), named("y", "xY")]).await, "users[1].name");
        taken(set(&server, "bob", json!({"name": "J.o.h.n.d.o.e"})).await, "users[0].set.name");
        assert!(server.read(&["new".into(), "x".into()]).await.is_empty(), "nothing is half written");
        assert_eq!(server.user("bob").await.version, 1);

        server.upsert(vec![pb::UserInput { language: "en".to_owned(), ..named("john", "john doe") }]).await;
        set(&server, "john", json!({"name": "JOHN DOE", "color": "red"})).await.answered();
        server.upsert(vec![named("john", "Jim")]).await;
        server.upsert(vec![named("bob", "John Doe")]).await;
        server.upsert(vec![named("john", "John Doe"), named("bob", "Jim")]).await;
    }

    async fn every_offender_is_named(server: TestServer) {
        server.keep_names_unique(App).await;
        server.upsert(vec![named("a", "a"), named("b", "b")]).await;
        let status = upsert(&server, vec![named("c", "B"), named("d", "d"), named("e", "A"), named("f", "D")]).await;
        let status = status.refused(Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(fields_of(&status), ["users[0].name", "users[2].name", "users[3].name"]);
    }

    async fn a_name_stands_once_in_each_team(server: TestServer) {
        server.keep_names_unique(Team).await;
        server.upsert(vec![in_teams("a", "Ada", &["red", "green"]), in_teams("b", "Ada", &["blue"]), named("c", "Ada"), named("d", "ada")]).await;

        taken(upsert(&server, vec![in_teams("new", "ada", &["blue", "pink"])]).await, "users[0].name");
        taken(upsert(&server, vec![in_teams("x", "X", &["t"]), in_teams("y", "x", &["u", "t"])]).await, "users[1].name");
        taken(set(&server, "b", json!({"teams": ["blue", "red"]})).await, "users[0].set.teams");
        taken(upsert(&server, vec![in_teams("c", "Ada", &["green"])]).await, "users[0].name");

        set(&server, "a", json!({"teams": ["green"]})).await.answered();
        set(&server, "b", json!({"teams": ["blue", "red"]})).await.answered();
    }

    async fn deactivation_frees_a_name_and_reactivation_takes_it_back_or_another(server: TestServer) {
        server.keep_names_unique(App).await;
        server.upsert(vec![named("a", "Ada"), named("b", "Bob")]).await;
        server.deactivate("a").await;
        reactivate(&server, "a", "").await.answered();

        server.deactivate("a").await;
        server.upsert(vec![named("b", "Ada")]).await;
        taken(reactivate(&server, "a", "").await, "name");
        taken(reactivate(&server, "a", "a.d.a").await, "name");
        assert!(server.user("a").await.deactivated_at.is_some());
        let back = reactivate(&server, "a", "Countess").await.answered().user.unwrap();
        assert_eq!((back.name.as_str(), back.deactivated_at), ("Countess", None));
        taken(upsert(&server, vec![named("b", "countess")]).await, "users[0].name");
    }

    async fn in_bulk_those_come_back_whose_names_are_free(server: TestServer) {
        server.keep_names_unique(App).await;
        let ids: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        server.upsert(ids.iter().map(|id| named(id, id)).collect()).await;
        let task = server.deactivate_all(&ids).await;
        server.completed(&task).await;
        server.upsert(vec![named("x", "B")]).await;

        let task = server.reactivate_all(&ids).await;
        server.completed(&task).await;

        let items = server.items(&task.task_id).await;
        let reasons: Vec<&str> = items.iter().map(|item| item.reason.as_str()).collect();
        assert_eq!(reasons, ["", "NAME_TAKEN", "", ""]);
        assert!(server.user("b").await.deactivated_at.is_some());
        assert_eq!(server.user("c").await.deactivated_at, None);
    }

    async fn an_import_refuses_the_items_whose_names_are_taken(server: TestServer) {
        server.keep_names_unique(App).await;
        server.upsert(vec![named("a", "Ada"), named("b", "Bob")]).await;
        let items = [
            json!({"id": "c", "name": "ADA"}),
            json!({"id": "b", "name": "Robert"}),
            json!({"id": "d", "name": "Bob"}),
            json!({"id": "e", "name": "bob"}),
            json!({"id": "f", "name": "Ada", "deactivated_at": "2024-05-01T12:00:00Z"}),
            json!({"id": "g g"}),
            json!({"id": "h", "name": "Ada", "blocked_user_ids": ["a"]}),
        ];
        let tally = server.import_users("names", &items).await;
        let refused: Vec<(i64, &str, &str)> = tally
            .refused
            .iter()
            .map(|refusal| (refusal.offset, refusal.reason.as_str(), refusal.field.as_str()))
            .collect();
        assert_eq!(tally.accepted, 3);
        let name_taken = |offset| (offset, "NAME_TAKEN", "name");
        assert_eq!(refused, [name_taken(0), name_taken(3), (5, "INVALID_FIELD", "id"), name_taken(6)]);
        assert_eq!(server.user("d").await.name, "Bob");
    }

    async fn deletion_frees_a_name(server: TestServer) {
        server.keep_names_unique(App).await;
        server.import_users("gone", &[json!({"id": "gone", "name": "Ada", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![named("a", "Ada")]).await;
    }

    async fn names_that_exist_stay_and_count_when_it_is_turned_on(server: TestServer) {
        server.upsert(vec![named("a", "Ada"), named("b", "Ada"), named("c", "Bob")]).await;
        for among in [App, Nobody, Team, App] {
            server.keep_names_unique(among).await;
        }
        taken(upsert(&server, vec![named("new", "ada")]).await, "users[0].name");
        taken(upsert(&server, vec![named("c", "ada")]).await, "users[0].name");
        server.upsert(vec![pb::UserInput { image: "i".to_owned(), ..named("a", "Ada") }]).await;
        set(&server, "b", json!({"color": "red"})).await.answered();
        server.upsert(vec![named("a", "Alma"), named("b", "Beata")]).await;
        server.upsert(vec![named("new", "Ada")]).await;
    }

    async fn names_that_earlier_versions_have_written_count_too(backend: Backend) {
        let server = backend.start().await;
        let ids = user_ids("u", 1_200);
        for some in ids.chunks(400) {
            server.upsert(some.iter().map(|id| named(id, id)).collect()).await;
        }
        let place = server.place().clone();
        server.stop().await;
        // As they leave a row: without a key, or with that of the name before.
        backend.meddle(&place, "UPDATE users SET name_key = NULL").await;
        backend.meddle(&place, "UPDATE users SET name_key = 'free' WHERE id = 'u-00007'").await;
        let server = backend.try_start_at(&place).await.expect("the server starts");
        server.keep_names_unique(App).await;

        for name in ["U 00000", "u-00007", "U-01199"] {
            taken(upsert(&server, vec![named("new", name)]).await, "users[0].name");
        }
        server.upsert(vec![named("new", "free")]).await;
        assert_eq!(server.user("u-00000").await.version, 1, "no change that one could see");
    }

    async fn of_25_racing_writers_one_gets_the_name(server: TestServer) {
        server.seed(&user_ids("u", 25)).await;
        for (among, round) in [(App, 0), (Team, 1)] {
            server.keep_names_unique(among).await;
            let spellings = ["Ada Lovelace", "ada.lovelace", "ADA LOVELACE", "AdaLovelace", "a d a lovelace"];
            let write = |number: usize| {
                let caller = server.on_another_connection();
                let name = format!("{} {round}", spellings[number % spellings.len()]);
                let id = format!("u-{number:05}");
                async move {
                    // By each of the ways in turn: new users, whole users, parts of users.
                    match number % 3 {
                        0 => upsert(&caller, vec![in_teams(&format!("new-{round}-{number}"), &name, &["red"])]).await.map(drop),
                        1 => upsert(&caller, vec![in_teams(&id, &name, &["red", "blue"])]).await.map(drop),
                        _ => set(&caller, &id, json!({"name": name, "teams": ["red"]})).await.map(drop),
                    }
                }
            };

            let ended = futures_util::future::join_all((0..25).map(write)).await;

            assert_eq!(ended.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{ended:?}");
            for lost in ended.into_iter().filter(Result::is_err) {
                lost.map(Response::new).refused(Code::AlreadyExists, "NAME_TAKEN");
            }
        }
    }

    async fn racing_batches_with_the_same_names_do_not_wait_in_a_circle(server: TestServer) {
        server.keep_names_unique(App).await;
        let write = |number: usize| {
            let caller = server.on_another_connection();
            async move {
                let mut batch: Vec<_> =
                    (0..20).map(|name| named(&format!("u-{number}-{name}"), &format!("name {name}"))).collect();
                batch.rotate_left(number);
                upsert(&caller, batch).await
            }
        };
        let ended = futures_util::future::join_all((0..16).map(write)).await;
        assert_eq!(ended.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for lost in ended.into_iter().filter(Result::is_err) {
            lost.refused(Code::AlreadyExists, "NAME_TAKEN");
        }
    }

    async fn racing_reactivations_of_one_name_have_one_winner(server: TestServer) {
        server.upsert((0..8).map(|number| named(&format!("u{number}"), "Ada")).collect()).await;
        for number in 0..8 {
            server.deactivate(&format!("u{number}")).await;
        }
        server.keep_names_unique(App).await;
        let call = |number: usize| {
            let caller = server.on_another_connection();
            async move { reactivate(&caller, &format!("u{number}"), "").await }
        };
        let ended = futures_util::future::join_all((0..8).map(call)).await;
        assert_eq!(ended.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}

on_postgres! {
    async fn of_writers_at_two_replicas_one_gets_the_name(backend: Backend) {
        let servers = backend.start_together(2).await;
        servers[0].keep_names_unique(App).await;
        for round in 0..10 {
            let write = |number: usize| {
                let caller = servers[number % 2].on_another_connection();
                async move { upsert(&caller, vec![named(&format!("u-{round}-{number}"), &format!("name {round}"))]).await }
            };
            let ended = futures_util::future::join_all((0..8).map(write)).await;
            assert_eq!(ended.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        }
    }
}
