//! Users whose terms are missing or old are found all the same, and get their terms in the background.

use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use usher::storage::entity::user;
use usher::storage::terms::write::is_missing;

use super::query::found;
use crate::harness::{Backend, Caller, Place, each_backend, eventually, on_postgres, pb, struct_of, user};

/// Nobody writes missing terms.
const NOBODY_WRITES: &str = "missing_terms=return";
/// As the upgrade that brings terms leaves a database.
const FORGET: &str = "UPDATE users SET terms_version = NULL; DELETE FROM user_terms";

fn query(filter: &Value) -> pb::QueryUsersRequest {
    let by_id = pb::SortKey { field: "id".to_owned(), ..Default::default() };
    pb::QueryUsersRequest { filter: Some(struct_of(filter.clone())), sort: vec![by_id], ..Default::default() }
}

async fn seed(caller: &Caller) {
    let someone = |id: &str, name: &str, custom: Value| pb::UserInput {
        name: name.to_owned(),
        teams: vec!["red".to_owned()],
        custom: Some(struct_of(custom)),
        ..user(id)
    };
    caller
        .upsert(vec![
            someone("ada-1", "Ada Lovelace", json!({"level": 3, "username": "countess"})),
            someone("bob-2", "Bob", json!({"level": 1, "tags": ["x"]})),
            user("cy-3"),
        ])
        .await;
}

async fn check(caller: &Caller) {
    let cases: [(Value, &[&str]); 9] = [
        (json!({"name": {"$autocomplete": "LOVE"}}), &["ada-1"]),
        (json!({"name": {"$autocomplete": "a b"}}), &[]),
        (json!({"id": {"$autocomplete": "3"}}), &["cy-3"]),
        (json!({"username": {"$autocomplete": "c"}}), &["ada-1"]),
        (json!({"$nor": [{"name": {"$autocomplete": "b"}}]}), &["ada-1", "cy-3"]),
        (json!({"level": {"$gte": 1}, "teams": "red"}), &["ada-1", "bob-2"]),
        (json!({"tags": {"$contains": "x"}}), &["bob-2"]),
        (json!({"name": "Ada Lovelace"}), &["ada-1"]),
        (json!({"role": "user"}), &["ada-1", "bob-2", "cy-3"]),
    ];
    for (filter, expected) in cases {
        let request = pb::QueryUsersRequest { with_total: true, ..query(&filter) };
        let answer = caller.users().query_users(request).await.unwrap().into_inner();
        assert_eq!(
            answer.users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(),
            expected,
            "{filter}"
        );
        assert_eq!(answer.total, Some(i64::try_from(expected.len()).unwrap()), "{filter}");
    }
}

async fn without_terms(backend: &Backend, place: &Place) -> u64 {
    let store = backend.store(place).await;
    let db = store.read(None).await.unwrap();
    let count = user::Entity::find().filter(is_missing()).count(&db).await.unwrap();
    drop(db);
    store.close().await;
    count
}

