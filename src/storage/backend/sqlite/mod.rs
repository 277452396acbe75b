//! SQLite: one writer that commits small writes together, a pool of readers, no other replica.

mod condition;
mod connect;
pub(in crate::storage) mod fault;
mod files;
pub mod json;
mod line;
pub mod terms;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value};
use serde_json::json;
use tokio::sync::mpsc;

use self::connect::{Access, connect, foreign_table};
pub use self::files::Claim;
use self::files::Files;
use self::line::Line;
use self::writer::{Disk, Writer};
use super::json::JsonDialect;
use super::maintenance::{Maintained, MaintenanceError};
use super::terms::TermDialect;
use super::{Backend, FOUND, Lookup, Signal, Topic};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Item, Outcome};
use crate::storage::row::UserRow;
use crate::storage::{Db, Outage, StoreError, Urgency, Verdict, Work, migration};

/// How long to wait before looking again whether readers have gone.
const LOOK: Duration = Duration::from_millis(50);

/// An open SQLite database. Fields are dropped in order: the locked file last, see [`Claim`].
pub struct Sqlite {
    readers: DatabaseConnection,
    writer: Writer,
    /// See [`Access::Settle`].
    settler: DatabaseConnection,
    disk: Disk,
    sharing: Sharing,
    /// Locked as long as this server lives.
    _file: File,
}

/// Whether another process may have the file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// This is the server: there must be no other.
    Exclusive,
    /// A command beside the server.
    Shared,
}

/// Why SQLite could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error("{0} is in use by another usher; replicas share PostgreSQL, not a file")]
    InUse(PathBuf),
    /// The file system refuses.
    #[error("cannot open {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// Its contents are not those of a database.
    #[error(
        "{0} is damaged, or is not an SQLite database: move it and the files {0}-wal and {0}-shm away, and put \
         a backup in their place"
    )]
    Damaged(PathBuf),
    /// Another program keeps its tables in it.
    #[error("{0} is a database of another program, with a table `{1}`: give usher a file of its own")]
    Foreign(PathBuf, String),
    /// It cannot be used for another reason.
    #[error("{0} cannot be used: {1}{advice}", advice = condition::advice(*.1))]
    Unusable(PathBuf, Outage),
    /// A bug.
    #[error(transparent)]
    Store(StoreError),
}

impl OpenError {
    /// The same with the file's name, which the operator needs.
    pub fn of(file: &Path, err: StoreError) -> Self {
        match err {
            StoreError::Unavailable(Outage::Damaged) => Self::Damaged(file.to_owned()),
            StoreError::Unavailable(outage) => Self::Unusable(file.to_owned(), outage),
            err => Self::Store(err),
        }
    }
}

impl Sqlite {
    /// Opens, or creates, the database in the file of `claim`.
    pub async fn open(claim: Claim, readers: u32) -> Result<Arc<Self>, OpenError> {
        let Claim { file, handle, sharing, .. } = claim;
        let unusable = |err| OpenError::of(&file, err);
        let line = Line::open(file.clone()).await.map_err(unusable)?;
        let readers = connect(&file, Access::Read(readers)).await.map_err(unusable)?;
        let settler = connect(&file, Access::Settle).await.map_err(unusable)?;
        if let Some(table) = foreign_table(&readers).await.map_err(unusable)? {
            return Err(OpenError::Foreign(file, table));
        }
        let disk = Disk { files: Arc::new(Files::new(&file)), condition: Arc::default() };
        disk.check_files().await.map_err(unusable)?;
        let writer = Writer::start(line, disk.clone());
        Ok(Arc::new(Self { readers, writer, settler, disk, sharing, _file: handle }))
    }

    /// Writes one page, which only an outage that has ended lets through.
    async fn probe(self: Arc<Self>) -> Result<(), StoreError> {
        let work: Work = Box::new(|tx| {
            Box::pin(async move {
                // The value does not matter; SQLite writes the page all the same.
                match tx.execute_unprepared("PRAGMA user_version = 0").await {
                    Ok(_) => Verdict::Commit,
                    Err(_) => Verdict::RollBack,
                }
            })
        });
        self.writer.submit(self.clone(), Urgency::Interactive, None, work).await
    }
}

