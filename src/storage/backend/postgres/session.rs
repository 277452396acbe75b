//! One connection to PostgreSQL, and what it is doing.
//!
//! A statement whose caller is gone leaves its connection in the middle of an answer; whether it did is known
//! here, so that [`settle`](Session::settle) can end the statement and the transaction before the connection
//! is used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _, Row as _};
use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use tokio_util::sync::CancellationToken;

use super::control::Control;
use super::fault;
use crate::storage::{Outage, StoreError};

/// A statement that ends by itself within this time is not cancelled when its caller is gone.
const SOON: Duration = Duration::from_millis(20);

/// A connection and the state of its transaction.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Session {
    connection: PgConnection,
    pulse: Arc<Pulse>,
    /// The pooler hands a server process to each transaction: nothing may outlive one.
    pooled: bool,
    /// A transaction was begun and has not ended.
    open: bool,
    /// A statement of the transaction failed: PostgreSQL would answer COMMIT by rolling back.
    failed: bool,
    /// The connection must not be used again.
    unusable: bool,
}

/// What the watch sees of a session: which server process serves it, and how long it has waited for an answer.
pub(super) struct Pulse {
    born: Instant,
    process: AtomicI32,
    /// When the statement under way was sent, in milliseconds after `born` and one; 0 where there is none.
    sent: AtomicU64,
    /// Cancelled by the watch: the answer will not come any more.
    pub(super) lost: CancellationToken,
}

impl Pulse {
    /// The server process that serves the session.
    pub(super) fn process(&self) -> i32 {
        self.process.load(Ordering::Acquire)
    }

    /// What marks the statement under way, where it has been so for `at_least`.
    pub(super) fn waiting(&self, at_least: Duration) -> Option<u64> {
        let sent = self.sent.load(Ordering::Acquire);
        (sent > 0 && self.now().saturating_sub(sent) >= millis(at_least)).then_some(sent)
    }