each_backend! {
    async fn users_without_terms_are_found_and_get_them_in_the_background(backend: Backend) {
        let launch = backend.launch();
        let server = launch.clone().failpoints(NOBODY_WRITES).start().await;
        seed(&server).await;
        check(&server).await;
        let launch = server.kill().await;
        for statement in FORGET.split("; ") {
            backend.meddle(launch.place(), statement).await;
        }

        let server = launch.start().await;
        check(&server).await;
        // Whoever is written meanwhile has its terms at once.
        server.upsert(vec![pb::UserInput { name: "Dee".to_owned(), ..user("dee") }]).await;
        assert_eq!(found(&server, query(&json!({"name": {"$autocomplete": "d"}}))).await, ["dee"]);
        let launch = server.kill().await;
        assert_eq!(without_terms(&backend, launch.place()).await, 3);

        let server = launch.clone().without_failpoints().start().await;
        let done = async || (without_terms(&backend, launch.place()).await == 0).then_some(());
        eventually("terms of everybody", done).await;
        check_words_are_those_of_now(&server).await;
    }

    async fn names_whose_letters_an_earlier_usher_took_for_words_are_found_as_runs(backend: Backend) {
        let named = |id: &str, name: &str| pb::UserInput { name: name.to_owned(), ..user(id) };
        let server = backend.launch().failpoints(NOBODY_WRITES).start().await;
        server.upsert(vec![named("ada", "Ada"), named("ha", "花中子田"), named("ta", "田中花子")]).await;
        let launch = server.kill().await;
        let letters = ["田", "中", "花", "子"];
        let rows: Vec<String> = ["ha", "ta"]
            .iter()
            .flat_map(|id| letters.iter().map(move |letter| format!("(1, '{id}', '$name', '{letter}')")))
            .collect();
        let insert = format!("INSERT INTO user_terms (app_id, user_id, path, value) VALUES {}", rows.join(", "));
        for statement in [
            "UPDATE users SET terms_version = version",
            "DELETE FROM user_terms WHERE path = '$name' AND user_id IN ('ha', 'ta')",
            &insert,
        ] {
            backend.meddle(launch.place(), statement).await;
        }
        let check = async |server: &Caller| {
            for (typed, expected) in [("田中", &["ta"][..]), ("中", &["ha", "ta"]), ("田花", &[]), ("ad", &["ada"])] {
                let filter = json!({"name": {"$autocomplete": typed}});
                assert_eq!(found(server, query(&filter)).await, expected, "{typed}");
            }
        };

        let server = launch.start().await;
        check(&server).await;
        let launch = server.kill().await;
        assert_eq!(without_terms(&backend, launch.place()).await, 2, "what is ASCII is as it was");
        let server = launch.clone().without_failpoints().start().await;
        let done = async || (without_terms(&backend, launch.place()).await == 0).then_some(());
        eventually("terms of everybody", done).await;
        check(&server).await;
    }

    async fn a_changed_state_leaves_the_terms_good(backend: Backend) {
        let server = backend.start().await;
        seed(&server).await;
        server.deactivate("ada-1").await;
        let request = pb::RevokeUserTokensRequest { user_ids: vec!["bob-2".to_owned()], ..Default::default() };
        server.tokens().revoke_user_tokens(request).await.unwrap();
        let place = server.place().clone();
        server.stop().await;
        assert_eq!(without_terms(&backend, &place).await, 0);
    }
}

async fn check_words_are_those_of_now(server: &Caller) {
    let named = |name: &str| pb::UserInput { name: name.to_owned(), ..user("dee") };
    server.upsert(vec![named("Grace Hopper")]).await;
    assert_eq!(found(server, query(&json!({"name": {"$autocomplete": "hop"}}))).await, ["dee"]);
    assert!(found(server, query(&json!({"name": {"$autocomplete": "d"}}))).await.is_empty());
    server.deactivate("dee").await;
    let request =
        pb::ReactivateUserRequest { user_id: "dee".to_owned(), name: "Eve".to_owned(), ..Default::default() };
    server.users().reactivate_user(request).await.unwrap();
    assert_eq!(found(server, query(&json!({"name": {"$autocomplete": "eve"}}))).await, ["dee"]);
    server.import_users("again", &[json!({"id": "dee", "name": "Flo", "level": 9})]).await;
    assert_eq!(found(server, query(&json!({"name": {"$autocomplete": "flo"}, "level": 9}))).await, ["dee"]);
    assert!(found(server, query(&json!({"name": {"$autocomplete": "eve"}}))).await.is_empty());
}

on_postgres! {
    async fn what_an_earlier_usher_writes_beside_is_found_as_it_is_now(backend: Backend) {
        let server = backend.launch().failpoints(NOBODY_WRITES).start().await;
        seed(&server).await;
        let rename = "UPDATE users SET name = 'Grace', custom = '{\"level\": 9}', version = version + 1 \
                      WHERE id = 'ada-1'";
        backend.meddle(server.launch().place(), rename).await;
        for (filter, expected) in [
            (json!({"name": {"$autocomplete": "gr"}}), &["ada-1"][..]),
            (json!({"name": {"$autocomplete": "ada"}}), &[]),
            (json!({"level": 9}), &["ada-1"]),
            (json!({"level": 3}), &[]),
            (json!({"username": {"$autocomplete": "countess"}}), &[]),
        ] {
            assert_eq!(found(&server, query(&filter)).await, expected, "{filter}");
        }
        // A state that this usher changes does not make old terms good.
        server.deactivate("ada-1").await;
        let request = pb::ReactivateUserRequest { user_id: "ada-1".to_owned(), ..Default::default() };
        server.users().reactivate_user(request).await.unwrap();
        assert_eq!(found(&server, query(&json!({"name": {"$autocomplete": "gr"}}))).await, ["ada-1"]);
    }
}
