//! How a caller sends its token: in one place and one form.

use tonic::Code;

use super::{ADA, Forge, knock};
use crate::harness::{Answer, TestServer, each_backend};

each_backend! {
    async fn a_token_goes_by_bearer_or_by_itself(server: TestServer) {
        let forge = Forge::of(&server).await;
        for token in [forge.claims(ADA), forge.claims(r#"{"server":true}"#)] {
            let with = |value: &str| server.anonymous().with_header("authorization", value);
            let twins = [
                token.clone(),
                format!(" {token} "),
                format!("Bearer {token}"),
                format!("bearer {token}"),
                format!("bEARER   {token}"),
            ];
            for twin in twins {
                knock(&with(&twin)).await.answered();
            }
            let forged = [
                format!("Basic {token}"),
                format!("Token {token}"),
                format!("JWT {token}"),
                format!("DPoP {token}"),
                format!("Bearer, {token}"),
                format!("Bearer: {token}"),
                format!("Bearer:{token}"),
                format!("Bearer={token}"),
                format!("Bearer\t{token}"),
                format!("Bearer{token}"),
                format!("Bearer Bearer {token}"),
                format!("Bearer token={token}"),
                format!("Bearer \"{token}\""),
                format!("Bearer <{token}>"),
                format!("{token} Bearer"),
                format!("{token} {token}"),
                format!("{token},{token}"),
                format!("Bearer {token}, Bearer {token}"),
                format!("Bearer {token}; charset=utf-8"),
                format!("Bearer {token} junk"),
                format!("Bearer junk {token}"),
            ];
            for value in forged {
                knock(&with(&value)).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
            }
        }
    }

    async fn a_bad_token_makes_nobody_anonymous(server: TestServer) {
        knock(&server.nobody()).await.answered();
        for value in ["junk", "Bearer", "Bearer junk", "Bearer j\u{fc}nk", "\u{fc}", "Basic bm9ib2R5Og=="] {
            let caller = server.nobody().with_header("authorization", value);
            knock(&caller).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
        }
    }

    async fn a_token_elsewhere_is_none(server: TestServer) {
        let token = Forge::of(&server).await.claims(ADA);
        let bearer = format!("Bearer {token}");
        let places = [
            ("proxy-authorization", bearer.clone()),
            ("x-authorization", bearer.clone()),
            ("x-forwarded-authorization", bearer.clone()),
            ("grpc-authorization", bearer),
            ("token", token.clone()),
            ("x-api-key", token.clone()),
            ("auth-type", token.clone()),
            ("cookie", format!("authorization={token}")),
        ];
        for (name, value) in places {
            let caller = server.anonymous().with_header(name, &value);
            knock(&caller).await.refused(Code::Unauthenticated, "CREDENTIALS_MISSING");
        }
    }
}
