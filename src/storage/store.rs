//! The database as the rest of usher sees it: reads, and writes in one transaction each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, Topic};
use super::connection::{Db, Tx};
use super::{Retryable, StoreError};
use crate::model::clock::Deadline;

/// How long what was erased may stay in the log at least.
const SETTLE_AGAIN: Duration = Duration::from_millis(200);

/// How often it is looked whether tables have outgrown their statistics.
const LOOK_AT_STATISTICS: Duration = Duration::from_secs(1);

/// A database, whichever it is. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    /// Rung when something was erased.
    erased: Arc<Notify>,
}

/// Who waits for a write. SQLite has one writer: callers go before tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A caller waits for the answer.
    Interactive,
    /// A batch of a task.
    Background,
}

/// What the work of a transaction came to.
#[derive(Debug)]
pub enum Verdict {
    /// Commit it.
    Commit,
    /// Undo it; the error has been noted.
    RollBack,
    /// Undo it and run the work again: a race was lost.
    Retry,
}

/// The work of one transaction, erased; may run several times.
pub type Work = Box<dyn Fn(Tx) -> BoxFuture<'static, Verdict> + Send + Sync>;

impl Store {
    /// Wraps an open database.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, erased: Arc::default() }
    }

    /// What differs between databases.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// A connection to read with; its statements end by `deadline`.
    pub async fn read(&self, deadline: Option<Deadline>) -> Result<Db, StoreError> {
        self.backend.clone().reader(deadline).await
    }

    /// A connection to ask with whether the database is well, which is free however busy the others are.
    pub async fn health(&self) -> Result<Db, StoreError> {
        self.backend.clone().health_reader().await
    }

    /// Runs `work` in one transaction and commits it, all or nothing.
    ///
    /// `work` is run again, on a fresh transaction, where it lost a race ([`Retryable`]); it must hold no
    /// network call and no long loop. When this returns `Ok` the change is durable. An
    /// `Unavailable` from the commit itself may leave it either way.
    pub async fn write<T, E, F, Fut>(
        &self,
        urgency: Urgency,
        deadline: Option<Deadline>,
        work: F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Retryable + Send + 'static,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let slot: Arc<Mutex<Option<Result<T, E>>>> = Arc::default();
        let noted = Arc::clone(&slot);
        let erased: Work = Box::new(move |tx| {
            let result = work(tx);
            let noted = Arc::clone(&noted);
            Box::pin(async move {
                let result = result.await;
                let verdict = match &result {
                    Ok(_) => Verdict::Commit,
                    Err(err) if err.is_conflict() => Verdict::Retry,
                    Err(_) => Verdict::RollBack,
                };
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                verdict
            })
        });

        let committed = self.backend.clone().write(urgency, deadline, erased).await;
        let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (committed, result) {
            // A commit that failed overrides whatever the work returned.
            (Err(err), _) => Err(err.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => {
                Err(StoreError::Internal("the work of a transaction did not run".into()).into())
            }
        }
    }

    /// Tells every replica that listens, after the commit. Losing it costs time, nothing else.
    pub async fn notify(&self, topic: Topic, payloads: &[String]) -> Result<(), StoreError> {
        self.backend.notify(topic, payloads).await
    }

    /// Tells that committed transactions removed what must leave the disk, too; see [`Self::keep_settled`].
    pub fn erased(&self) {
        self.erased.notify_one();
    }

    /// Settles the database whenever something was erased, as often as it takes, until stopped; and once at
    /// first, for a process before that died too early.
    pub async fn keep_settled(self, stop: CancellationToken) {
        loop {
            let settled = self.backend.settle().await.unwrap_or_else(|err| {
                err.log_delayed("clearing what was erased from the disk");
                false
            });
            let next = async {
                if settled {
                    self.erased.notified().await;
                }
                // Readers are let be, and batches that erase one after the other are settled together.
                tokio::time::sleep(SETTLE_AGAIN).await;
            };
            tokio::select! {
                () = next => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Keeps the planner informed while tables grow fast, until stopped.
    pub async fn keep_statistics(self, stop: CancellationToken) {
        let pause = || tokio::time::sleep(LOOK_AT_STATISTICS);
        while stop.run_until_cancelled(pause()).await.is_some() {
            if let Err(err) = self.backend.refresh_statistics().await {
                tracing::debug!(error = %err, "statistics could not be refreshed");
            }
        }
    }

    /// Whether the database can be used, reads and writes alike.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.backend.clone().check().await
    }

    /// Ends all connections, in good order.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}
