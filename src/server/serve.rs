//! Starting a server, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::config::{Config, ConfigError, Reflection};
use super::connection::{RESETS_PER_SECOND, Terms};
use super::drain::Drain;
use super::first_start::{DefaultKey, default_key, first_key};
use super::listen::{Reserved, accept};
use super::open::{Opened, StartError, open};
use super::ops::{self, Operations};
use super::{health, telemetry};
use crate::domain::vault::stored;
use crate::domain::{Domain, jobs};
use crate::engine::{Background, Engine, Settings};
use crate::model::clock::{AnchoredClock, Clock};
use crate::proto;
use crate::proto::v1::app_service_server::AppServiceServer;
use crate::proto::v1::content_service_server::ContentServiceServer;
use crate::proto::v1::task_service_server::TaskServiceServer;
use crate::proto::v1::token_service_server::TokenServiceServer;
use crate::proto::v1::user_service_server::UserServiceServer;
use crate::rpc::gate::{Gate, Slots};
use crate::rpc::{Apps, Content, Tasks, Tokens, Users};
use crate::storage::backend::sqlite::Sharing;
use crate::storage::object_store::{ObjectStore, ObjectStoreError};

/// A service that takes compressed messages, and answers so where the caller accepts it. The limit on messages
/// counts after decompression.
macro_rules! gzip {
    ($service:expr) => {
        $service.accept_compressed(CompressionEncoding::Gzip).send_compressed(CompressionEncoding::Gzip)
    };
}

