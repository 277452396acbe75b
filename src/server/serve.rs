//! Starting a server, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use super::config::{Config, Reflection};
use super::connection::Timed;
use super::drain::Drain;
use super::first_start::{DefaultKey, default_key, first_key};
use super::open::{Opened, StartError, open};
use super::{health, telemetry};
use crate::domain::vault::stored;
use crate::domain::{Domain, jobs};
use crate::engine::{Background, Engine, Settings};
use crate::model::clock::AnchoredClock;
use crate::proto;
use crate::proto::v1::app_service_server::AppServiceServer;
use crate::proto::v1::content_service_server::ContentServiceServer;
use crate::proto::v1::task_service_server::TaskServiceServer;
use crate::proto::v1::token_service_server::TokenServiceServer;
use crate::proto::v1::user_service_server::UserServiceServer;
use crate::rpc::gate::{Gate, Slots};
use crate::rpc::{Apps, Content, Tasks, Tokens, Users};
use crate::storage::backend::sqlite::Sharing;

/// Dead peers are noticed: asked so often, given so long.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of request headers taken.
const MAX_HEADERS: u32 = 16 * 1024;
/// Bytes a peer may send ahead: per stream, and in all its streams.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Streams a peer has opened and reset at once, before the connection is cut (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// A server that takes calls.
pub struct Running {
    address: SocketAddr,
    default_key: Option<DefaultKey>,
    drain: Drain,
}

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes down in good order, as on SIGTERM.
    pub async fn shutdown(self) {
        self.drain.run().await;
    }
}

