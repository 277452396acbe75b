//! Who may call: the same for every RPC.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use serde_json::{Value, json};
use tonic::{Code, Response, Status};

use crate::harness::{
    Answer, Backend, Caller, Credentials, TestServer, each_backend, metadata_of, now, pb, user,
};

/// Every RPC of `usher.v1`: its path, and whether the client streams.
fn every_rpc() -> Vec<(String, bool)> {
    let set = FileDescriptorSet::decode(usher::proto::DESCRIPTORS).unwrap();
    let ours = set.file.iter().filter(|file| file.package() == "usher.v1");
    let services = ours.flat_map(|file| &file.service);
    let methods = services.flat_map(|service| service.method.iter().map(move |method| (service, method)));
    let path = |service: &str, method: &str| format!("/usher.v1.{service}/{method}");
    methods
        .map(|(service, method)| {
            (path(service.name(), method.name()), method.client_streaming() || method.server_streaming())
        })
        .collect()
}

/// What an empty message to `path` is answered with.
async fn call(caller: &Caller, path: &str, streams: bool) -> Result<(), Status> {
    if streams {
        caller.stream_raw(path, &[]).await.map(drop)
    } else {
        caller.send_raw(path, &[]).await.map(drop)
    }
}

/// What may be called without a server token: all but the last by users, for themselves; all but the first
/// two by anonymous callers.
const OPEN: [&str; 6] = [
    "/usher.v1.UserService/UpdateUsersPartial",
    "/usher.v1.UserService/GetUsers",
    "/usher.v1.UserService/ConnectUser",
    "/usher.v1.UserService/KeepAlive",
    "/usher.v1.UserService/DisconnectUser",
    "/usher.v1.UserService/CreateGuest",
];

/// Every RPC but those of `open` refuses this caller.
async fn refused_everywhere(caller: &Caller, open: &[&str], what: &str, code: Code, reason: &str) {
    let rpcs = every_rpc();
    assert!(rpcs.len() >= 26, "all services are walked: {rpcs:?}");
    for (path, streams) in rpcs.into_iter().filter(|(path, _)| !open.contains(&path.as_str())) {
        let outcome = call(caller, &path, streams).await;
        assert!(outcome.is_err(), "{what}: {path} should be refused");
        outcome.map(Response::new).refused(code, reason);
    }
}

/// One cheap call.
async fn knock(caller: &Caller) -> Result<Response<pb::GetUsersResponse>, Status> {
    let request = pb::GetUsersRequest { user_ids: vec!["ada".to_owned()], include_deleted: false };
    caller.users().get_users(request).await
}

