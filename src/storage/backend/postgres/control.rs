//! A connection beside the pool, which is free when the pool is not: it ends statements whose callers are
//! gone, finds connections whose answers will not come, and tells whether the database can be used.

use std::collections::{HashMap, HashSet};
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgQueryResult, PgRow};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Row as _};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::Mutex;

use super::connect::IS_READ_ONLY;
use super::fault;
use super::pool::Inner;
use super::session::{KIND, of_query};
use crate::storage::{Outage, StoreError};

/// A question is answered by then, or its connection is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the watch looks, and how long a statement may take before it is looked at.
const LOOK: Duration = Duration::from_millis(250);
const SUSPECT: Duration = Duration::from_millis(500);
/// Looks after which it is given up.
const LOOKS: u32 = 4;

/// The connection; made when it is needed first, and again when it failed.
pub(super) struct Control {
    options: PgConnectOptions,
    connection: Mutex<Option<PgConnection>>,
    /// The connection may lead to another server than new ones do.
    stale: AtomicBool,
}

impl Control {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, connection: Mutex::default(), stale: AtomicBool::new(false) }
    }

    /// Asks in one message, so that it works behind a pooler. A connection that went dead while nobody used
    /// it is replaced.
    pub(super) async fn ask(&self, sql: &str) -> Result<Vec<PgRow>, StoreError> {
        let mut kept = self.connection.lock().await;
        let is_stale = self.stale.swap(false, Ordering::AcqRel);
        if let Some(connection) = kept.take().filter(|_| !is_stale) {
            match answer(connection, sql, &mut kept).await {
                Err(StoreError::Unavailable(_)) => {}
                answered => return answered,
            }
        }
        let connected = tokio::time::timeout(PATIENCE, self.options.connect()).await;
        let connection = connected.map_err(|_| StoreError::Unavailable(Outage::NoAnswer))??;
        answer(connection, sql, &mut kept).await
    }

    /// Asks over a new connection from now on.
    pub(super) fn renew(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Ends the statement that a server process works on. Where that fails, its own timeout ends it.
    pub(super) async fn cancel(&self, process: i32) {
        if let Err(err) = self.ask(&format!("SELECT pg_cancel_backend({process})")).await {
            tracing::debug!(error = %err, "a statement whose caller is gone could not be cancelled");
        }
    }

    /// Whether the database can be read and written.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let rows = self.ask(&format!("SELECT {IS_READ_ONLY}")).await?;
        let is_read_only = rows.first().map(|row| row.try_get(0)).transpose()?;
        if is_read_only == Some(false) {
            return Ok(());
        }
        // The address may lead to a server that writes by the next time.
        self.renew();
        Err(StoreError::Unavailable(Outage::ReadOnly))
    }

    /// Which of `processes` work on a statement.
    async fn active(&self, processes: &[i32]) -> Result<HashSet<i32>, StoreError> {
        let list: Vec<String> = processes.iter().map(ToString::to_string).collect();
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid IN ({})",
            list.join(", ")
        );
        let rows = self.ask(&sql).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, sqlx::Error>>()?)
    }

    async fn rows(&self, sql: &str) -> Result<Vec<PgRow>, DbErr> {
        self.ask(sql).await.map_err(|err| of_query(err.into_driver()))
    }

    /// Ends the connection.
    pub(super) async fn close(&self) {
        self.connection.lock().await.take();
    }
}

/// For statements without values, which leave no transaction open.
#[async_trait::async_trait]
impl ConnectionTrait for Control {
    fn get_database_backend(&self) -> DbBackend {
        KIND
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.execute_unprepared(&statement.to_string()).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.rows(sql).await.map(|_| PgQueryResult::default().into())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.rows(&statement.to_string()).await?.into_iter().next().map(QueryResult::from))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        Ok(self.rows(&statement.to_string()).await?.into_iter().map(QueryResult::from).collect())
    }
}

/// Asks over `connection`, and keeps it where it may be used again.
async fn answer(
    mut connection: PgConnection,
    sql: &str,
    kept: &mut Option<PgConnection>,
) -> Result<Vec<PgRow>, StoreError> {
    let asked = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection);
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    let answered = answered.map_err(|_| StoreError::Unavailable(Outage::NoAnswer))?;
    if answered.as_ref().err().is_none_or(fault::keeps_connection) {
        *kept = Some(connection);
    }
    Ok(answered?)
}

/// Gives up connections whose answers will not come: the server process behind them works on nothing, seen
/// [`LOOKS`] times in a row, so that an answer that has come and was not read yet, on a busy machine, is not lost. A host or a switch that went away without a word closes no connection, and TCP alone waits for
/// many minutes. Ends with the pool.
pub(super) async fn watch(pool: Weak<Inner>) {
    let mut seen: HashMap<(i32, u64), u32> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(pool) = pool.upgrade() else { return };
        let waiting = pool.waiting(SUSPECT);
        let processes: Vec<i32> = waiting.iter().map(|(pulse, _)| pulse.process()).collect();
        let active = match processes.as_slice() {
            [] => Ok(HashSet::new()),
            some => pool.control.active(some).await,
        };
        // Without an answer nothing is known.
        let Ok(active) = active else { continue };
        let mut silent = HashMap::new();
        for (pulse, sent) in waiting {
            let process = pulse.process();
            if active.contains(&process) || pulse.waiting(Duration::ZERO) != Some(sent) {
                continue;
            }
            let looks = seen.get(&(process, sent)).copied().unwrap_or_default() + 1;
            if looks >= LOOKS {
                pulse.lost.cancel();
            } else {
                silent.insert((process, sent), looks);
            }
        }
        seen = silent;
    }
}
