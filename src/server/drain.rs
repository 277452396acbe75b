//! Going down in good order, within a bound.
//!
//! Connections are asked to end (GOAWAY) before anything else: calls that were on the way are served, and each
//! connection ends when its calls have. Streams end with `SERVER_DRAINING`, so that they go on elsewhere. Peers
//! that do not heed any of it are cut off: see [`super::connection`].

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::health;
use super::ops::Operations;
use crate::domain::Domain;
use crate::engine::Background;
use crate::storage::Store;

/// Time for the last frames to leave where the grace period has none for them.
const MOMENT: Duration = Duration::from_millis(200);

/// Time for the database to let go.
const CLOSE: Duration = Duration::from_secs(1);

/// What has to come to an end.
pub(super) struct Drain {
    pub(super) health: HealthReporter,
    /// Health says that no call should come, connections are still taken for so long.
    pub(super) delay: Duration,
    /// Calls and batches under way may go on for so long after that.
    pub(super) grace: Duration,
    /// Ends the probe that sets health.
    pub(super) probing: CancellationToken,
    /// Stops accepting, and asks every connection to end.
    pub(super) connections: CancellationToken,
    pub(super) background: Background,
    /// Serves probes to the end.
    pub(super) operations: Option<Operations>,
    /// Ends when every connection has ended.
    pub(super) server: JoinHandle<Result<(), tonic::transport::Error>>,
    pub(super) domain: Domain,
    pub(super) store: Store,
}

impl Drain {
    /// Ends everything; returns by delay, grace and a moment.
    pub(super) async fn run(mut self) {
        self.probing.cancel();
        health::set(&self.health, ServingStatus::NotServing).await;
        tokio::time::sleep(self.delay).await;

        self.connections.cancel();
        // Streams end, workers at their next batch boundary.
        self.background.stop.cancel();
        self.background.running.close();
        let ended = async {
            let _ = (&mut self.server).await;
            self.background.running.wait().await;
        };
        if tokio::time::timeout(self.grace.max(MOMENT), ended).await.is_err() {
            tracing::warn!("calls or batches were still under way at the end of the grace period");
            self.server.abort();
        }
        // What calls until now have seen of users.
        if !matches!(tokio::time::timeout(CLOSE, self.domain.flush_presence()).await, Ok(Ok(()))) {
            tracing::warn!("the last signs of life could not be written");
        }
        // A database that does not answer is left as it is: what was committed is safe.
        if tokio::time::timeout(CLOSE, self.store.close()).await.is_err() {
            tracing::warn!("the database did not let go of its connections in time");
        }
        drop(self.operations);
    }
}
