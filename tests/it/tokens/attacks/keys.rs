//! Which key judges a token: one of the app's own that was not retired, and none that can be guessed.

use tonic::Code;

use super::{ADA, Attack, Forge, attack, knock, refused};
use crate::harness::{Answer, Backend, Credentials, TestServer, each_backend, fields_of, pb};

const BARE: &str = r#"{"alg":"HS256"}"#;
const OWN: &str = "kP3v9XqL0sT7mZ2bR5nW8yC1dF4gH6jK";

each_backend! {
    async fn a_key_of_another_app_opens_nothing_here(backend: Backend) {
        let server = backend.start().await;
        let here = Forge::of(&server).await;
        let other = backend.create_app("other", server.place()).await;
        let there = Forge(other.clone());
        let under_theirs = Forge(Credentials { kid: other.kid.clone(), secret: here.0.secret.clone() });
        let under_ours = Forge(Credentials { kid: here.0.kid.clone(), secret: other.secret.clone() });
        let attacks = [ADA, r#"{"server":true}"#].into_iter().flat_map(|claims| {
            let good = here.claims(claims);
            [
                attack("our secret under their kid", under_theirs.claims(claims), &good),
                attack("their secret under our kid", under_ours.claims(claims), &good),
                attack("a good token of theirs", there.claims(claims), &good).within_requests_only(),
                // Nothing is said of what is wrong with it: that would tell of another app's key.
                attack("a bad token of theirs", there.claims("{}"), &good).within_requests_only(),
                attack("a bad token of theirs and no kid", there.token(BARE, "{}"), &good).within_requests_only(),
                attack("their secret and no kid", there.token(BARE, claims), &here.token(BARE, claims))
                    .within_requests_only(),
            ]
        });
        refused(&server, attacks.collect::<Vec<Attack>>()).await;
    }

    async fn the_api_key_beside_a_token_without_kid_chooses_no_app_for_it(backend: Backend) {
        let server = backend.start().await;
        let here = Forge::of(&server).await;
        let there = Forge(backend.create_app("other", server.place()).await);
        for claims in [ADA, r#"{"server":true}"#] {
            let (ours, theirs) = (here.token(BARE, claims), there.token(BARE, claims));
            let with = |token: &str, key: &str| server.with_token(token).with_header("x-api-key", key);
            knock(&with(&ours, &here.0.kid)).await.answered();
            for (token, key) in [(&ours, &there.0.kid), (&theirs, &here.0.kid)] {
                knock(&with(token, key)).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
            }
            let both = format!("{},{}", here.0.kid, there.0.kid);
            for key in ["nobody", &here.0.kid[1..], &here.0.kid.to_uppercase(), &both, &here.0.secret] {
                knock(&with(&ours, key)).await.refused(Code::Unauthenticated, "API_KEY_UNKNOWN");
            }
            // What the header of a token says counts, and not what stands beside it.
            let named = Forge(Credentials { kid: here.0.kid.clone(), secret: there.0.secret.clone() });
            let named = named.claims(claims);
            knock(&with(&named, &there.0.kid)).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
            knock(&with(&here.claims(claims), &there.0.kid)).await.answered();
        }
    }

    async fn a_retired_key_opens_nothing(server: TestServer) {
        let old = Forge::of(&server).await;
        let answer = server.apps().create_key(pb::CreateKeyRequest::default()).await.answered();
        let new = Forge(Credentials { kid: answer.key.unwrap().kid, secret: answer.secret });
        let by_new = server.of_app(new.0.clone());
        let renamed = Forge(Credentials { kid: new.0.kid.clone(), secret: old.0.secret.clone() });
        let attacks = || [ADA, r#"{"server":true}"#].into_iter().flat_map(|claims| {
            let good = new.claims(claims);
            [
                attack("under its name", old.claims(claims), &good),
                attack("under the name of the new key", renamed.claims(claims), &good),
                attack("under no name", old.token(BARE, claims), &new.token(BARE, claims)).within_requests_only(),
            ]
        });
        for Attack { what, forged, .. } in attacks().filter(|attack| !attack.what.contains("new key")) {
            assert!(super::verify(&by_new, &forged).await.0.is_ok(), "good {what} as long as the key is");
        }
        by_new.apps().retire_key(pb::RetireKeyRequest { kid: old.0.kid.clone() }).await.answered();
        refused(&by_new, attacks()).await;
    }

    async fn secrets_that_can_be_guessed_make_no_keys(backend: Backend) {
        let server = backend.start().await;
        let weak = [
            "hunter2".to_owned(),
            OWN[1..].to_owned(),
            OWN.repeat(17),
            " ".repeat(32),
            "0".repeat(64),
            "password".repeat(4),
            "abcdefghi".repeat(7),
            "0123456789abcdef0123456789abcdef".to_owned(),
            "A-String-Secret-At-Least-256-Bits-Long".to_owned(),
            format!("{OWN} "),
            format!("{OWN}\u{e9}"),
            format!("{OWN}\t"),
            format!("{OWN}\n{OWN}"),
        ];
        for (number, secret) in weak.iter().enumerate() {
            let request = pb::CreateKeyRequest { secret: secret.clone(), verify_only: false };
            let status = server.apps().create_key(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["secret"], "{secret}");

            let app = format!("weak-{number}");
            let told = backend.try_create_app(&app, server.place(), secret).await.unwrap_err();
            assert!(told.contains("32 to 512") && !told.contains(secret.as_str()), "{secret}: {told}");
        }
        let empty = backend.try_create_app("empty", server.place(), "\n").await.unwrap_err();
        assert!(empty.contains("32 to 512"), "an empty file is no wish for a secret that is made: {empty}");

        // With a line end behind, as editors leave it.
        let strong = backend.try_create_app("strong", server.place(), &format!("{OWN}\n")).await.unwrap();
        assert_eq!(strong.secret, OWN);
        knock(&server.of_app(strong)).await.answered();
        let request = pb::CreateKeyRequest { secret: OWN.to_owned(), verify_only: false };
        let kid = server.apps().create_key(request).await.answered().key.unwrap().kid;
        knock(&server.of_app(Credentials { kid, secret: OWN.to_owned() })).await.answered();
    }
}
