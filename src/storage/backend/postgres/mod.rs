//! PostgreSQL 13+: READ COMMITTED transactions, row locks, LISTEN and NOTIFY between replicas.

pub(in crate::storage) mod fault;
pub mod json;
mod listen;
mod maintenance;
mod migrate;
mod statistics;
pub mod terms;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Order, SelectStatement};
use sea_orm::sqlx::{self, Executor as _};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, IdenStatic as _,
    Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::mpsc;

use super::json::JsonDialect;
use super::maintenance::{Maintained, MaintenanceError};
use super::terms::TermDialect;
use super::{Backend, FOUND, Lookup, Signal, Topic};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::Item;
use crate::storage::row::UserRow;

use crate::storage::{Db, OpenTransaction, Outage, StoreError, Tx, Urgency, Verdict, Work};

/// How often a transaction that lost a race is run in all.
const ATTEMPTS: u32 = 8;
/// The database ends what takes too long by itself; without any word from it, this long after.
const PATIENCE: Duration = Duration::from_secs(2);
/// A transaction whose process stands still lets go of its locks by then, so that a worker that was paused
/// in the middle of a batch keeps others from its task hardly longer than its lease.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3);

/// An open PostgreSQL database.
pub struct Postgres {
    pool: DatabaseConnection,
    url: String,
    listen_url: String,
    /// A statement without a deadline of its own ends by then.
    timeout: Duration,
}

impl Postgres {
    /// Connects to `url`; `listen_url` is used for LISTEN, which poolers break. No statement takes longer
    /// than `timeout`.
    pub async fn open(
        url: &str,
        listen_url: Option<&str>,
        connections: u32,
        timeout: Duration,
    ) -> Result<Arc<Self>, StoreError> {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(2))
            .test_before_acquire(false)
            .test_before_acquire_if_idle_for(Duration::from_secs(5))
            .sqlx_logging(false)
            .map_sqlx_postgres_pool_opts(move |pool| {
                pool.after_connect(move |connection, _| Box::pin(prepare(connection, timeout)))
            });
        let pool = Database::connect(options).await?;
        let listen_url = listen_url.unwrap_or(url).to_owned();
        Ok(Arc::new(Self { pool, url: url.to_owned(), listen_url, timeout }))
    }

    /// A deadline that is worth telling the database: well before what every connection has anyway.
    fn shorter(&self, deadline: Option<Deadline>) -> Option<Deadline> {
        deadline.filter(|deadline| deadline.left() < self.timeout.mul_f32(0.9))
    }

    async fn attempt(
        self: Arc<Self>,
        deadline: Option<Deadline>,
        work: &Work,
    ) -> Result<Verdict, StoreError> {
        let tx = self.pool.begin_with_options(TransactionOptions::default()).await?;
        let tx = Arc::new(OpenTransaction::new(tx));
        if let Some(deadline) = self.shorter(deadline) {
            limit(&tx, deadline).await?;
        }
        let verdict = work(Tx::new(Db::transaction(Arc::clone(&tx), self))).await;
        let Ok(tx) = Arc::try_unwrap(tx) else {
            return Err(StoreError::Internal("a transaction was kept beyond its work".into()));
        };
        match verdict {
            Verdict::Commit => tx.commit().await?,
            // A connection that broke has rolled back by itself.
            Verdict::RollBack | Verdict::Retry => tx.rollback().await.unwrap_or(()),
        }
        Ok(verdict)
    }
}

async fn prepare(connection: &mut sqlx::PgConnection, timeout: Duration) -> Result<(), sqlx::Error> {
    let settings = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET default_transaction_isolation = 'read committed'; SET client_min_messages = 'warning'",
        timeout.as_millis(),
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
    );
    connection.execute(sqlx::AssertSqlSafe(settings)).await.map(drop)
}

/// Ends statements of `tx` by the caller's deadline, in the database too.
async fn limit(tx: &OpenTransaction, deadline: Deadline) -> Result<(), StoreError> {
    let left = deadline.left().as_millis();
    if left == 0 {
        return Err(StoreError::Timeout);
    }
    tx.run(&format!("SET LOCAL statement_timeout = {left}")).await
}

#[async_trait]
impl Backend for Postgres {
    fn json(&self) -> &dyn JsonDialect {
        &json::PostgresJson
    }

    fn terms(&self) -> &dyn TermDialect {
        &terms::PostgresTerms
    }

    fn insert_items(&self, app: AppId, task: TaskId, items: &[Item]) -> Statement {
        let sql = "INSERT INTO task_items (app_id, task_id, idx, user_id, outcome, reason) \
                   SELECT $1, $2, one.idx, one.user_id, one.outcome, nullif(one.reason, '') \
                   FROM unnest($3::integer[], $4::text[], $5::smallint[], $6::text[]) \
                   AS one (idx, user_id, outcome, reason)";
        let indexes: Vec<i32> = items.iter().map(|item| item.index).collect();
        let users: Vec<String> = items.iter().map(|item| item.user_id.clone()).collect();
        let outcomes: Vec<i16> = items.iter().map(|item| item.outcome.code()).collect();
        let reasons: Vec<String> = items.iter().map(|item| item.reason.clone().unwrap_or_default()).collect();
        let lists = [indexes.into(), users.into(), outcomes.into(), reasons.into()];
        let values = [app.0.into(), task.to_string().into()].into_iter().chain(lists);
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
    }

