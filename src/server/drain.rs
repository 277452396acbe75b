//! Going down in good order, within a bound.
//!
//! Neither an open health watch nor a silent connection may keep a server alive, and tonic's own graceful
//! end waits for both: what is left after the calls under way have ended is cut off.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::health;
use crate::domain::Domain;
use crate::engine::Background;
use crate::model::clock::Deadline;
use crate::storage::Store;

/// Time for the last frames to leave, once nothing is under way: a moment at least, and this long where the
/// grace period has it. A caller that reads slowly still gets its stream's last word.
const FLUSH: Duration = Duration::from_secs(5);
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
    /// Stops accepting.
    pub(super) accepting: CancellationToken,
    pub(super) under_way: TaskTracker,
    pub(super) background: Background,
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

        self.accepting.cancel();
        // Streams end with SERVER_DRAINING, workers at their next batch boundary.
        self.background.stop.cancel();
        self.background.running.close();
        self.under_way.close();
        let ended = async {
            self.under_way.wait().await;
            self.background.running.wait().await;
        };
        let grace = Deadline::after(self.grace);
        if tokio::time::timeout(grace.left(), ended).await.is_err() {
            tracing::warn!("calls or batches were still under way at the end of the grace period");
        }
        let flush = grace.left().clamp(MOMENT, FLUSH);
        if tokio::time::timeout(flush, &mut self.server).await.is_err() {
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
    }
}
