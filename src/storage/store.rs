//! Connections and transactions. The only place that begins one.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, Topic};
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

/// A connection to read with.
#[derive(Clone)]
pub struct Db {
    executor: Executor,
    backend: Arc<dyn Backend>,
}

/// A transaction to write with, handed out by [`Store::write`]. Reads as [`Db`].
#[derive(Clone)]
pub struct Tx(Db);

#[derive(Clone)]
enum Executor {
    Pool(DatabaseConnection),
    Transaction(Arc<DatabaseTransaction>),
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
                tracing::warn!(error = %err, "what was erased is still on disk; trying again");
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

    /// Ends all connections, in good order.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

impl Db {
    /// A connection of a pool.
    pub fn pool(pool: DatabaseConnection, backend: Arc<dyn Backend>) -> Self {
        Self { executor: Executor::Pool(pool), backend }
    }

    /// Within a transaction.
    pub fn transaction(tx: Arc<DatabaseTransaction>, backend: Arc<dyn Backend>) -> Self {
        Self { executor: Executor::Transaction(tx), backend }
    }

    /// What differs between databases.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl Tx {
    /// For backends, which begin and end transactions.
    pub fn new(db: Db) -> Self {
        Self(db)
    }
}

impl Deref for Tx {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.0
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Db {
    fn get_database_backend(&self) -> DbBackend {
        match &self.executor {
            Executor::Pool(pool) => pool.get_database_backend(),
            Executor::Transaction(tx) => tx.get_database_backend(),
        }
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        match &self.executor {
            Executor::Pool(pool) => pool.execute_raw(stmt).await,
            Executor::Transaction(tx) => tx.execute_raw(stmt).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.executor {
            Executor::Pool(pool) => pool.execute_unprepared(sql).await,
            Executor::Transaction(tx) => tx.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.executor {
            Executor::Pool(pool) => pool.query_one_raw(stmt).await,
            Executor::Transaction(tx) => tx.query_one_raw(stmt).await,
        }
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.executor {
            Executor::Pool(pool) => pool.query_all_raw(stmt).await,
            Executor::Transaction(tx) => tx.query_all_raw(stmt).await,
        }
    }
}
