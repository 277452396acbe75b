//! How fast `VerifyToken` is beside a bare tonic echo: the same client, in the same run, on each database.
//!
//! `cargo bench --bench verify_token`; on PostgreSQL too where `USHER_BENCH_POSTGRES_URL` names an empty database.
//! Prints requests per second and their ratio, round by round alternating, since machines are noisy.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by ending, and is there to print"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use usher::proto::v1::{self, VerifyTokenRequest, VerifyTokenResponse};
use usher::server::config::Config;

const IN_FLIGHT: usize = 64;
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
/// Users whose tokens are judged in turn.
const USERS: usize = 100;
const WANTED: f64 = 0.7;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// Answers with what it was sent, and does nothing else.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<VerifyTokenRequest> for Echo {
    type Response = VerifyTokenRequest;
    type Future = BoxFuture<'static, Result<Response<VerifyTokenRequest>, Status>>;

    fn call(&mut self, request: Request<VerifyTokenRequest>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<VerifyTokenRequest, VerifyTokenRequest>::default());
            Ok(grpc.unary(Self, request).await)
        })
    }
}

/// What is called: where, which RPC, with which metadata and tokens.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    path: &'static str,
    authorization: Option<String>,
    tokens: Arc<Vec<String>>,
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("threads")
}

fn main() {
    let urls = ["sqlite".to_owned()].into_iter().chain(postgres_url());
    let client = runtime(2);
    for url in urls {
        // Each server has its own threads, as it would in a process of its own.
        let (echo_threads, usher_threads) = (runtime(2), runtime(2));
        let dir = tempfile::tempdir().expect("a directory");
        let name = if url == "sqlite" { "SQLite" } else { "PostgreSQL" };
        let (running, target) = usher_threads.block_on(serve_usher(&url, dir.path()));
        let echo = Target {
            address: echo_threads.block_on(serve_echo()),
            path: "/bench.Echo/Echo",
            authorization: None,
            tokens: Arc::clone(&target.tokens),
        };
        let mut ratios = Vec::new();
        for round in 0..=ROUNDS {
            let (bare, judged) = if round % 2 == 0 {
                let bare = client.block_on(load::<VerifyTokenRequest>(&echo));
                (bare, client.block_on(load::<VerifyTokenResponse>(&target)))
            } else {
                let judged = client.block_on(load::<VerifyTokenResponse>(&target));
                (client.block_on(load::<VerifyTokenRequest>(&echo)), judged)
            };
            // The first round warms up.
            if round > 0 {
                println!(
                    "{name}: echo {bare:>7.0}/s  VerifyToken {judged:>7.0}/s  ratio {:.2}",
                    judged / bare
                );
                ratios.push(judged / bare);
            }
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        let verdict = if median >= WANTED { "met" } else { "MISSED" };
        println!(
            "{name}: median ratio {median:.2} [{:.2}..{:.2}], wanted {WANTED}: {verdict}",
            ratios[0],
            ratios[ratios.len() - 1]
        );
        usher_threads.block_on(running.shutdown());
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no other configuration")]
fn postgres_url() -> Option<String> {
    std::env::var("USHER_BENCH_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

async fn serve_echo() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    #[expect(clippy::disallowed_methods, reason = "ends with the benchmark")]
    tokio::spawn(Server::builder().add_service(Echo).serve_with_incoming(incoming));
    address
}

/// A server with users, and tokens of theirs that were minted by it.
async fn serve_usher(url: &str, dir: &std::path::Path) -> (usher::server::Running, Target) {
    let data_dir = dir.display().to_string();
    let mut line = vec!["usher", "--listen", "127.0.0.1:0", "--drain-delay", "0ms", "--data-dir", &data_dir];
    let key = dir.join("bench-master.key");
    std::fs::write(&key, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff").expect("a file");
    let key = key.display().to_string();
    if url != "sqlite" {
        line.extend(["--database-url", url, "--master-key-file", &key]);
    }
    let running = usher::server::start(Flags::parse_from(line).config).await.expect("usher starts");
    let address = running.address();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("the first start leaves it");
    let header = Header { kid: Some(read("default.key")), ..Header::new(Algorithm::HS256) };
    let secret = EncodingKey::from_secret(read("default.secret").as_bytes());
    let server = jsonwebtoken::encode(&header, &json!({"server": true}), &secret).expect("a token");
    let authorization = format!("Bearer {server}");

    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let as_server = |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", authorization.parse().expect("ASCII"));
        Ok::<_, Status>(request)
    };
    let mut users = v1::user_service_client::UserServiceClient::with_interceptor(channel.clone(), as_server);
    let mut tokens = v1::token_service_client::TokenServiceClient::with_interceptor(channel, as_server);
    let ids: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
    let inputs = ids.iter().map(|id| v1::UserInput { id: id.clone(), ..Default::default() }).collect();
    users.upsert_users(v1::UpsertUsersRequest { users: inputs }).await.expect("users");
    let mut minted = Vec::new();
    for user_id in ids {
        let request = v1::CreateUserTokenRequest { user_id, ..Default::default() };
        minted.push(tokens.create_user_token(request).await.expect("a token").into_inner().token);
    }
    let path = "/usher.v1.TokenService/VerifyToken";
    let target =
        Target { address, path, authorization: Some(authorization.clone()), tokens: Arc::new(minted) };
    (running, target)
}

/// Calls `target` for a round, so many calls at a time, and tells how many a second came back.
async fn load<A: prost::Message + Default + 'static>(target: &Target) -> f64 {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        let endpoint = Endpoint::from_shared(format!("http://{}", target.address)).expect("an address");
        channels.push(endpoint.tcp_nodelay(true).connect().await.expect("a connection"));
    }
    let calls: Vec<_> = (0..IN_FLIGHT)
        .map(|number| {
            let work = call_on::<A>(
                channels[number % CONNECTIONS].clone(),
                target.clone(),
                number,
                (Arc::clone(&stop), Arc::clone(&answered)),
            );
            #[expect(clippy::disallowed_methods, reason = "ends with the round")]
            tokio::spawn(work)
        })
        .collect();
    let begun = Instant::now();
    tokio::time::sleep(ROUND).await;
    stop.store(true, Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = answered.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    for call in calls {
        call.await.expect("every call is answered");
    }
    rate
}

async fn call_on<A: prost::Message + Default + 'static>(
    channel: Channel,
    target: Target,
    mut number: usize,
    (stop, answered): (Arc<AtomicBool>, Arc<AtomicU64>),
) {
    let mut grpc = tonic::client::Grpc::new(channel);
    let authorization = target.authorization.as_ref().map(|text| text.parse().expect("ASCII"));
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let token = target.tokens[number % target.tokens.len()].clone();
        let mut request = Request::new(VerifyTokenRequest { token });
        if let Some(authorization) = &authorization {
            request
                .metadata_mut()
                .insert("authorization", tonic::metadata::AsciiMetadataValue::clone(authorization));
        }
        grpc.ready().await.expect("a connection");
        let path = http::uri::PathAndQuery::from_static(target.path);
        let codec = ProstCodec::<VerifyTokenRequest, A>::default();
        grpc.unary(request, path, codec).await.expect("an answer");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