impl Sqlite {
    async fn bytes(&self) -> Result<u64, StoreError> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        let row = self.settler.query_one_raw(statement).await?;
        let bytes: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn json(&self) -> &dyn JsonDialect {
        &json::SqliteJson
    }

    fn terms(&self) -> &dyn TermDialect {
        &terms::SqliteTerms
    }

    fn insert_items(&self, app: AppId, task: TaskId, items: &[Item]) -> Statement {
        // Pending ones, which nearly all are, as one flat object: SQLite would parse each small array four times.
        let sql = "INSERT INTO task_items (app_id, task_id, idx, user_id, outcome, reason) \
                   SELECT ?1, ?2, key, value, 0, NULL FROM json_each(?3) UNION ALL \
                   SELECT ?1, ?2, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?4)";
        let (pending, over): (Vec<&Item>, Vec<&Item>) =
            items.iter().partition(|item| item.outcome == Outcome::Pending);
        let pending: BTreeMap<i32, &str> =
            pending.into_iter().map(|item| (item.index, item.user_id.as_str())).collect();
        let row = |item: &Item| json!([item.index, item.user_id, item.outcome.code(), item.reason]);
        let over: Vec<serde_json::Value> = over.into_iter().map(row).collect();
        let [pending, over] = [json!(pending), json!(over)].map(|rows| rows.to_string().into());
        let values = [app.0.into(), task.to_string().into(), pending, over];
        Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
    }

    fn insert_users(
        &self,
        into: &str,
        rows: &[UserRow<'_>],
        on_conflict: &str,
    ) -> Result<Statement, StoreError> {
        // A parameter each: SQLite takes longer to find two dozen members in an object than to insert the row.
        let row = format!("(?{})", ", ?".repeat(UserRow::columns().count() - 1));
        let sql = format!("{into} VALUES {} {on_conflict}", vec![row; rows.len()].join(", "));
        let mut values = Vec::with_capacity(rows.len() * UserRow::columns().count());
        for row in rows {
            values.extend(values_of(row).map_err(|err| StoreError::Internal(err.to_string()))?);
        }
        Ok(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values))
    }

    fn now(&self) -> Expr {
        Expr::cust("CAST(unixepoch('subsec') * 1000000 AS INTEGER)")
    }

    fn locks_rows(&self) -> bool {
        // There is one writer.
        false
    }

    fn has_row(&self, lookup: Lookup) -> Expr {
        let (column, value) = ((FOUND, lookup.last.0), lookup.last.1.clone());
        // An empty table is asked once a statement, not for each row.
        let any = Query::select().expr(Expr::cust("1")).from(lookup.table).take();
        let rows = lookup.rows().and_where(Expr::col(column).eq(value)).take();
        Expr::exists(any).and(Expr::exists(rows))
    }

    fn around_lookups(&self) -> Option<[&'static str; 2]> {
        None
    }

    fn lock(&self, _: &mut SelectStatement) {}

    fn lock_shared(&self, _: &mut SelectStatement) {}

    fn among(&self, mut select: SelectStatement) -> Expr {
        Expr::col("rowid").in_subquery(select.expr(Expr::cust("rowid")).take())
    }

    fn lock_free_ones(&self, _: &mut SelectStatement) {}

    async fn reader(self: Arc<Self>, _: Option<Deadline>) -> Result<Db, StoreError> {
        // Reads run within this process and end with the call's own timer.
        Ok(Db::new(Arc::new(self.readers.clone()), self))
    }

    async fn write(
        self: Arc<Self>,
        urgency: Urgency,
        deadline: Option<Deadline>,
        work: Work,
    ) -> Result<(), StoreError> {
        self.writer.submit(self.clone(), urgency, deadline, work).await
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let connection = self.writer.pause().await.connection().await?;
        migration::run(&connection).await?;
        for (name, on) in migration::indexes::ALL {
            connection.execute_unprepared(&format!("CREATE INDEX IF NOT EXISTS {name} ON {on}")).await?;
        }
        Ok(())
    }

