//! What a call token makes of its user in its calls: a role that exists. Roles that nobody can have are not
//! minted, and in tokens minted elsewhere they make a `call_member`.

use serde_json::json;
use tonic::{Code, Response, Status};

use crate::harness::{Answer, Backend, Caller, TestServer, each_backend, fields_of, pb, user};

async fn mint(caller: &Caller, role: &str) -> Result<Response<pb::CreateCallTokenResponse>, Status> {
    let request = pb::CreateCallTokenRequest {
        user_id: "ada".to_owned(),
        call_cids: vec!["default:standup".to_owned()],
        role: role.to_owned(),
        ..Default::default()
    };
    caller.tokens().create_call_token(request).await
}

/// What `VerifyToken` says that `token` makes of its user.
async fn verified_role(caller: &Caller, token: &str) -> String {
    let request = pb::VerifyTokenRequest { token: token.to_owned() };
    let verdict = caller.tokens().verify_token(request).await.answered();
    assert!(verdict.valid, "{}", verdict.message);
    verdict.role
}

/// What the user of `token` is in the call once it has connected.
async fn redeemed_role(caller: &Caller, token: &str) -> String {
    let request = pb::ConnectUserRequest { token: token.to_owned(), anonymous: false };
    caller.users().connect_user(request).await.answered();
    let request = pb::GetCallRequest { cid: "default:standup".to_owned(), ..Default::default() };
    let call = caller.content().get_call(request).await.answered().call.unwrap();
    call.members.into_iter().find(|member| member.user_id == "ada").unwrap().role
}

each_backend! {
    async fn a_role_that_does_not_exist_is_not_minted(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        for role in ["superman", "Admin", "admins", "host", "guest", "anonymous", "null", "-"] {
            let status = mint(&server, role).await.refused(Code::NotFound, "ROLE_NOT_FOUND");
            assert_eq!(fields_of(&status), ["role"], "{role}");
        }
        for role in ["", "call_member", "channel_member", "channel_moderator", "user", "moderator", "admin",
            "global_moderator", "global_admin"] {
            let token = mint(&server, role).await.answered().token;
            assert_eq!(verified_role(&server, &token).await, if role.is_empty() { "user" } else { role });
        }
    }

    async fn roles_of_members_are_the_apps_own(backend: Backend) {
        let server = backend.start().await;
        server.upsert(vec![user("ada")]).await;
        mint(&server, "host").await.refused(Code::NotFound, "ROLE_NOT_FOUND");
        server.has_call_roles(&["host"]).await;
        let token = mint(&server, "host").await.answered().token;
        assert_eq!(verified_role(&server, &token).await, "host");
        assert_eq!(redeemed_role(&server, &token).await, "host");

        let other = server.of_app(backend.create_app("other", server.place()).await);
        other.upsert(vec![user("ada")]).await;
        mint(&other, "host").await.refused(Code::NotFound, "ROLE_NOT_FOUND");
    }

    async fn a_token_minted_elsewhere_with_a_role_that_does_not_exist_makes_a_call_member(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        for role in ["superman", "guest", "anonymous"] {
            let claims = json!({"user_id": "ada", "call_cids": ["default:standup"], "role": role});
            let token = server.credentials().sign(&claims);
            assert_eq!(verified_role(&server, &token).await, "call_member", "{role}");
            assert_eq!(redeemed_role(&server, &token).await, "call_member", "{role}");
        }
        let claims = json!({"user_id": "ada", "call_cids": ["default:standup"], "role": "moderator"});
        assert_eq!(redeemed_role(&server, &server.credentials().sign(&claims)).await, "moderator");
    }
}
