//! The claims by which usher knows what it minted itself. Whoever holds the secret can write them too, and
//! must gain nothing by it: such a token is revoked as any other.

use serde_json::{Value, json};
use tonic::Code;

use super::{Attack, Forge, attack, claims_of, encode, knock, refused};
use crate::harness::{Answer, TestServer, each_backend, now, pb, user};

const EPOCHS: [&str; 2] = ["usher_user_epoch", "usher_app_epoch"];

/// `claims` with one of them replaced.
fn with(claims: &Value, name: &str, value: impl Into<Value>) -> String {
    let mut claims = claims.clone();
    claims[name] = value.into();
    claims.to_string()
}

fn without(claims: &Value, names: &[&str]) -> String {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    claims.to_string()
}

each_backend! {
    async fn what_was_minted_here_says_so_in_full_or_not_at_all(server: TestServer) {
        let forge = Forge::of(&server).await;
        let minted = server.user_token("ada").await;
        let claims = claims_of(&minted);
        let at = claims["usher_minted_at"].as_i64().unwrap();
        let names = [EPOCHS[0], EPOCHS[1], "usher_minted_at"];
        let elsewhere = forge.claims(without(&claims, &names));
        let mut attacks: Vec<Attack> = Vec::new();
        for name in names {
            let others: Vec<&str> = names.into_iter().filter(|other| *other != name).collect();
            attacks.push(attack(format!("no {name}"), forge.claims(without(&claims, &[name])), &minted).naming("`usher_"));
            attacks.push(attack(format!("{name} alone"), forge.claims(without(&claims, &others)), &elsewhere).naming("`usher_"));
            for value in json!(["1", "", 1.5, 1.0, null, true, [1], {}, u64::MAX, 1e19]).as_array().unwrap() {
                let forged = forge.claims(with(&claims, name, value.clone()));
                attacks.push(attack(format!("{name} {value}"), forged, &minted).naming(format!("`{name}`")));
            }
        }
        let times = [at - 1_000_000, at + 1_000_000, at + 3_600_000_000, -1, 0, i64::MIN, i64::MAX];
        attacks.extend(times.map(|time| {
            let forged = forge.claims(with(&claims, "usher_minted_at", time));
            attack(format!("minted {} us apart from iat", time.saturating_sub(at)), forged, &minted).naming("`iat`")
        }));
        let forged = forge.claims(without(&claims, &["iat"]));
        attacks.push(attack("minted here without iat", forged, &minted).naming("`iat`"));
        refused(&server, attacks).await;
    }

    async fn no_epoch_is_ahead_of_its_time(server: TestServer) {
        let forge = Forge::of(&server).await;
        let minted = server.user_token("ada").await;
        let claims = claims_of(&minted);
        let mut attacks: Vec<Attack> = Vec::new();
        for name in EPOCHS {
            let current = claims[name].as_i64().unwrap();
            for epoch in [current + 1, current + 1_000, i64::MAX, -1, i64::MIN] {
                let forged = forge.claims(with(&claims, name, epoch));
                attacks.push(attack(format!("{name} {epoch}"), forged, &minted).because("TOKEN_REVOKED"));
            }
        }
        refused(&server, attacks).await;
    }

    async fn only_what_usher_minted_may_be_dated_ahead(server: TestServer) {
        let forge = Forge::of(&server).await;
        server.upsert(vec![user("grace")]).await;
        let minted = server.user_token("ada").await;
        let claims = claims_of(&minted);
        let proof = claims["usher_proof"].as_str().unwrap().to_owned();
        let of_grace = claims_of(&server.user_token("grace").await)["usher_proof"].clone();
        let ahead = now() + 60;
        let mut later = claims;
        later["iat"] = ahead.into();
        later["usher_minted_at"] = (ahead * 1_000_000).into();
        let proofs = [
            ("its own, for another time", proof.as_str().into()),
            ("that of another user", of_grace),
            ("zeros", encode([0; 32]).into()),
            ("half of its own", proof[..22].into()),
            ("nothing", "".into()),
            ("no text", json!(1)),
            ("a list of its own", json!([proof])),
            ("true", json!(true)),
            ("null", json!(null)),
        ];
        let with_proof = proofs.into_iter().map(|(what, proof)| {
            let forged = forge.claims(with(&later, "usher_proof", proof));
            attack(format!("a minute ahead, with a proof that is {what}"), forged, &minted)
        });
        let without_proof = attack("a minute ahead", forge.claims(without(&later, &["usher_proof"])), &minted);
        let attacks = with_proof.chain([without_proof]);
        refused(&server, attacks.map(|attack| attack.because("TOKEN_NOT_YET_VALID").naming("`iat`"))).await;
    }

    async fn no_epoch_to_come_can_be_guessed(server: TestServer) {
        let forge = Forge::of(&server).await;
        let claims = claims_of(&server.user_token("ada").await);
        let ahead = |claims: &Value, name: &str| -> Vec<String> {
            let current = claims[name].as_i64().unwrap();
            (0..20).map(|step| forge.claims(with(claims, name, current + step))).collect()
        };
        let of_user = ahead(&claims, EPOCHS[0]);
        knock(&server.with_token(&of_user[0])).await.answered();
        let request = pb::RevokeUserTokensRequest { user_ids: vec!["ada".to_owned()], ..Default::default() };
        server.tokens().revoke_user_tokens(request).await.answered();
        let minted = server.user_token("ada").await;
        let attacks = of_user.into_iter().enumerate().map(|(step, forged)| {
            attack(format!("{step} ahead of its user"), forged, &minted).because("TOKEN_REVOKED")
        });
        refused(&server, attacks).await;

        // The epoch of the user is right in these.
        let of_app = ahead(&claims_of(&minted), EPOCHS[1]);
        knock(&server.with_token(&of_app[0])).await.answered();
        server.tokens().revoke_app_tokens(pb::RevokeAppTokensRequest::default()).await.answered();
        for forged in of_app {
            knock(&server.with_token(&forged)).await.refused(Code::Unauthenticated, "TOKEN_REVOKED");
        }
    }
}
