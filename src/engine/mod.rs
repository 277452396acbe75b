//! Durable background tasks.
//!
//! A task is a row. Whoever holds its newest, unexpired lease may change it; nobody else may. Every batch
//! of work is one transaction that begins with a lock of the row and a check of the lease, and holds the
//! change of data, the outcomes, the checkpoint and the progress together.
//!
//! Guarantees: what a checkpoint recorded is never done again; once another worker has claimed a task,
//! the one before can no longer commit; a revision rises with every change that callers can see.
//!
//! This module knows no task kind. Kinds live in `domain::jobs`.

mod announce;
mod hub;
mod kind;
mod queue;
mod stalled;
mod sweep;
mod watch;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::hub::Hub;
pub use self::kind::{Batch, Fault, Prepared, Registry, Step, TaskKind};
pub use self::queue::{ControlError, NewTask};
pub use self::watch::TaskStates;
use crate::model::clock::Clock;
use crate::model::task::{Task, TaskState};
use crate::storage::{Store, StoreError, Urgency, queue as rows};

/// Settings of the engine; each is documented at `server::config`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "see server::config")]
pub struct Settings {
    pub workers: usize,
    pub lease: Duration,
    pub batch: u64,
    pub max_failures: i32,
    pub retention: Duration,
}

/// The queue, the workers and the watchers of one process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    kinds: Registry,
    hub: Arc<Hub>,
    /// Rung when there may be something to claim.
    wake: Arc<Notify>,
    /// Where there can be other replicas.
    announcer: Option<announce::Announcer>,
}

/// What runs in the background; ends at batch boundaries once the token is cancelled.
#[derive(Debug, Clone, Default)]
pub struct Background {
    /// Cancelled to stop.
    pub stop: CancellationToken,
    /// Everything that was started.
    pub running: TaskTracker,
}

impl Engine {
    /// An engine over `store`; nothing runs until [`Self::start`].
    pub fn new(store: Store, clock: Arc<dyn Clock>, settings: Settings, kinds: Registry) -> Self {
        let announcer = (!store.backend().is_exclusive()).then(announce::Announcer::default);
        Self {
            store,
            clock,
            settings: Arc::new(settings),
            kinds,
            hub: Arc::default(),
            wake: Arc::default(),
            announcer,
        }
    }

    /// Starts workers, listener and sweeper.
    pub async fn start(&self, background: &Background) -> Result<(), StoreError> {
        if self.store.backend().is_exclusive() {
            // Nobody else can be alive: what the process before left need not wait for its lease.
            self.store
                .write(Urgency::Interactive, None, |tx| async move { rows::release_all(&tx).await })
                .await?;
        }
        let signals = self.store.backend().listen().await?;
        background.running.spawn(announce::listen(self.clone(), signals, background.stop.clone()));
        if let Some(announcer) = &self.announcer {
            background.running.spawn(announcer.clone().run(self.store.clone(), background.stop.clone()));
        }
        background.running.spawn(sweep::run(self.clone(), background.stop.clone()));
        if self.settings.workers > 0 {
            background.running.spawn(worker::run(self.clone(), background.stop.clone()));
            background.running.spawn(stalled::run(self.clone(), background.stop.clone()));
        }
        Ok(())
    }

    /// How long tasks are kept after their end.
    pub fn retention(&self) -> Duration {
        self.settings.retention
    }

    /// Tells watchers, here and on other replicas, of a task as it was just committed.
    pub fn announce(&self, task: &Task) {
        if let Some(announcer) = &self.announcer {
            announcer.changed(task);
        }
        self.hub.publish(task.clone());
        if task.state == TaskState::Pending {
            self.wake.notify_one();
        }
    }
}