    fn now(&self) -> u64 {
        millis(self.born.elapsed()) + 1
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Session {
    /// A session over a new connection, served by `process`.
    pub(super) fn new(connection: PgConnection, process: i32, pooled: bool) -> Self {
        let pulse = Pulse {
            born: Instant::now(),
            process: AtomicI32::new(process),
            sent: AtomicU64::new(0),
            lost: CancellationToken::new(),
        };
        let pulse = Arc::new(pulse);
        Self { connection, pulse, pooled, open: false, failed: false, unusable: false }
    }

    pub(super) const fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub(super) fn age(&self) -> Duration {
        self.pulse.born.elapsed()
    }

    /// Whether nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        !self.open && !self.is_waiting()
    }

    pub(super) const fn is_unusable(&self) -> bool {
        self.unusable
    }

    fn is_waiting(&self) -> bool {
        self.pulse.sent.load(Ordering::Acquire) > 0
    }

    /// Runs one statement. Where this future is dropped, the session is not settled.
    async fn run<T, F>(&mut self, ask: F) -> Result<T, sqlx::Error>
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send,
    {
        if self.unusable {
            return Err(lost());
        }
        self.pulse.sent.store(self.pulse.now(), Ordering::Release);
        let done = tokio::select! {
            biased;
            done = ask(&mut self.connection) => done,
            () = self.pulse.lost.cancelled() => Err(lost()),
        };
        self.pulse.sent.store(0, Ordering::Release);
        if let Err(err) = &done
            && !matches!(err, sqlx::Error::RowNotFound)
        {
            self.failed = true;
            self.unusable |= !fault::keeps_connection(err);
        }
        done
    }

    /// Begins a transaction whose statements end by `timeout`, where that is less than what the session has.
    pub(super) async fn begin(
        &mut self,
        access: &str,
        timeout: Option<Duration>,
        defaults: &str,
    ) -> Result<(), sqlx::Error> {
        let limit = timeout.map(|timeout| {
            let millis = timeout.as_millis().max(1);
            format!("SET LOCAL statement_timeout = {millis}; ")
        });
        let limit = limit.unwrap_or_default();
        let ask = if self.pooled { "SELECT pg_backend_pid()" } else { "" };
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED {access}; {defaults}{limit}{ask}");
        (self.open, self.failed) = (true, false);
        if self.pooled {
            // Until the pooler has one free, no process serves this session.
            self.pulse.process.store(0, Ordering::Release);
            let row = self.run(|on| Box::pin(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(on))).await?;
            self.pulse.process.store(row.try_get(0)?, Ordering::Release);
            return Ok(());
        }
        self.run(|on| on.execute(AssertSqlSafe(sql))).await.map(drop)
    }

    /// Commits. An error that may have come after the commit says that the outcome is not known.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        if self.unusable {
            return Err(StoreError::Unavailable(Outage::ConnectionLost));
        }
        if self.failed {
            self.roll_back().await.ok();
            return Err(StoreError::Internal("a statement failed, and its work went on to commit".into()));
        }
        let done = self.run(|on| on.execute("COMMIT")).await;
        self.open = done.is_err();
        match done.map_err(|err| (fault::is_refusal(&err), StoreError::from(err))) {
            Ok(_) => Ok(()),
            Err((true, refused)) => Err(refused),
            Err((false, _)) => Err(StoreError::Unavailable(Outage::CommitUnknown)),
        }
    }

    /// Rolls back.
    pub(super) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        let done = self.run(|on| on.execute("ROLLBACK")).await;
        self.open = done.is_err();
        done.map(drop)
    }

    /// Ends what a caller that is gone has left under way.
    pub(super) async fn settle(&mut self, control: &Control) -> Result<(), sqlx::Error> {
        if self.is_waiting() {
            if tokio::time::timeout(SOON, self.quiet()).await.is_err() {
                match self.pulse.process() {
                    // It waits for a process; the pooler forgets it with the connection.
                    0 => return Err(lost()),
                    process => control.cancel(process).await,
                }
                self.quiet().await?;
            }
            self.pulse.sent.store(0, Ordering::Release);
        }
        if self.open { self.roll_back().await } else { Ok(()) }
    }

    /// Waits until the server has answered all that it was asked.
    pub(super) async fn quiet(&mut self) -> Result<(), sqlx::Error> {
        loop {
            match self.connection.ping().await {
                // The answer to what was asked before; the answer to the ping is behind it.
                Err(err) if fault::keeps_connection(&err) => {}
                done => return done,
            }
        }
    }

    /// Says goodbye to the server, which would otherwise log that the client is gone.
    pub(super) async fn part(self) {
        self.connection.close().await.ok();
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        let keep = !self.pooled;
        self.run(|on| Box::pin(async move { query(&statement).persistent(keep).execute(on).await }))
            .await
            .map(ExecResult::from)
            .map_err(of_execution)
    }

    pub(super) async fn execute_text(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = AssertSqlSafe(sql.to_owned());
        self.run(|on| on.execute(sql)).await.map(ExecResult::from).map_err(of_execution)
    }

    pub(super) async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let keep = !self.pooled;
        Ok(self
            .run(|on| Box::pin(async move { query(&statement).persistent(keep).fetch_optional(on).await }))
            .await
            .map_err(of_query)?
            .map(QueryResult::from))
    }

    pub(super) async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let keep = !self.pooled;
        let rows = self
            .run(|on| Box::pin(async move { query(&statement).persistent(keep).fetch_all(on).await }))
            .await
            .map_err(of_query)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

/// What PostgreSQL is, to SeaORM.
pub(super) const KIND: DbBackend = DbBackend::Postgres;

fn query(statement: &Statement) -> sqlx::query::Query<'_, sqlx::Postgres, SqlxValues> {
    let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

fn lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
}

fn of_execution(err: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(err)))
}

pub(super) fn of_query(err: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(err)))
}
