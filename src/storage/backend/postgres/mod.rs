//! PostgreSQL 13+: READ COMMITTED transactions, row locks, LISTEN and NOTIFY between replicas.

mod check;
mod connect;
mod control;
pub(in crate::storage) mod fault;
pub mod json;
mod listen;
mod maintenance;
mod migrate;
mod pool;
mod session;
mod statistics;
pub mod terms;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Order, SelectStatement};
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait, DbBackend, IdenStatic as _, Statement};
use tokio::sync::mpsc;

pub use self::check::OpenError;
use self::connect::Connect;
use self::control::Control;
use self::pool::{Pool, Transaction};
use super::json::JsonDialect;
use super::maintenance::{Maintained, MaintenanceError};
use super::terms::TermDialect;
use super::{Backend, FOUND, Lookup, Signal, Topic};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::Item;
use crate::storage::row::UserRow;
use crate::storage::{Db, Outage, StoreError, Tx, Urgency, Verdict, Work};

/// How often a transaction that lost a race is run in all.
const ATTEMPTS: u32 = 8;
/// The database ends what takes too long by itself; without any word from it, this long after.
const PATIENCE: Duration = Duration::from_secs(2);

/// How PostgreSQL is to be used.
pub struct Settings<'a> {
    /// Where it is.
    pub url: &'a str,
    /// The way past a pooler, for what needs a session of its own: LISTEN, migrations.
    pub listen_url: Option<&'a str>,
    /// The URL leads through a pooler that hands a server process to each transaction.
    pub pooled: bool,
    /// Connections at most.
    pub connections: u32,
    /// The longest a statement may take.
    pub timeout: Duration,
}

/// An open PostgreSQL database.
pub struct Postgres {
    pool: Pool,
    /// Health's own connection: a pool that is busy is not a database that is gone.
    health: Arc<Control>,
    /// The last check failed.
    down: AtomicBool,
    /// Leads past a pooler, where there is one.
    direct: PgConnectOptions,
    /// A statement without a deadline of its own ends by then.
    timeout: Duration,
}

impl Postgres {
    /// Connects, once it is known that usher finds there what it needs.
    pub async fn open(settings: &Settings<'_>) -> Result<Arc<Self>, OpenError> {
        let &Settings { url, listen_url, pooled, connections, timeout } = settings;
        let options = url::parse(url)?;
        let direct = match listen_url {
            Some(past_pooler) => url::parse(past_pooler)?,
            None if pooled => return Err(OpenError::NoWayPastPooler),
            None => options.clone(),
        };
        check::run(&direct).await?;
        let control = || Control::new(direct.clone());
        let pool = Pool::new(Connect::new(options, pooled, timeout), control(), connections);
        drop(pool.lease().await?);
        Ok(Arc::new(Self {
            pool,
            health: Arc::new(control()),
            down: AtomicBool::new(false),
            direct,
            timeout,
        }))
    }

    /// A deadline that is worth telling the database: well before what every connection has anyway.
    fn shorter(&self, deadline: Option<Deadline>) -> Result<Option<Duration>, StoreError> {
        let left = deadline.map(Deadline::left).filter(|left| *left < self.timeout.mul_f32(0.9));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(StoreError::Timeout);
        }
        Ok(left)
    }

    async fn attempt(
        self: Arc<Self>,
        deadline: Option<Deadline>,
        work: &Work,
        committing: &AtomicBool,
    ) -> Result<Verdict, StoreError> {
        let lease = self.pool.begin("", self.shorter(deadline)?).await?;
        let tx = Arc::new(Transaction::new(lease));
        let verdict = work(Tx::new(Db::new(tx.clone(), self))).await;
        let Some(tx) = Arc::into_inner(tx) else {
            return Err(StoreError::Internal("a transaction was kept beyond its work".into()));
        };
        let mut lease = tx.into_lease();
        match verdict {
            Verdict::Commit => {
                committing.store(true, Ordering::Release);
                lease.session().commit().await?;
            }
            // A connection that broke has rolled back by itself.
            Verdict::RollBack | Verdict::Retry => lease.session().roll_back().await.unwrap_or(()),
        }
        Ok(verdict)
    }
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
        let Some(left) = self.shorter(deadline)? else {
            return Ok(Db::new(Arc::new(self.pool.clone()), self));
        };
        // `SET LOCAL` needs a transaction; it ends, without effect, when the reader is dropped.
        let tx = Transaction::new(self.pool.begin("READ ONLY", Some(left)).await?);
        Ok(Db::new(Arc::new(tx), self))
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
            let committing = AtomicBool::new(false);
            let run = self.clone().attempt(deadline, &work, &committing);
            let tried = tokio::time::timeout(bound, run).await.unwrap_or_else(|_| {
                let committing = committing.load(Ordering::Acquire);
                let outage = if committing { Outage::CommitUnknown } else { Outage::NoAnswer };
                Err(StoreError::Unavailable(outage))
            });
            // Only what certainly did not happen is run again.
            let lost = match tried {
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
        migrate::run(&self.direct).await
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
        Ok(Some(listen::start(self.direct.clone())))
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
        maintenance::run(&self.direct, patience, told).await
    }

    async fn health_reader(self: Arc<Self>) -> Result<Db, StoreError> {
        Ok(Db::new(self.health.clone(), self))
    }

    async fn check(self: Arc<Self>) -> Result<(), StoreError> {
        let checked = self.health.check().await;
        let was_down = self.down.swap(checked.is_err(), Ordering::AcqRel);
        // Connections that lead to a server of before, or to one that only reads, are not lent any more.
        if was_down || matches!(checked, Err(StoreError::Unavailable(Outage::ReadOnly))) {
            self.pool.renew();
        }
        checked
    }

    fn is_exclusive(&self) -> bool {
        false
    }

    async fn close(&self) {
        self.health.close().await;
        self.pool.close().await;
    }
}
