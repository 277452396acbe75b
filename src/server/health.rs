//! `grpc.health.v1`: serving while the database answers, per service and overall. The same question sets
//! the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Overall;
use tonic_health::pb::health_server::{Health as _, HealthServer};
use tonic_health::server::{HealthReporter, HealthService};

use crate::model::clock::{AnchoredClock, Timestamp};
use crate::proto::v1::app_service_server::AppServiceServer;
use crate::proto::v1::content_service_server::ContentServiceServer;
use crate::proto::v1::task_service_server::TaskServiceServer;
use crate::proto::v1::token_service_server::TokenServiceServer;
use crate::proto::v1::user_service_server::UserServiceServer;
use crate::rpc::{Apps, Content, Tasks, Tokens, Users};
use crate::storage::{Outage, Store, StoreError, clock};

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(3);

/// Every name that can be asked for; the empty one is the server as a whole.
const NAMES: [&str; 6] = [
    "",
    UserServiceServer::<Users>::NAME,
    TokenServiceServer::<Tokens>::NAME,
    TaskServiceServer::<Tasks>::NAME,
    ContentServiceServer::<Content>::NAME,
    AppServiceServer::<Apps>::NAME,
];

/// What sets health, and the service that says it; `NOT_SERVING` at first.
pub(super) async fn reporter() -> (HealthReporter, HealthServer<HealthService>) {
    let reporter = HealthReporter::new();
    set(&reporter, ServingStatus::NotServing).await;
    let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    (reporter, service)
}

/// Whether the server as a whole is `SERVING`.
pub(super) async fn is_serving(reporter: &HealthReporter) -> bool {
    let service = HealthService::from_health_reporter(reporter.clone());
    let overall = service.check(Request::new(HealthCheckRequest::default())).await;
    overall.is_ok_and(|answer| answer.get_ref().status() == Overall::Serving)
}

/// Tells everybody who asks or watches.
pub(super) async fn set(reporter: &HealthReporter, status: ServingStatus) {
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// The database's time, and when it was told: half way between question and answer.
pub(super) async fn read_clock(store: &Store) -> Result<(Timestamp, Instant), StoreError> {
    let db = store.health().await?;
    let asked = Instant::now();
    let time = clock::get_now(&db).await?;
    Ok((time, asked + asked.elapsed() / 2))
}

/// Whether the database can be read and written; if so, its time.
async fn probe(store: &Store) -> Result<(Timestamp, Instant), StoreError> {
    store.check().await?;
    read_clock(store).await
}

/// Follows the database until stopped; what is said after that is not ours.
pub(super) async fn follow(
    reporter: HealthReporter,
    store: Store,
    clock: Arc<AnchoredClock>,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was = true;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let probed = tokio::time::timeout(PATIENCE, probe(&store)).await;
        let answers = match probed.unwrap_or(Err(StoreError::Unavailable(Outage::NoAnswer))) {
            Ok((time, read)) => {
                clock.set(time, read);
                true
            }
            Err(cause) => {
                if was && store.backend().logs_outages() {
                    tracing::warn!("the database cannot be used: health is NOT_SERVING");
                } else if was {
                    tracing::warn!(%cause, "the database cannot be used: health is NOT_SERVING");
                }
                false
            }
        };
        if stop.is_cancelled() {
            return;
        }
        if answers != was {
            was = answers;
            if answers {
                tracing::info!("the database can be used again: health is SERVING");
            }
            let status = if answers { ServingStatus::Serving } else { ServingStatus::NotServing };
            set(&reporter, status).await;
        }
    }
}
