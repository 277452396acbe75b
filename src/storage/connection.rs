//! What statements run on: a connection of a pool, or an open transaction.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement,
};

use super::StoreError;
use super::backend::Backend;
use super::error::ends_transaction;

/// A connection to read with.
#[derive(Clone)]
pub struct Db {
    runner: Arc<dyn Runner>,
    backend: Arc<dyn Backend>,
}

/// A transaction to write with, handed out by [`Store::write`](super::Store::write). Reads as [`Db`].
#[derive(Clone)]
pub struct Tx(Db);

/// Runs statements: a pool, a connection, a transaction. As [`ConnectionTrait`], but without its generic
/// methods, so that each backend can hand out its own.
#[async_trait::async_trait]
pub trait Runner: Send + Sync {
    /// As [`ConnectionTrait::get_database_backend`].
    fn kind(&self) -> DbBackend;
    /// As [`ConnectionTrait::execute_raw`].
    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr>;
    /// As [`ConnectionTrait::execute_unprepared`].
    async fn execute_text(&self, sql: &str) -> Result<ExecResult, DbErr>;
    /// As [`ConnectionTrait::query_one_raw`].
    async fn query_one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr>;
    /// As [`ConnectionTrait::query_all_raw`].
    async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr>;
}

#[async_trait::async_trait]
impl<C: ConnectionTrait + Send + Sync> Runner for C {
    fn kind(&self) -> DbBackend {
        self.get_database_backend()
    }

    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.execute_raw(statement).await
    }

    async fn execute_text(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_unprepared(sql).await
    }

    async fn query_one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.query_one_raw(statement).await
    }

    async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.query_all_raw(statement).await
    }
}

/// A transaction that may end by itself: after an error of the disk or the connection no later statement of
/// it runs, as it would run outside of any transaction.
pub struct OpenTransaction {
    inner: DatabaseTransaction,
    ended_by: OnceLock<StoreError>,
}

impl OpenTransaction {
    /// Wraps a transaction that has just begun.
    pub fn new(inner: DatabaseTransaction) -> Self {
        Self { inner, ended_by: OnceLock::new() }
    }

    /// The error that ended it, if one did.
    pub fn ended_by(&self) -> Option<&StoreError> {
        self.ended_by.get()
    }

    /// Commits; on `Ok` the change is durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.ended_by.into_inner() {
            Some(err) => Err(err),
            None => Ok(self.inner.commit().await?),
        }
    }

    /// Undoes what was done.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.inner.rollback().await?)
    }

    /// Runs one statement without parameters.
    pub async fn run(&self, sql: &str) -> Result<(), StoreError> {
        let open = self.open()?;
        self.noted(open.execute_unprepared(sql).await)?;
        Ok(())
    }

    fn open(&self) -> Result<&DatabaseTransaction, DbErr> {
        match self.ended_by.get() {
            Some(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
            None => Ok(&self.inner),
        }
    }

    fn noted<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        result.inspect_err(|err| {
            if ends_transaction(err) {
                // The first error is the cause; later ones follow from it.
                self.ended_by.get_or_init(|| StoreError::of(err));
            }
        })
    }
}

impl Db {
    /// Statements go to `runner`.
    pub fn new(runner: Arc<dyn Runner>, backend: Arc<dyn Backend>) -> Self {
        Self { runner, backend }
    }

    /// What differs between databases.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    fn noted<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        result.inspect_err(|err| {
            if let StoreError::Unavailable(outage) = StoreError::of(err) {
                self.backend.notice(outage);
            }
        })
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
impl ConnectionTrait for OpenTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.noted(self.open()?.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.noted(self.open()?.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.noted(self.open()?.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.noted(self.open()?.query_all_raw(statement).await)
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Db {
    fn get_database_backend(&self) -> DbBackend {
        self.runner.kind()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.noted(self.runner.execute(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.noted(self.runner.execute_text(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.noted(self.runner.query_one(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.noted(self.runner.query_all(statement).await)
    }
}
