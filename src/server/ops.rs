//! The operations listener: HTTP/1.1 for probes and Prometheus, and nothing else.
//!
//! One request a connection, within a time and up to a number of them: no peer keeps it busy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic_health::server::HealthReporter;

use super::health;
use crate::domain::Domain;

/// From the connection to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Peers at a time; more wait.
const PEERS: usize = 64;
/// How often samples of histograms are put into their buckets where nobody fetches the metrics.
const UPKEEP: Duration = Duration::from_secs(5);
/// How often tasks past their due date are counted.
const OVERDUE: Duration = Duration::from_mins(1);
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running listener; ends when dropped.
pub(super) struct Operations {
    address: SocketAddr,
    _end: DropGuard,
}

impl Operations {
    /// Serves on `listener`.
    #[expect(clippy::disallowed_methods, reason = "ends when the handle is dropped")]
    pub(super) fn start(
        listener: TcpListener,
        health: HealthReporter,
        metrics: PrometheusHandle,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let end = CancellationToken::new();
        let serving = serve(listener, Arc::new(Source { health, metrics }));
        tokio::spawn(end.clone().run_until_cancelled_owned(serving));
        Ok(Self { address, _end: end.drop_guard() })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Keeps the count of tasks past their due date, until stopped.
pub(super) async fn count_overdue(domain: Domain, stop: CancellationToken) {
    let mut tick = tokio::time::interval(OVERDUE);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        match domain.count_overdue().await {
            Ok(count) => metrics::gauge!("usher_tasks_overdue")
                .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX))),
            Err(err) => err.log_delayed("counting overdue tasks"),
        }
    }
}

/// What answers are made of.
struct Source {
    health: HealthReporter,
    metrics: PrometheusHandle,
}

async fn serve(listener: TcpListener, source: Arc<Source>) {
    let mut peers = JoinSet::new();
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            accepted = listener.accept(), if peers.len() < PEERS => match accepted {
                Ok((stream, _)) => drop(peers.spawn(answer(stream, Arc::clone(&source)))),
                Err(err) => {
                    tracing::warn!(error = %err, "a connection of the operations listener could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = peers.join_next() => {}
            _ = upkeep.tick() => source.metrics.run_upkeep(),
        }
    }
}

async fn answer(stream: TcpStream, source: Arc<Source>) {
    let service = service_fn(|request: Request<Incoming>| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(route(&request, &source).await) }
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // A peer that breaks off, or takes too long, is nobody's fault here.
    tokio::time::timeout(PATIENCE, served).await.ok();
}

async fn route(request: &Request<Incoming>, source: &Source) -> Response<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" if health::is_serving(&source.health).await => text(StatusCode::OK, "ready\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        "/metrics" => text(StatusCode::OK, &source.metrics.render()),
        _ => text(StatusCode::NOT_FOUND, "only /livez, /readyz and /metrics\n"),
    }
}

fn text(status: StatusCode, body: &str) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = status;
    // The version is that of Prometheus's text format.
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