    async fn notify(&self, _: Topic, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn listen(&self) -> Result<Option<mpsc::Receiver<Signal>>, StoreError> {
        Ok(None)
    }

    async fn settle(&self) -> Result<bool, StoreError> {
        let _line = self.writer.pause().await;
        let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(TRUNCATE)");
        let row = self.settler.query_one_raw(statement).await?;
        let busy: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(busy == Some(0))
    }

    async fn refresh_statistics(&self) -> Result<(), StoreError> {
        // SQLite plans by what indexes there are; its queries are written so that this is enough.
        Ok(())
    }

    async fn maintain(
        &self,
        patience: Duration,
        told: &mut (dyn FnMut(Maintained) + Send),
    ) -> Result<(), MaintenanceError> {
        let before = self.bytes().await?;
        self.writer.pause().await.connection().await?.execute_unprepared("VACUUM").await?;
        let deadline = Deadline::after(patience);
        while !self.settle().await? {
            if deadline.left().is_zero() {
                return Err(MaintenanceError::Held("another process that reads the database".to_owned()));
            }
            tokio::time::sleep(LOOK).await;
        }
        let name = "the database".to_owned();
        told(Maintained::Rewritten { name, before, after: self.bytes().await? });
        Ok(())
    }

    async fn check(self: Arc<Self>) -> Result<(), StoreError> {
        self.disk.check_files().await?;
        if self.disk.condition.outage().is_none() {
            return Ok(());
        }
        self.disk.check_room().await?;
        self.probe().await
    }

    fn logs_outages(&self) -> bool {
        true
    }

    fn notice(&self, outage: Outage) {
        self.disk.condition.fails(outage);
    }

    fn is_exclusive(&self) -> bool {
        self.sharing == Sharing::Exclusive
    }

    async fn close(&self) {
        let mut line = self.writer.stop().await;
        self.readers.close_by_ref().await.ok();
        self.settler.close_by_ref().await.ok();
        // Leaves one file instead of three; not needed for safety.
        if let Ok(connection) = line.connection().await {
            connection.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.ok();
        }
        line.give_up().await;
    }
}

/// In the order of [`UserRow::columns`].
fn values_of(row: &UserRow<'_>) -> Result<[Value; 28], serde_json::Error> {
    let UserRow {
        app_id,
        id,
        name,
        image,
        role,
        custom,
        language,
        invisible,
        teams,
        teams_role,
        privacy_settings,
        push_notifications,
        created_at,
        updated_at,
        deactivated_at,
        deleted_at,
        version,
        auth_epoch,
        import_no,
        revoked_epoch,
        revoked_before,
        minted_before,
        avg_response_time,
        name_key,
        last_active,
        terms_version,
        deactivated_by_id,
        deactivation_reason,
    } = row;
    Ok([
        (*app_id).into(),
        (*id).into(),
        (*name).into(),
        (*image).into(),
        (*role).into(),
        serde_json::to_string(custom)?.into(),
        (*language).into(),
        (*invisible).into(),
        serde_json::to_string(teams)?.into(),
        serde_json::to_string(teams_role)?.into(),
        privacy_settings.map(serde_json::to_string).transpose()?.into(),
        push_notifications.map(serde_json::to_string).transpose()?.into(),
        (*created_at).into(),
        (*updated_at).into(),
        (*deactivated_at).into(),
        (*deleted_at).into(),
        (*version).into(),
        (*auth_epoch).into(),
        (*import_no).into(),
        (*revoked_epoch).into(),
        (*revoked_before).into(),
        (*minted_before).into(),
        (*avg_response_time).into(),
        name_key.clone().into(),
        (*last_active).into(),
        (*terms_version).into(),
        (*deactivated_by_id).into(),
        (*deactivation_reason).into(),
    ])
}
