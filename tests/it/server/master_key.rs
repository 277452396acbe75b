//! The master key: what it seals opens after it was rotated, servers go on meanwhile, and the old one opens
//! nothing in the end.

use std::path::Path;
use std::process::Output;

use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, Credentials, Kind, Place, each_backend, eventually, on_postgres, pb, program,
    user,
};

const NEW: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

async fn run(place: &Place, args: &[&str], key_file: Option<&Path>) -> Output {
    let mut command = program(place);
    command.args(args).arg("--data-dir").arg(&place.data_dir);
    if let Some(file) = key_file {
        command.env_remove("USHER_MASTER_KEY").env("USHER_MASTER_KEY_FILE", file);
    }
    command.stderr(std::process::Stdio::piped()).output().await.unwrap()
}

async fn succeeds(place: &Place, args: &[&str], key_file: Option<&Path>) -> String {
    let output = run(place, args, key_file).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {told}");
    format!("{}{told}", String::from_utf8_lossy(&output.stdout))
}

/// What depends on the master key: signing, judging, page tokens.
async fn works(caller: &Caller, before: &str) {
    let after = caller.user_token("ada").await;
    for token in [before, &after] {
        let request = pb::VerifyTokenRequest { token: token.to_owned() };
        assert!(caller.tokens().verify_token(request).await.answered().valid);
    }
}

async fn with_another_key(caller: &Caller) -> Credentials {
    let answer = caller.apps().create_key(pb::CreateKeyRequest::default()).await.answered();
    Credentials { kid: answer.key.unwrap().kid, secret: answer.secret }
}

async fn first_page(caller: &Caller) -> pb::QueryUsersResponse {
    let request = pb::QueryUsersRequest { limit: 1, ..Default::default() };
    caller.users().query_users(request).await.answered()
}

async fn second_page(caller: &Caller, page_token: &str) {
    let request = pb::QueryUsersRequest { limit: 1, page_token: page_token.to_owned(), ..Default::default() };
    assert_eq!(caller.users().query_users(request).await.answered().users.len(), 1);
}

async fn session(caller: &Caller) -> String {
    let request = pb::ConnectUserRequest { token: caller.user_token("ada").await, anonymous: false };
    caller.users().connect_user(request).await.answered().session_id
}

/// Why a session has ended, where it has.
async fn ended(caller: &Caller, session: &str) -> Option<String> {
    let request = pb::KeepAliveRequest { session_ids: vec![session.to_owned()] };
    let ended = caller.users().keep_alive(request).await.answered().ended;
    ended.into_iter().next().map(|ended| ended.reason)
}

/// Rotates the master key of the test's database under running servers, and tells where the new one lies.
async fn rotate(backend: &Backend, place: &Place) -> Option<std::path::PathBuf> {
    if backend.kind() == Kind::Sqlite {
        let told = succeeds(place, &["master-key", "rotate"], None).await;
        assert!(told.contains("master.key"), "{told}");
        return None;
    }
    let file = backend.dir().join("new-master.key");
    std::fs::write(&file, NEW).unwrap();
    let told =
        succeeds(place, &["master-key", "rotate", "--new-master-key-file", file.to_str().unwrap()], None)
            .await;
    assert!(told.contains("master-key retire"), "it says what is left to do: {told}");
    Some(file)
}

