//! Refusals arrive through the proxies that people put in front of usher as they are: the code, the reason and
//! the fields lie in the trailers, for which each proxy has room of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::foreign::present;
use crate::harness::setting::setting;
use crate::harness::{Backend, Caller, Kind, Process, eventually, pb, struct_of, told, user};

/// nginx in front of `server`, with the buffers it has by default; ends when dropped.
async fn nginx(server: &Process) -> (Child, Caller) {
    let dir = server.launch().place().data_dir.join("nginx");
    std::fs::create_dir_all(&dir).unwrap();
    let address = free_address();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()));
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{}}\n\
         http {{ access_log off; client_max_body_size 0; {1}\n\
         server {{ listen {address} http2; location / {{ grpc_pass grpc://{2}; }} }} }}\n",
        dir.display(),
        temporary.join(" "),
        server.address()
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf"));
    run(command, address, server).await
}

/// Envoy in front of `server`, with the limits it has by default; ends when dropped.
async fn envoy(server: &Process) -> (Child, Caller) {
    let address = free_address();
    let target = |address: SocketAddr| {
        json!({"address": {"socket_address": {
            "address": address.ip().to_string(), "port_value": address.port()}}})
    };
    let endpoint = json!({"endpoint": target(server.address())});
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
                  HttpConnectionManager",
        "stat_prefix": "usher",
        "route_config": {"virtual_hosts": [{"name": "usher", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "usher"}}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
    });
    let mut listener = target(address);
    listener["name"] = json!("usher");
    listener["filter_chains"] = json!([{"filters": [{"name": "http", "typed_config": manager}]}]);
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    let cluster = json!({
        "name": "usher",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {"cluster_name": "usher", "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    let config = json!({"static_resources": {"listeners": [listener], "clusters": [cluster]}});
    let mut command = Command::new(envoy_program());
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]);
    command.args(["--config-yaml", &config.to_string()]);
    run(command, address, server).await
}

fn envoy_program() -> PathBuf {
    setting("USHER_TEST_ENVOY").unwrap_or_else(|| "envoy".to_owned()).into()
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Runs a proxy, and calls `server` by way of its `address`.
async fn run(mut command: Command, address: SocketAddr, server: &Process) -> (Child, Caller) {
    let child = command.kill_on_drop(true).stderr(Stdio::null()).spawn().unwrap();
    eventually("a proxy", || async { TcpStream::connect(address).await.ok() }).await;
    (child, Caller::new(address, server.credentials().clone()))
}

/// Where Debian has it, which is not on every PATH.
const NGINX: &str = "/usr/sbin/nginx";

/// What a caller is told of calls that fail in every way: the code, the reason, the text and the fields.
async fn refusals(caller: &Caller) -> Vec<String> {
    let bad = |count: usize| pb::UpsertUsersRequest {
        users: vec![pb::UserInput { name: "\0".to_owned(), ..user("a b") }; count],
    };
    let long_ids = (0..100).map(|number| format!("{} {number}", "X".repeat(240))).collect();
    let long_ids = pb::GetUsersRequest { user_ids: long_ids, include_deleted: false };
    let paths = (0..60).map(|number| (format!("{}..{number}", "\u{1F600}".repeat(50)), json!(1))).collect();
    let patch = pb::UserPatch {
        id: "ada".to_owned(),
        set: Some(struct_of(Value::Object(paths))),
        ..Default::default()
    };
    let large =
        pb::UpsertUsersRequest { users: vec![pb::UserInput { name: "x".repeat(3_000_000), ..user("ada") }] };
    let too_large = pb::VerifyTokenRequest { token: "x".repeat(5 << 20) };
    let unknown = pb::DeactivateUserRequest { user_id: "nobody".to_owned(), ..Default::default() };
    let active = pb::ReactivateUserRequest { user_id: "ada".to_owned(), ..Default::default() };
    let mut users = caller.users();
    let outcomes = [
        users.upsert_users(bad(1)).await.map(drop),
        users.upsert_users(bad(20)).await.map(drop),
        users.upsert_users(bad(500)).await.map(drop),
        users.get_users(long_ids).await.map(drop),
        users.update_users_partial(pb::UpdateUsersPartialRequest { users: vec![patch] }).await.map(drop),
        users.deactivate_user(unknown).await.map(drop),
        users.reactivate_user(active).await.map(drop),
        // Refused before the message has come.
        caller.with_token("a.b.c").users().upsert_users(large).await.map(drop),
        caller.tokens().verify_token(too_large).await.map(drop),
        caller.send_raw("/usher.v1.UserService/Nothing", &[]).await.map(drop),
    ];
    outcomes.into_iter().map(|outcome| told(&outcome.expect_err("the call is refused"))).collect()
}

/// What of `refusals` is seen below, where all of it is compared.
const SEEN: [&str; 3] =
    ["InvalidArgument/INVALID_FIELD", "NotFound/USER_NOT_FOUND", "FailedPrecondition/USER_NOT_DEACTIVATED"];

async fn arrive_as_they_are(server: &Process, proxied: &Caller) {
    server.upsert(vec![user("ada")]).await;
    assert_eq!(proxied.user("ada").await.version, 1);
    let (direct, proxied) = (refusals(server).await, refusals(proxied).await);
    assert_eq!(proxied, direct);
    for seen in SEEN {
        assert!(direct.iter().any(|refusal| refusal.starts_with(seen)), "{seen}: {direct:?}");
    }
}

#[test]
fn errors_arrive_through_nginx_as_they_are() {
    crate::harness::run(Kind::Sqlite, async |backend: Backend| {
        if !present(Command::new(NGINX).arg("-v"), "nginx").await {
            return;
        }
        let server = backend.launch().start().await;
        let (_nginx, caller) = nginx(&server).await;
        arrive_as_they_are(&server, &caller).await;
    });
}

#[test]
fn errors_arrive_through_envoy_as_they_are() {
    crate::harness::run(Kind::Sqlite, async |backend: Backend| {
        let what = "Envoy (USHER_TEST_ENVOY, or `envoy` on the PATH)";
        if !present(Command::new(envoy_program()).arg("--version"), what).await {
            return;
        }
        let server = backend.launch().start().await;
        let (_envoy, caller) = envoy(&server).await;
        arrive_as_they_are(&server, &caller).await;
    });
}