/// Serves until SIGTERM or Ctrl-C, then drains.
pub async fn run(config: Config) -> Result<(), StartError> {
    telemetry::init(&config)?;
    if let Some(address) = config.ops_listen {
        telemetry::serve_metrics(address)?;
    }
    // Before anything is told to be ready: a signal must not be lost.
    let listen =
        |kind| signal(kind).map_err(|err| StartError::Other(format!("cannot wait for signals: {err}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut server = start(config).await?;
    super::greeting::print(server.address, server.default_key.as_ref());

    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = &mut server.drain.server => Some(ended),
    };
    match failed {
        None => {
            tracing::info!("draining");
            server.shutdown().await;
            tracing::info!("stopped");
            Ok(())
        }
        Some(ended) => Err(StartError::Other(format!("the listener ended by itself: {ended:?}"))),
    }
}

/// Starts a server and returns once it takes calls.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let first_key = first_key(&config)?;
    let opened = open(&config, Sharing::Exclusive).await?;
    let default_key = default_key(&opened, &config, &first_key).await?;
    let Opened { store, vault } = opened;
    if store.backend().is_exclusive() {
        let retired = stored::retire_older(&store, &vault).await;
        retired.map_err(|err| StartError::Other(err.to_string()))?;
    }
    let (time, read) = health::read_clock(&store).await?;
    let clock = Arc::new(AnchoredClock::new(time, read));

    let background = Background::default();
    let kinds = jobs::registry(&vault);
    let engine = Engine::new(store.clone(), clock.clone(), engine_settings(&config), kinds);
    engine.start(&background).await?;
    let domain = Domain::new(store.clone(), engine, clock.clone(), vault);
    background.running.spawn(domain.clone().keep_terms(background.stop.clone()));

    background.running.spawn(domain.clone().follow_presence(background.stop.clone()));
    background.running.spawn(domain.clone().follow_renewals(background.stop.clone()));
    background.running.spawn(domain.clone().sweep_users(background.stop.clone()));
    background.running.spawn(store.clone().keep_settled(background.stop.clone()));
    background.running.spawn(store.clone().keep_statistics(background.stop.clone()));

    let gate = Gate {
        domain: domain.clone(),
        timeout: config.request_timeout,
        slots: Arc::new(Slots::new(config.max_concurrent_calls as usize)),
        stop: background.stop.clone(),
        under_way: TaskTracker::new(),
    };
    let under_way = gate.under_way.clone();

    let listener =
        TcpListener::bind(config.listen).await.map_err(|err| StartError::Listen(config.listen, err))?;
    let address = listener.local_addr().map_err(|err| StartError::Listen(config.listen, err))?;
    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::set(&reporter, ServingStatus::Serving).await;
    let probing = CancellationToken::new();
    background.running.spawn(health::follow(reporter.clone(), store.clone(), clock, probing.clone()));

    let routes = services(domain.clone(), &config).add_service(health_service);
    let routes = with_reflection(routes, &config, address)?;
    let accepting = CancellationToken::new();
    let server = serve(&config, listener, gate, routes, accepting.clone());
    let drain = Drain {
        health: reporter,
        delay: config.drain_delay,
        grace: config.drain_grace,
        probing,
        accepting,
        under_way,
        background,
        server,
        domain,
        store,
    };
    Ok(Running { address, default_key, drain })
}

fn engine_settings(config: &Config) -> Settings {
    Settings {
        workers: config.workers as usize,
        lease: config.task_lease,
        batch: u64::from(config.task_batch),
        max_failures: i32::try_from(config.task_max_failures).unwrap_or(i32::MAX),
        retention: Duration::from_secs(u64::from(config.task_retention_days) * 86_400),
    }
}

fn services(domain: Domain, config: &Config) -> Routes {
    let max = config.max_message_bytes as usize;
    let content = Content { domain: domain.clone(), timeout: config.request_timeout };
    Routes::new(UserServiceServer::new(Users(domain.clone())).max_decoding_message_size(max))
        .add_service(TokenServiceServer::new(Tokens(domain.clone())).max_decoding_message_size(max))
        .add_service(AppServiceServer::new(Apps(domain.clone())).max_decoding_message_size(max))
        .add_service(TaskServiceServer::new(Tasks(domain)).max_decoding_message_size(max))
        .add_service(ContentServiceServer::new(content).max_decoding_message_size(max))
}

fn with_reflection(routes: Routes, config: &Config, address: SocketAddr) -> Result<Routes, StartError> {
    let on = match config.reflection {
        Reflection::On => true,
        Reflection::Off => false,
        Reflection::Auto => address.ip().is_loopback(),
    };
    if !on {
        return Ok(routes);
    }
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that generic clients can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let fail = |err: tonic_reflection::server::Error| StartError::Other(format!("reflection: {err}"));
    Ok(routes
        .add_service(builder().build_v1().map_err(fail)?)
        .add_service(builder().build_v1alpha().map_err(fail)?))
}

#[expect(clippy::disallowed_methods, reason = "ends with the drain, which holds the handle")]
fn serve(
    config: &Config,
    listener: TcpListener,
    gate: Gate,
    routes: Routes,
    accepting: CancellationToken,
) -> tokio::task::JoinHandle<Result<(), tonic::transport::Error>> {
    let within = config.handshake_timeout;
    let incoming = TcpListenerStream::new(listener).then(move |accepted| async move {
        if let Err(err) = &accepted {
            // Out of file descriptors, most likely: asking again at once would only burn a core.
            tracing::warn!(error = %err, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        accepted.map(|stream| {
            // Small frames leave at once; failing to say so costs time only.
            stream.set_nodelay(true).ok();
            Timed::new(stream, within)
        })
    });
    let mut builder = Server::builder()
        .max_concurrent_streams(Some(config.max_streams))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_PATIENCE))
        .http2_max_header_list_size(Some(MAX_HEADERS))
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .initial_stream_window_size(Some(STREAM_WINDOW))
        .initial_connection_window_size(Some(CONNECTION_WINDOW));
    if let Some(age) = config.max_connection_age {
        builder = builder.max_connection_age(age);
    }
    let served = builder.layer(gate).add_routes(routes);
    tokio::spawn(
        async move { served.serve_with_incoming_shutdown(incoming, accepting.cancelled_owned()).await },
    )
}
