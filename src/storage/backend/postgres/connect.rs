//! How connections are made, and what holds on each.

use std::time::{Duration, Instant};

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};

use super::session::Session;
use crate::storage::{Outage, StoreError};

/// A transaction whose process stands still lets go of its locks by then, so that a worker that was paused
/// in the middle of a batch keeps others from its task hardly longer than its lease.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a server process that works looks whether its client is still there.
const CLIENT_CHECK: Duration = Duration::from_millis(500);
/// Pauses between attempts to reach a server that is starting.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

/// A standby, or a primary that was made read-only.
pub(super) const IS_READ_ONLY: &str =
    "pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";

/// Where connections lead, and what they are told at first.
pub(super) struct Connect {
    options: PgConnectOptions,
    pooled: bool,
    timeout: Duration,
    /// Sent with each BEGIN, where nothing may outlive a transaction.
    settings: String,
}

impl Connect {
    /// Statements end by `timeout`. Where `pooled`, a pooler hands a server process to each transaction.
    pub(super) fn new(options: PgConnectOptions, pooled: bool, timeout: Duration) -> Self {
        let settings = if pooled { settings("SET LOCAL", Duration::ZERO) } else { String::new() };
        Self { options, pooled, timeout, settings }
    }

    pub(super) const fn pooled(&self) -> bool {
        self.pooled
    }

    /// What a transaction has to be given, where it has no timeout of its own.
    pub(super) fn default_timeout(&self) -> Option<Duration> {
        self.pooled.then_some(self.timeout)
    }

    pub(super) fn settings(&self) -> &str {
        &self.settings
    }

    /// Makes a connection, as often as it takes to reach a server that is starting, for `within` at most.
    pub(super) async fn session(&self, within: Duration) -> Result<Session, sqlx::Error> {
        let begun = Instant::now();
        let mut pauses = PAUSES.into_iter();
        let mut pause = Duration::ZERO;
        loop {
            tokio::time::sleep(pause).await;
            match self.try_session().await {
                Err(err) if is_starting(&err) && begun.elapsed() < within * 3 / 4 => {
                    pause = pauses.next().unwrap_or(pause);
                }
                done => return done,
            }
        }
    }

    async fn try_session(&self) -> Result<Session, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        if self.pooled {
            return Ok(Session::new(connection, 0, true));
        }
        let process = prepare(&mut connection, self.timeout).await?;
        Ok(Session::new(connection, process, false))
    }
}

/// A single connection for what takes as long as it takes: migrations, maintenance.
pub(super) async fn unbounded(options: &PgConnectOptions) -> Result<DatabaseConnection, StoreError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move { prepare(connection, Duration::ZERO).await.map(drop) })
        });
    Ok(pool.connect_with(options.clone()).await?.into())
}

/// Says what holds for the session, and returns the process that serves it. A server that cannot be written
/// to is not used: what is read there may be old, and who may do what with it.
async fn prepare(connection: &mut PgConnection, timeout: Duration) -> Result<i32, sqlx::Error> {
    let sql = format!("{}SELECT pg_backend_pid(), {IS_READ_ONLY}", settings("SET", timeout));
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
    if row.try_get(1)? {
        return Err(StoreError::Unavailable(Outage::ReadOnly).into_driver());
    }
    // From version 14, and not on every system: without it, a statement outlives a killed server by its timeout.
    let check = format!("SET client_connection_check_interval = {}", CLIENT_CHECK.as_millis());
    match connection.execute(AssertSqlSafe(check)).await {
        Ok(_) | Err(sqlx::Error::Database(_)) => row.try_get(0),
        Err(err) => Err(err),
    }
}

/// What holds for a session, or, behind a pooler, for each transaction.
fn settings(set: &str, timeout: Duration) -> String {
    let idle = IDLE_IN_TRANSACTION_TIMEOUT.as_millis();
    let always = format!(
        "{set} idle_in_transaction_session_timeout = {idle}; {set} client_min_messages = 'warning'; "
    );
    if set != "SET" {
        return always;
    }
    let timeout = timeout.as_millis();
    format!(
        "{always}SET statement_timeout = {timeout}; SET default_transaction_isolation = 'read committed'; "
    )
}

/// Whether the server is on its way: nothing listens yet, or it says so.
fn is_starting(err: &sqlx::Error) -> bool {
    match err {
        sqlx::Error::Io(err) => err.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(err) => matches!(err.code().as_deref(), Some("57P03" | "53300")),
        _ => false,
    }
}
