//! `CreateKey`, `ListKeys`, `RetireKey`: one signs, all that are not retired verify, nobody sees a secret twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, Credentials, TestServer, aside, each_backend, fields_of, on_postgres, pb, user,
};

const OWN: &str = "kP3v9XqL0sT7mZ2bR5nW8yC1dF4gH6jK";
/// No replica may accept what a retired key has signed for longer.
const BOUND: Duration = Duration::from_secs(1);

async fn create(caller: &Caller) -> (pb::AppKey, Credentials) {
    let answer = caller.apps().create_key(pb::CreateKeyRequest::default()).await.answered();
    let key = answer.key.unwrap();
    let credentials = Credentials { kid: key.kid.clone(), secret: answer.secret };
    (key, credentials)
}

async fn list(caller: &Caller) -> Vec<pb::AppKey> {
    caller.apps().list_keys(pb::ListKeysRequest {}).await.answered().keys
}

async fn retire(caller: &Caller, kid: &str) -> pb::AppKey {
    caller.apps().retire_key(pb::RetireKeyRequest { kid: kid.to_owned() }).await.answered().key.unwrap()
}

fn kid_of(token: &str) -> String {
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
    serde_json::from_slice::<Value>(&header.unwrap()).unwrap()["kid"].as_str().unwrap().to_owned()
}

async fn is_valid(caller: &Caller, token: &str) -> bool {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    caller.tokens().verify_token(request).await.answered().valid
}