each_backend! {
    async fn a_rotation_under_a_running_server_disturbs_nobody_and_lasts(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada"), user("grace")]).await;
        let before = server.user_token("ada").await;
        let page = first_page(&server).await;
        let old_key = std::fs::read(server.place().data_dir.join("master.key")).ok();

        let new = rotate(&backend, server.place()).await;

        works(&server, &before).await;
        let made_since = with_another_key(&server).await;
        works(&server.of_app(made_since.clone()), &before).await;
        second_page(&server, &page.next_page_token).await;

        let mut place = server.place().clone();
        server.stop().await;
        place.master_key_file = new.or(place.master_key_file);
        let server = backend.try_start_at(&place).await.expect("the new master key opens the database");
        works(&server, &before).await;
        works(&server.of_app(made_since), &before).await;
        if backend.kind() == Kind::Postgres {
            // Until the old master key is retired, which the start does on SQLite.
            second_page(&server, &page.next_page_token).await;
        }
        if let Some(old_key) = old_key {
            assert_ne!(std::fs::read(place.data_dir.join("master.key")).unwrap(), old_key);
        }
    }

    async fn an_old_master_key_opens_nothing_once_it_was_retired(backend: Backend) {
        let server = backend.start_with(&[]).await;
        let place = server.place().clone();
        server.stop().await;
        let kept = backend.dir().join("kept.key");
        let old = place.master_key_file.clone().unwrap_or_else(|| place.data_dir.join("master.key"));
        std::fs::copy(old, &kept).unwrap();
        if let Some(new) = rotate(&backend, &place).await {
            let unfinished = backend.dir().join("third.key");
            std::fs::write(&unfinished, NEW.replace("ff", "fe")).unwrap();
            let third = ["master-key", "rotate", "--new-master-key-file", unfinished.to_str().unwrap()];
            assert_eq!(run(&place, &third, None).await.status.code(), Some(1), "one rotation at a time");
            let told = succeeds(&place, &["master-key", "retire"], Some(&new)).await;
            assert!(told.contains(": 1"), "{told}");
            assert!(succeeds(&place, &["master-key", "retire"], Some(&new)).await.contains(": 0"));
        }
        if backend.kind() == Kind::Sqlite {
            // Nobody else can use the database: the next start retires it.
            backend.try_start_at(&place).await.expect("the server starts with the new one").stop().await;
        }
        let refused = run(&place, &["app", "list"], Some(&kept)).await;
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("does not fit"), "{refused:?}");
    }

    async fn what_the_old_master_key_sealed_is_refused_once_it_was_retired(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada"), user("grace")]).await;
        let before = server.user_token("ada").await;
        let (page, session) = (first_page(&server).await.next_page_token, session(&server).await);
        let new = rotate(&backend, server.place()).await;
        works(&server, &before).await;
        second_page(&server, &page).await;
        assert_eq!(ended(&server, &session).await, None, "both keys are in use");
        // The keys of the app are read anew now, so the server has heard of the rotation.
        works(&server.of_app(with_another_key(&server).await), &before).await;
        let since = self::session(&server).await;

        let mut place = server.place().clone();
        server.stop().await;
        place.master_key_file = new.or(place.master_key_file);
        if backend.kind() == Kind::Postgres {
            succeeds(&place, &["master-key", "retire"], place.master_key_file.as_deref()).await;
        }
        let server = backend.try_start_at(&place).await.expect("the new master key opens the database");

        assert_eq!(ended(&server, &session).await.as_deref(), Some("SESSION_ENDED"));
        let request = pb::QueryUsersRequest { limit: 1, page_token: page, ..Default::default() };
        server.users().query_users(request).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        assert_eq!(ended(&server, &since).await, None, "what the new one sealed goes on");
        works(&server, &before).await;
        let server = server.restart().await;
        works(&server, &before).await;
        assert_eq!(ended(&server, &since).await, None);
    }

    async fn a_rotation_can_be_taken_back(backend: Backend) {
        let server = backend.start_with(&[]).await;
        server.upsert(vec![user("ada")]).await;
        let before = server.user_token("ada").await;
        let place = server.place().clone();
        server.stop().await;
        let file = backend.dir().join("new.key");
        std::fs::write(&file, NEW).unwrap();
        let rotate = ["master-key", "rotate", "--new-master-key-file", file.to_str().unwrap()];
        succeeds(&place, &rotate, None).await;
        succeeds(&place, &rotate, None).await;
        succeeds(&place, &["master-key", "retire"], None).await;
        let server = backend.try_start_at(&place).await.expect("the one before is in use again");
        works(&server, &before).await;
        assert_eq!(run(&place, &["app", "list"], Some(&file)).await.status.code(), Some(2));
    }

    async fn master_keys_that_cannot_be_used_are_refused(backend: Backend) {
        let server = backend.start_with(&[]).await;
        let place = server.place().clone();
        server.stop().await;
        let file = backend.dir().join("weak.key");
        for weak in ["short", "", &"0".repeat(64)] {
            std::fs::write(&file, weak).unwrap();
            let rotate = ["master-key", "rotate", "--new-master-key-file", file.to_str().unwrap()];
            let output = run(&place, &rotate, None).await;
            assert_eq!(output.status.code(), Some(2), "{weak}: {output:?}");
        }
        let missing = ["master-key", "rotate", "--new-master-key-file", "/nowhere/at/all"];
        assert_eq!(run(&place, &missing, None).await.status.code(), Some(2));
        let old = place.master_key_file.clone().unwrap_or_else(|| place.data_dir.join("master.key"));
        let same = ["master-key", "rotate", "--new-master-key-file", old.to_str().unwrap()];
        let output = run(&place, &same, None).await;
        assert!(String::from_utf8_lossy(&output.stderr).contains("in use"), "{output:?}");
    }
}

on_postgres! {
    async fn replicas_go_over_to_the_new_master_key_one_by_one(backend: Backend) {
        let first = backend.start_with(&[]).await;
        first.upsert(vec![user("ada")]).await;
        let before = first.user_token("ada").await;
        let new = rotate(&backend, first.place()).await;

        // One replica has the old master key still, the other one the new one.
        let mut place = backend.place();
        place.master_key_file = new;
        let second = backend.try_start_at(&place).await.unwrap();
        works(&second, &before).await;
        let of_second = with_another_key(&second).await;
        works(&first.of_app(of_second), &before).await;
        let of_first = with_another_key(&first).await;
        works(&second.of_app(of_first), &before).await;

        let sealed_before = first_page(&second).await.next_page_token;
        succeeds(&place, &["master-key", "retire"], place.master_key_file.as_deref()).await;
        works(&first, &before).await;
        works(&second, &before).await;
        second_page(&second, &sealed_before).await;
    }

    async fn a_replica_that_runs_on_hears_of_the_retirement(backend: Backend) {
        let first = backend.start_with(&[]).await;
        first.upsert(vec![user("ada"), user("grace")]).await;
        let (page, session) = (first_page(&first).await.next_page_token, session(&first).await);
        let new = rotate(&backend, first.place()).await;
        let mut place = backend.place();
        place.master_key_file = new;
        let second = backend.try_start_at(&place).await.unwrap();
        second_page(&second, &page).await;
        assert_eq!(ended(&second, &session).await, None);

        succeeds(&place, &["master-key", "retire"], place.master_key_file.as_deref()).await;

        eventually("the session refused", || async { ended(&second, &session).await }).await;
        let request = pb::QueryUsersRequest { limit: 1, page_token: page, ..Default::default() };
        second.users().query_users(request).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn of_replicas_with_different_master_keys_one_sets_the_database_up(backend: Backend) {
        let mut places = [backend.place(), backend.place()];
        let file = backend.dir().join("other.key");
        std::fs::write(&file, NEW).unwrap();
        places[1].master_key_file = Some(file);
        let [one, other] = &places;
        let (one, other) = tokio::join!(backend.try_start_at(one), backend.try_start_at(other));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "the other one is told so");
    }
}