    fn insert_users(
        &self,
        into: &str,
        rows: &[UserRow<'_>],
        on_conflict: &str,
    ) -> Result<Statement, StoreError> {
        let columns: Vec<&str> = UserRow::columns().map(|column| column.as_str()).collect();
        let columns = columns.join(", ");
        // One parameter: PostgreSQL plans and binds a statement of thousands for longer than it runs.
        let sql = format!(
            "{into} SELECT {columns} FROM json_populate_recordset(NULL::users, $1::json) {on_conflict}"
        );
        let rows = serde_json::to_string(rows).map_err(|err| StoreError::Internal(err.to_string()))?;
        Ok(Statement::from_sql_and_values(DbBackend::Postgres, sql, [rows.into()]))
    }

    fn now(&self) -> Expr {
        Expr::cust("CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
    }

    fn locks_rows(&self) -> bool {
        true
    }

    fn has_row(&self, lookup: Lookup) -> Expr {
        let (column, value) = ((FOUND, lookup.last.0), lookup.last.1.clone());
        // Of an equal value, PostgreSQL would find all rows that there are first, also removed ones; or, where
        // one author has most of a table, read it for each of those who have none of it. Of a range in order it
        // takes one after another, and only the index has that.
        let mut rows = lookup.rows();
        rows.and_where(Expr::col(column).between(value.clone(), value)).order_by(column, Order::Asc);
        Expr::exists(rows.offset(0).take())
    }

    fn around_lookups(&self) -> Option<[&'static str; 2]> {
        // A table thought to be empty is as soon sorted as looked up in.
        Some(["SET LOCAL enable_sort = off", "SET LOCAL enable_sort = DEFAULT"])
    }

    fn lock(&self, select: &mut SelectStatement) {
        select.lock(LockType::Update);
    }

    fn lock_shared(&self, select: &mut SelectStatement) {
        select.lock(LockType::KeyShare);
    }

    fn among(&self, mut select: SelectStatement) -> Expr {
        // An array is found before the rows are; of a subquery, PostgreSQL would make a join.
        let found = Expr::SubQuery(None, Box::new(select.expr(Expr::cust("ctid")).take().into()));
        Expr::cust_with_exprs("ctid = ANY(ARRAY $1)", [found])
    }

    fn lock_free_ones(&self, select: &mut SelectStatement) {
        select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }

    async fn reader(self: Arc<Self>, deadline: Option<Deadline>) -> Result<Db, StoreError> {
        let Some(deadline) = self.shorter(deadline) else {
            return Ok(Db::pool(self.pool.clone(), self));
        };
        // `SET LOCAL` needs a transaction; it ends, without effect, when the reader is dropped.
        let options = TransactionOptions { access_mode: Some(AccessMode::ReadOnly), ..Default::default() };
        let tx = OpenTransaction::new(self.pool.begin_with_options(options).await?);
        limit(&tx, deadline).await?;
        Ok(Db::transaction(Arc::new(tx), self))
    }

    async fn write(
        self: Arc<Self>,
        _: Urgency,
        deadline: Option<Deadline>,
        work: Work,
    ) -> Result<(), StoreError> {
        for attempt in 1..=ATTEMPTS {
            let bound = deadline.map_or(self.timeout + PATIENCE, |deadline| deadline.left() + PATIENCE);
            // A peer that is gone without a word is not waited for as long as TCP would.
            let tried = tokio::time::timeout(bound, self.clone().attempt(deadline, &work)).await;
            let lost = match tried.unwrap_or(Err(StoreError::Unavailable(Outage::NoAnswer))) {
                Ok(Verdict::Commit | Verdict::RollBack) => return Ok(()),
                Ok(Verdict::Retry) => None,
                Err(StoreError::Conflict) => Some(StoreError::Conflict),
                Err(err) => return Err(err),
            };
            if attempt == ATTEMPTS || deadline.is_some_and(|deadline| deadline.left().is_zero()) {
                // What the work itself said stands, where it said anything.
                return lost.map_or(Ok(()), Err);
            }
            let pause = rand::rng().random_range(1..=5 * u64::from(attempt));
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        migrate::run(&self.pool, &self.url).await
    }

    async fn notify(&self, topic: Topic, payloads: &[String]) -> Result<(), StoreError> {
        let sql = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";
        let payloads: Vec<String> = if payloads.is_empty() { vec![String::new()] } else { payloads.to_vec() };
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            sql,
            [topic.channel().into(), payloads.into()],
        );
        self.pool.execute_raw(statement).await?;
        Ok(())
    }

    async fn listen(&self) -> Result<Option<mpsc::Receiver<Signal>>, StoreError> {
        Ok(Some(listen::start(&self.listen_url)))
    }

    async fn settle(&self) -> Result<bool, StoreError> {
        // The matter of vacuum, whose time the operator sets.
        Ok(true)
    }

    async fn refresh_statistics(&self) -> Result<(), StoreError> {
        statistics::refresh(&self.pool).await
    }

    async fn maintain(
        &self,
        patience: Duration,
        told: &mut (dyn FnMut(Maintained) + Send),
    ) -> Result<(), MaintenanceError> {
        maintenance::run(&self.listen_url, patience, told).await
    }

    fn is_exclusive(&self) -> bool {
        false
    }

    async fn close(&self) {
        self.pool.close_by_ref().await.ok();
    }
}