each_backend! {
    async fn a_new_key_signs_and_the_old_one_goes_on_to_verify(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let old = server.user_token("ada").await;
        assert_eq!(kid_of(&old), server.credentials().kid);

        let (key, credentials) = create(&server).await;

        assert!(key.signing && key.created_at.is_some() && key.retired_at.is_none());
        let new = server.user_token("ada").await;
        assert_eq!(kid_of(&new), key.kid);
        assert!(is_valid(&server, &old).await && is_valid(&server, &new).await);
        let signed = jsonwebtoken::decode::<Value>(
            &new,
            &jsonwebtoken::DecodingKey::from_secret(credentials.secret.as_bytes()),
            &jsonwebtoken::Validation::default(),
        );
        assert!(signed.is_ok(), "the characters of the secret are the key");
        let by_new = server.of_app(credentials);
        assert_eq!(list(&by_new).await.len(), 2, "a server token of the new key is good at once");
    }

    async fn the_list_shows_every_key_and_no_secret(server: TestServer) {
        let (key, credentials) = create(&server).await;
        let keys = list(&server).await;
        let states: Vec<(&str, bool)> = keys.iter().map(|key| (key.kid.as_str(), key.signing)).collect();
        assert_eq!(states, [(server.credentials().kid.as_str(), false), (key.kid.as_str(), true)]);
        assert!(!format!("{keys:?}").contains(&credentials.secret));
    }

    async fn a_key_that_only_verifies_does_not_sign(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let request = pb::CreateKeyRequest { verify_only: true, ..Default::default() };
        let answer = server.apps().create_key(request).await.answered();
        let key = answer.key.unwrap();
        assert!(!key.signing);
        assert_eq!(kid_of(&server.user_token("ada").await), server.credentials().kid);
        let credentials = Credentials { kid: key.kid, secret: answer.secret };
        assert!(is_valid(&server, &credentials.sign(&json!({"user_id": "ada"}))).await);
    }

    async fn a_secret_of_ones_own_is_taken_and_not_given_back(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let request = pb::CreateKeyRequest { secret: OWN.to_owned(), verify_only: false };
        let answer = server.apps().create_key(request).await.answered();
        assert_eq!(answer.secret, "");
        let own = Credentials { kid: answer.key.unwrap().kid, secret: OWN.to_owned() };
        assert!(is_valid(&server, &own.sign(&json!({"user_id": "ada"}))).await);
    }

    async fn secrets_that_can_be_guessed_are_refused(server: TestServer) {
        let (short, long) = (&OWN[1..], OWN.repeat(17));
        let weak = ["hunter2", short, &long, &"0".repeat(64), &"password".repeat(4), &format!("{OWN} "),
            &format!("{OWN}\n"), &format!("{OWN}\0"), &format!("{OWN}é"), "a-string-secret-at-least-256-bits-long"];
        for secret in weak {
            let request = pb::CreateKeyRequest { secret: secret.to_owned(), verify_only: false };
            let status = server.apps().create_key(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["secret"], "{secret}");
            assert!(!status.message().contains(secret), "a secret is not repeated, not even a bad one");
        }
        assert_eq!(list(&server).await.len(), 1);
    }

    async fn what_a_retired_key_signed_is_refused_within_the_bound(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let old = server.user_token("ada").await;
        let (_, credentials) = create(&server).await;
        let by_new = server.of_app(credentials);
        assert!(is_valid(&by_new, &old).await);

        let retired = retire(&by_new, &server.credentials().kid).await;
        let since = Instant::now();

        assert!(retired.retired_at.is_some() && !retired.signing);
        while is_valid(&by_new, &old).await {
            assert!(since.elapsed() < BOUND);
        }
        let refused = loop {
            match server.apps().list_keys(pb::ListKeysRequest {}).await {
                Err(status) => break status,
                Ok(_) => assert!(since.elapsed() < BOUND, "server tokens of a retired key too"),
            }
        };
        Err::<tonic::Response<()>, _>(refused).refused(Code::Unauthenticated, "TOKEN_INVALID");
        assert_eq!(retire(&by_new, &server.credentials().kid).await, retired, "again changes nothing");
    }

    async fn where_the_signing_key_is_retired_the_newest_of_the_others_signs(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let (second, _) = create(&server).await;
        let (third, _) = create(&server).await;
        retire(&server, &third.kid).await;
        assert_eq!(kid_of(&server.user_token("ada").await), second.kid);
    }

    async fn an_app_is_never_without_a_key(server: TestServer) {
        let kid = server.credentials().kid.clone();
        let last = server.apps().retire_key(pb::RetireKeyRequest { kid }).await;
        assert_eq!(fields_of(&last.refused(Code::FailedPrecondition, "KEY_LAST")), ["kid"]);
    }

    async fn keys_that_race_to_be_retired_leave_one(server: TestServer) {
        let (second, _) = create(&server).await;
        let kids = [server.credentials().kid.clone(), second.kid];
        let outcomes = futures_util::future::join_all(kids.map(|kid| {
            let mut client = server.apps();
            async move { client.retire_key(pb::RetireKeyRequest { kid }).await }
        }))
        .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }

    async fn keys_that_do_not_exist_cannot_be_retired(backend: Backend) {
        let server = backend.start().await;
        let other = backend.create_app("other", server.place()).await;
        for kid in ["nobody", &other.kid] {
            let refused = server.apps().retire_key(pb::RetireKeyRequest { kid: kid.to_owned() }).await;
            refused.refused(Code::NotFound, "KEY_NOT_FOUND");
        }
        for kid in ["", "a\0b", &"k".repeat(65)] {
            let refused = server.apps().retire_key(pb::RetireKeyRequest { kid: kid.to_owned() }).await;
            assert_eq!(fields_of(&refused.refused(Code::InvalidArgument, "INVALID_FIELD")), ["kid"]);
        }
    }

    async fn at_most_twenty_keys_verify_at_a_time(server: TestServer) {
        for _ in 1..20 {
            create(&server).await;
        }
        let refused = server.apps().create_key(pb::CreateKeyRequest::default()).await;
        let refused = refused.refused(Code::FailedPrecondition, "TOO_MANY_KEYS");
        assert!(refused.message().starts_with("the app default has as many keys"), "{}", refused.message());
        let signing: Vec<_> = list(&server).await.into_iter().filter(|key| key.signing).collect();
        assert_eq!(signing.len(), 1);
        retire(&server, &signing[0].kid).await;
        create(&server).await;
    }

    async fn keys_rotate_under_load_without_refusing_one_valid_token(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let (stop, judged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..8).map(|_| {
            let (caller, stop, judged) =
                (server.on_another_connection(), Arc::clone(&stop), Arc::clone(&judged));
            aside(async move {
                while !stop.load(Ordering::Relaxed) {
                    let token = caller.user_token("ada").await;
                    for _ in 0..3 {
                        assert!(is_valid(&caller, &token).await, "a token just minted is good");
                        judged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        for _ in 0..6 {
            create(&server).await;
            let seen = judged.load(Ordering::Relaxed);
            while judged.load(Ordering::Relaxed) < seen + 40 {
                tokio::task::yield_now().await;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    }

    async fn the_database_holds_no_secret_in_the_clear(backend: Backend) {
        let server = backend.start_with(&[]).await;
        let request = pb::CreateKeyRequest { secret: OWN.to_owned(), verify_only: true };
        let own = server.apps().create_key(request).await.answered().key.unwrap();
        let (_, made) = create(&server).await;
        let place = server.place().clone();
        server.stop().await;
        for secret in [OWN, &made.secret] {
            assert!(!backend.holds(&place, secret).await, "a secret lies in the database as it stands");
        }
        assert!(backend.holds(&place, &own.kid).await, "what is looked for would be found");
    }
}

on_postgres! {
    async fn a_key_is_good_on_every_replica_at_once_and_retired_within_the_bound(backend: Backend) {
        let servers = backend.start_together(2).await;
        let (here, there) = (&servers[0], &servers[1]);
        here.upsert(vec![user("ada")]).await;
        for _ in 0..5 {
            // What each replica remembers is fresh.
            let before = here.user_token("ada").await;
            assert!(is_valid(here, &before).await && is_valid(there, &before).await);
            let (key, credentials) = create(here).await;
            let signed = here.user_token("ada").await;
            assert_eq!(kid_of(&signed), key.kid);
            assert!(is_valid(there, &signed).await, "good where the key was not heard of");
            let (here, there) = (here.of_app(credentials.clone()), there.of_app(credentials));
            assert!(is_valid(&there, &signed).await, "and as a caller");

            let (next, next_credentials) = create(&here).await;
            assert!(next.signing);
            let by_next = there.of_app(next_credentials);
            retire(&here, &key.kid).await;
            let since = Instant::now();
            while is_valid(&by_next, &signed).await {
                assert!(since.elapsed() < BOUND);
            }
        }
    }
}
