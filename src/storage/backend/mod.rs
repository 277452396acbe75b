//! What differs between the databases. Nothing outside asks which one it is.

pub mod json;
pub mod maintenance;
pub mod postgres;
pub mod sqlite;
pub mod terms;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::Statement;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use tokio::sync::mpsc;

use self::json::JsonDialect;
use self::maintenance::{Maintained, MaintenanceError};
use self::terms::TermDialect;

use super::row::UserRow;
use super::{Db, Outage, StoreError, Urgency, Work};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::Item;

/// What replicas tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// There is a task to claim. No payload.
    Queue,
    /// A task has changed. Payload: `app:task`.
    Task,
}

impl Topic {
    /// Name of the channel.
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Queue => "usher_queue",
            Self::Task => "usher_task",
        }
    }
}

/// What a replica hears.
#[derive(Debug)]
pub enum Signal {
    /// Something was told.
    Told(Topic, String),
    /// Listening was interrupted: anything may have been missed.
    Gap,
}

/// Name of the row that a [`Lookup`] is for.
pub const FOUND: &str = "found";

/// A row of a table, looked up by the values of columns with which an index begins.
pub struct Lookup {
    /// Where it is.
    pub table: &'static str,
    /// Columns and their values.
    pub fixed: Vec<(&'static str, Expr)>,
    /// The column after those, or before them, of the index, and its value.
    pub last: (&'static str, Expr),
    /// What else must hold for it, as [`FOUND`].
    pub rest: Option<Expr>,
}

impl Lookup {
    /// Rows that are as asked, but for the value of the last column.
    fn rows(self) -> SelectStatement {
        let mut rows = Query::select();
        rows.expr(Expr::cust("1")).from_as(self.table, FOUND).and_where_option(self.rest);
        for (column, value) in self.fixed {
            rows.and_where(Expr::col((FOUND, column)).eq(value));
        }
        rows
    }
}

/// An open database.
#[async_trait]
pub trait Backend: Send + Sync {
    /// How JSON is looked into.
    fn json(&self) -> &dyn JsonDialect;

    /// How users are looked up by terms.
    fn terms(&self) -> &dyn TermDialect;

    /// Stores the items of a task.
    fn insert_items(&self, app: AppId, task: TaskId, items: &[Item]) -> Statement;

    /// Stores `rows` by a statement that begins and ends so: INSERT INTO, ON CONFLICT.
    fn insert_users(
        &self,
        into: &str,
        rows: &[UserRow<'_>],
        on_conflict: &str,
    ) -> Result<Statement, StoreError>;

    /// The database's clock, in microseconds since the epoch; alike for every replica.
    fn now(&self) -> Expr;

    /// Whether rows are locked; else whatever a transaction reads stands still.
    fn locks_rows(&self) -> bool;

    /// That there is such a row. To be asked between [`Self::around_lookups`].
    fn has_row(&self, lookup: Lookup) -> Expr;

    /// What is run before and after a statement that looks rows up one by one, so that they are whatever is
    /// known of tables.
    fn around_lookups(&self) -> Option<[&'static str; 2]>;

    /// Makes `select` lock the rows it finds until the end of the transaction.
    fn lock(&self, select: &mut SelectStatement);

    /// Makes `select` keep the rows it finds from being removed until the end of the transaction.
    fn lock_shared(&self, select: &mut SelectStatement);

    /// That a row is among those that `select`, which names no columns, finds: for statements that take no
    /// limit themselves.
    fn among(&self, select: SelectStatement) -> Expr;

    /// As [`Self::lock`], leaving out rows that others have locked.
    fn lock_free_ones(&self, select: &mut SelectStatement);

    /// A connection to read with.
    async fn reader(self: Arc<Self>, deadline: Option<Deadline>) -> Result<Db, StoreError>;

    /// A connection that nothing but health uses.
    async fn health_reader(self: Arc<Self>) -> Result<Db, StoreError> {
        self.reader(None).await
    }

    /// Runs and commits one transaction; see `Store::write`.
    async fn write(
        self: Arc<Self>,
        urgency: Urgency,
        deadline: Option<Deadline>,
        work: Work,
    ) -> Result<(), StoreError>;

    /// Brings the schema up to date, under a lock.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Tells all replicas.
    async fn notify(&self, topic: Topic, payloads: &[String]) -> Result<(), StoreError>;

    /// What other replicas tell; `None` where there can be no others.
    async fn listen(&self) -> Result<Option<mpsc::Receiver<Signal>>, StoreError>;

    /// Sees to it that what committed transactions removed is not kept beside the database any longer. False
    /// where somebody still reads what was there before.
    async fn settle(&self) -> Result<bool, StoreError>;

    /// Tells the planner of tables that have grown much since it last looked.
    async fn refresh_statistics(&self) -> Result<(), StoreError>;

    /// Ends what removed rows leave in files; see `usher maintenance`. Waits up to `patience` for whoever is in
    /// the way.
    async fn maintain(
        &self,
        patience: Duration,
        told: &mut (dyn FnMut(Maintained) + Send),
    ) -> Result<(), MaintenanceError>;

    /// Whether the database can be used, reads and writes alike.
    async fn check(self: Arc<Self>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether the cause of an outage is logged where it begins, so that health need not repeat it.
    fn logs_outages(&self) -> bool {
        false
    }

    /// Takes note of an outage that a statement met.
    fn notice(&self, _: Outage) {}

    /// Whether this process alone uses the database, so that leases of others are dead for sure.
    fn is_exclusive(&self) -> bool;

    /// Ends all connections.
    async fn close(&self);
}