each_backend! {
    async fn without_credentials_every_rpc_is_refused(server: TestServer) {
        refused_everywhere(&server.anonymous(), &[], "no token", Code::Unauthenticated, "CREDENTIALS_MISSING")
            .await;
        let with_key = server.anonymous().with_header("x-api-key", &server.credentials().kid);
        refused_everywhere(&with_key, &[], "a key and no token", Code::Unauthenticated, "CREDENTIALS_MISSING")
            .await;
    }

    async fn with_a_forged_token_every_rpc_is_refused(server: TestServer) {
        let forger = Credentials { kid: server.credentials().kid.clone(), secret: "x".repeat(64) };
        refused_everywhere(
            &server.with_token(&forger.server_token()),
            &[],
            "forged",
            Code::Unauthenticated,
            "TOKEN_INVALID",
        )
        .await;
    }

    async fn a_user_may_do_nothing_but_what_it_does_for_itself(server: TestServer) {
        server.upsert(vec![pb::UserInput { role: "admin".to_owned(), ..user("ada") }]).await;
        let ada = server.with_token(&server.user_token("ada").await);
        refused_everywhere(&ada, &OPEN[..5], "a user", Code::PermissionDenied, "PERMISSION_MISSING").await;
    }

    async fn an_anonymous_caller_may_do_nothing_but_connect(server: TestServer) {
        let nobody = server.nobody();
        refused_everywhere(&nobody, &OPEN[2..], "nobody", Code::PermissionDenied, "PERMISSION_MISSING").await;
        let wrong = server.anonymous().with_header("auth-type", "anonymous").with_header("x-api-key", "none");
        refused_everywhere(&wrong, &[], "no such key", Code::Unauthenticated, "API_KEY_UNKNOWN").await;
        let without = server.anonymous().with_header("auth-type", "anonymous");
        refused_everywhere(&without, &[], "no key", Code::Unauthenticated, "API_KEY_UNKNOWN").await;
    }

    async fn a_bad_token_is_not_made_good_by_wanting_to_be_nobody(server: TestServer) {
        let both = server.nobody().with_header("authorization", "Bearer junk");
        refused_everywhere(&both, &[], "a bad token", Code::Unauthenticated, "TOKEN_INVALID").await;
    }

    async fn a_user_reads_itself_and_nobody_else(server: TestServer) {
        server.upsert(vec![user("ada"), user("grace")]).await;
        let ada = server.with_token(&server.user_token("ada").await);
        let get = async |ids: &[&str]| {
            let user_ids = ids.iter().map(ToString::to_string).collect();
            ada.users().get_users(pb::GetUsersRequest { user_ids, include_deleted: true }).await
        };
        let answer = get(&["ada", "ada"]).await.answered();
        assert_eq!(answer.users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ["ada"]);
        let mut texts = Vec::new();
        for ids in [&["grace"][..], &["ada", "grace"], &["ada", "nobody"], &["nobody"]] {
            let status = get(ids).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
            texts.push((status.message().to_owned(), metadata_of(&status)));
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "whoever exists and whoever does not look the same");
    }

    async fn a_user_of_another_app_is_nobody_here(backend: Backend) {
        let server = backend.start().await;
        let other = backend.create_app("other", server.place()).await;
        let there = server.of_app(other.clone());
        server.upsert(vec![user("ada")]).await;
        there.upsert(vec![pb::UserInput { name: "Other".to_owned(), ..user("ada") }]).await;
        let ada_there = server.with_token(&there.user_token("ada").await);
        let answer = knock(&ada_there).await.answered();
        assert_eq!(answer.users[0].name, "Other", "each sees itself in its own app");
        let forged = Credentials { kid: server.credentials().kid.clone(), secret: other.secret };
        let crossed = server.with_token(&forged.sign(&json!({"user_id": "ada"})));
        knock(&crossed).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
    }

    async fn a_refusal_says_which_right_is_missing(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let ada = server.with_token(&server.user_token("ada").await);
        let query = ada.users().query_users(pb::QueryUsersRequest::default()).await;
        let status = query.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        let metadata = metadata_of(&status);
        assert!(metadata.get("rpc").is_some_and(|rpc| rpc.contains("QueryUsers")), "{metadata:?}");
        assert!(metadata.contains_key("needs"), "{metadata:?}");
    }

    async fn empty_credentials_are_none(server: TestServer) {
        for value in ["", " ", "Bearer", "Bearer ", "bearer  "] {
            let caller = server.anonymous().with_header("authorization", value);
            let status = knock(&caller).await.map(drop).unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{value:?}: {status:?}");
        }
    }

    async fn the_scheme_may_be_left_out_and_written_in_any_case(server: TestServer) {
        let token = server.credentials().server_token();
        for value in
            [token.clone(), format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER {token}")]
        {
            knock(&server.anonymous().with_header("authorization", &value)).await.answered();
        }
        for scheme in ["Basic", "Token", "Bearer,"] {
            let caller = server.anonymous().with_header("authorization", &format!("{scheme} {token}"));
            knock(&caller).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
        }
    }

    async fn the_api_key_stands_in_for_a_missing_kid_only(server: TestServer) {
        let key = server.credentials();
        let bare = key.sign_as(&jsonwebtoken::Header::default(), &json!({"server": true}));

        let right = server.with_token(&bare).with_header("x-api-key", &key.kid);
        knock(&right).await.answered();
        knock(&server.with_token(&bare)).await.refused(Code::Unauthenticated, "API_KEY_UNKNOWN");
        for unknown in ["nobody", "", "' OR 1=1 --", &"x".repeat(1_000)] {
            let wrong = server.with_token(&bare).with_header("x-api-key", unknown);
            knock(&wrong).await.refused(Code::Unauthenticated, "API_KEY_UNKNOWN");
        }
    }

    async fn bad_tokens_are_refused_with_what_a_good_signature_allows_to_tell(server: TestServer) {
        server.import_users("gone", &[json!({"id": "gone", "deleted_at": "2024-05-01T12:00:00Z"})]).await;
        server.upsert(vec![user("ada"), user("off")]).await;
        server.deactivate("off").await;
        let key = server.credentials();
        let unknown_key = Credentials { kid: "nobody".to_owned(), secret: key.secret.clone() };
        let cases: Vec<(&str, String, &str)> = vec![
            ("no token at all", "junk".to_owned(), "TOKEN_INVALID"),
            ("an unknown kid", unknown_key.server_token(), "TOKEN_INVALID"),
            ("expired", key.sign(&json!({"server": true, "exp": now() - 10})), "TOKEN_EXPIRED"),
            ("not yet valid", key.sign(&json!({"server": true, "nbf": now() + 60})), "TOKEN_NOT_YET_VALID"),
            (
                "issued in the future",
                key.sign(&json!({"server": true, "iat": now() + 60})),
                "TOKEN_NOT_YET_VALID",
            ),
            ("neither server nor user", key.sign(&json!({"iat": now()})), "TOKEN_INVALID"),
            ("both", key.sign(&json!({"server": true, "user_id": "ada"})), "TOKEN_INVALID"),
            ("an unknown user", key.sign(&json!({"user_id": "nobody"})), "USER_NOT_FOUND"),
            ("a deactivated user", key.sign(&json!({"user_id": "off"})), "USER_DEACTIVATED"),
            ("a deleted user", key.sign(&json!({"user_id": "gone"})), "USER_DELETED"),
            ("too long", key.sign(&json!({"server": true, "x": "y".repeat(9_000)})), "TOKEN_INVALID"),
        ];
        for (what, token, reason) in cases {
            let outcome = knock(&server.with_token(&token)).await;
            assert!(outcome.is_err(), "{what} should be refused");
            outcome.refused(Code::Unauthenticated, reason);
        }
    }

    async fn what_is_wrong_with_an_unsigned_token_is_not_told(server: TestServer) {
        let key = server.credentials();
        let forger = Credentials { kid: key.kid.clone(), secret: "x".repeat(64) };
        let tokens = [
            "junk".to_owned(),
            forger.server_token(),
            forger.sign(&json!({"server": true, "exp": 1})),
            forger.sign(&Value::Null),
            Credentials { kid: "nobody".to_owned(), ..forger.clone() }.server_token(),
        ];
        let mut texts = Vec::new();
        for token in tokens {
            let status =
                knock(&server.with_token(&token)).await.refused(Code::Unauthenticated, "TOKEN_INVALID");
            texts.push((status.message().to_owned(), status.details().to_vec()));
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "one answer, whatever is wrong");
    }

    async fn a_header_sent_twice_is_not_guessed_at(server: TestServer) {
        let good = server.credentials().server_token();
        let mut client = tonic::client::Grpc::new(
            tonic::transport::Endpoint::from_shared(format!("http://{}", server.address()))
                .unwrap()
                .connect_lazy(),
        );
        client.ready().await.unwrap();
        let mut request = tonic::Request::new(pb::GetUsersRequest {
            user_ids: vec!["ada".to_owned()],
            include_deleted: false,
        });
        request.metadata_mut().append("authorization", "Bearer junk".parse().unwrap());
        request.metadata_mut().append("authorization", format!("Bearer {good}").parse().unwrap());
        let codec = usher::proto::codec::Codec::<pb::GetUsersRequest, pb::GetUsersResponse>::default();
        let path = "/usher.v1.UserService/GetUsers".parse().unwrap();
        let refused = client.unary(request, path, codec).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }

    async fn health_and_reflection_need_no_token(server: TestServer) {
        let anonymous = server.anonymous();
        let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
        anonymous.health().check(request).await.unwrap();
    }

    async fn rpcs_that_do_not_exist_are_unimplemented(server: TestServer) {
        for path in [
            "/usher.v1.UserService/DeleteEverything",
            "/usher.v1.NoService/X",
            "/usher.v2.UserService/GetUsers",
            "/x/y",
        ] {
            let status = server.send_raw(path, &[]).await.unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
            let status = server.anonymous().send_raw(path, &[]).await.unwrap_err();
            assert!(
                matches!(status.code(), Code::Unimplemented | Code::Unauthenticated),
                "{path}: {status:?}"
            );
        }
    }
}