/// Dead peers are noticed: asked so often, given so long.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long the start waits for the object store.
const OBJECT_STORE_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of request headers taken.
const MAX_HEADERS: u32 = 16 * 1024;
/// Bytes a peer may send ahead: per stream, and in all its streams.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// A server that takes calls.
pub struct Running {
    address: SocketAddr,
    backend: &'static str,
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
    // Before anything is told to be ready: a signal must not be lost.
    let listen =
        |kind| signal(kind).map_err(|err| StartError::Other(format!("cannot wait for signals: {err}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let data_dir = config.data_dir.clone();
    let mut server = start(config).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %server.address,
        backend = server.backend,
        operations = server.drain.operations.as_ref().map(|operations| operations.address().to_string()),
        "serving"
    );
    super::greeting::print(server.address, &data_dir, server.default_key.as_ref());

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
    // Before anything is made: an address that is taken leaves nothing behind.
    let reserved = Reserved::take(config.listen).map_err(|err| StartError::Listen(config.listen, err))?;
    let address = reserved.address();
    let (reporter, health_service) = health::reporter().await;
    let operations = match config.ops_listen {
        Some(address) => Some(operate(address, &reporter).await?),
        None => None,
    };

    let objects = open_objects(&config).await?;
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
    let shared_clock: Arc<dyn Clock> = clock.clone();
    let kinds = jobs::registry(&vault, &shared_clock, objects.as_ref());
    let engine = Engine::new(store.clone(), clock.clone(), engine_settings(&config), kinds);
    engine.start(&background).await?;
    let domain = Domain::new(store.clone(), engine, clock.clone(), vault, objects);
    background.running.spawn(domain.clone().keep_terms(background.stop.clone()));

    background.running.spawn(domain.clone().follow_presence(background.stop.clone()));
    background.running.spawn(domain.clone().follow_renewals(background.stop.clone()));
    background.running.spawn(domain.clone().sweep_users(background.stop.clone()));
    background.running.spawn(domain.clone().sweep_archives(background.stop.clone()));
    if operations.is_some() {
        background.running.spawn(ops::count_overdue(domain.clone(), background.stop.clone()));
    }
    background.running.spawn(store.clone().keep_settled(background.stop.clone()));
    background.running.spawn(store.clone().keep_statistics(background.stop.clone()));

    let gate = Gate {
        domain: domain.clone(),
        timeout: config.request_timeout,
        slots: Arc::new(Slots::new(config.max_concurrent_calls as usize)),
        stop: background.stop.clone(),
    };

    let listener = reserved.listen().map_err(|err| StartError::Listen(config.listen, err))?;
    health::set(&reporter, ServingStatus::Serving).await;
    let probing = CancellationToken::new();
    background.running.spawn(health::follow(reporter.clone(), store.clone(), clock, probing.clone()));

    let routes = services(domain.clone(), &config).add_service(gzip!(health_service));
    let routes = with_reflection(routes, &config, address)?;
    let connections = CancellationToken::new();
    let server = serve(&config, listener, gate, routes, connections.clone());
    let backend = if store.backend().is_exclusive() { "sqlite" } else { "postgres" };
    let drain = Drain {
        health: reporter,
        delay: config.drain_delay,
        grace: config.drain_grace,
        probing,
        connections,
        background,
        operations,
        server,
        domain,
        store,
    };
    Ok(Running { address, backend, default_key, drain })
}

/// The object store that is configured. One that cannot be reached now does not keep the server from starting: what
/// needs it waits.
async fn open_objects(config: &Config) -> Result<Option<ObjectStore>, StartError> {
    let Some(url) = &config.object_store_url else { return Ok(None) };
    let objects = ObjectStore::open(url).map_err(ConfigError)?;
    match tokio::time::timeout(OBJECT_STORE_PATIENCE, objects.check()).await {
        Ok(Ok(())) => {}
        Ok(Err(err @ ObjectStoreError::Unusable(_))) => return Err(ConfigError(err.to_string()).into()),
        Ok(Err(err)) => tracing::warn!(error = %err, "exports wait for the object store"),
        Err(_) => tracing::warn!("the object store does not answer; exports wait for it"),
    }
    Ok(Some(objects))
}

async fn operate(address: SocketAddr, health: &HealthReporter) -> Result<Operations, StartError> {
    let metrics = telemetry::metrics()?;
    let failed = |err| StartError::Operations(address, err);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    Operations::start(listener, health.clone(), metrics).map_err(failed)
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
    Routes::new(gzip!(UserServiceServer::new(Users(domain.clone()))).max_decoding_message_size(max))
        .add_service(gzip!(TokenServiceServer::new(Tokens(domain.clone()))).max_decoding_message_size(max))
        .add_service(gzip!(AppServiceServer::new(Apps(domain.clone()))).max_decoding_message_size(max))
        .add_service(gzip!(TaskServiceServer::new(Tasks(domain))).max_decoding_message_size(max))
        .add_service(gzip!(ContentServiceServer::new(content)).max_decoding_message_size(max))
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
        .add_service(gzip!(builder().build_v1().map_err(fail)?))
        .add_service(gzip!(builder().build_v1alpha().map_err(fail)?)))
}

#[expect(clippy::disallowed_methods, reason = "ends with the drain, which holds the handle")]
fn serve(
    config: &Config,
    listener: TcpListener,
    gate: Gate,
    routes: Routes,
    drain: CancellationToken,
) -> tokio::task::JoinHandle<Result<(), tonic::transport::Error>> {
    let terms =
        Terms { handshake: config.handshake_timeout, max_handlers: 2 * config.max_streams as usize, drain };
    let mut builder = Server::builder()
        .max_concurrent_streams(Some(config.max_streams))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_PATIENCE))
        .http2_max_header_list_size(Some(MAX_HEADERS))
        // Of streams that wait to be begun. The library's 20 cut off a proxy as soon as the server was busy for
        // the 3 ms of its callers' deadlines.
        .http2_max_pending_accept_reset_streams(Some(RESETS_PER_SECOND as usize))
        .initial_stream_window_size(Some(STREAM_WINDOW))
        .initial_connection_window_size(Some(CONNECTION_WINDOW));
    if let Some(age) = config.max_connection_age {
        builder = builder.max_connection_age(age);
    }
    let served = builder.layer(gate).add_routes(routes);
    // The drain ends the connections that come in, upon which those there are are asked to end.
    let incoming = accept(listener, terms);
    tokio::spawn(async move { served.serve_with_incoming_shutdown(incoming, std::future::pending()).await })
}
