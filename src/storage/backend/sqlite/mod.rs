//! SQLite: one writer that commits small writes together, a pool of readers, no other replica.

pub mod json;
pub mod terms;
mod writer;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, Value};
use serde_json::json;
use tokio::sync::mpsc;

use self::writer::Writer;
use super::json::JsonDialect;
use super::maintenance::{Maintained, MaintenanceError};
use super::terms::TermDialect;
use super::{Backend, FOUND, Lookup, Signal, Topic};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, TaskId};
use crate::model::task::{Item, Outcome};
use crate::storage::row::UserRow;
use crate::storage::{Db, StoreError, Urgency, Work, migration};

/// How long a start waits for the server before it to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// An open SQLite database.
pub struct Sqlite {
    readers: DatabaseConnection,
    writer: Writer,
    /// Held as long as this server lives.
    lock: Option<File>,
    /// Moves what was committed into the database proper, and waits for nobody.
    settler: DatabaseConnection,
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
    /// The file system says no.
    #[error("cannot open {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long a statement waits for another connection's.
const PATIENCE: Duration = Duration::from_secs(5);

impl Sqlite {
    /// Opens, or creates, the database in `file`.
    pub async fn open(file: &Path, readers: u32, sharing: Sharing) -> Result<Arc<Self>, OpenError> {
        let lock = match sharing {
            Sharing::Exclusive => Some(lock_beside(file).await?),
            Sharing::Shared => None,
        };
        // Before SQLite would, which leaves it to everybody to read; what it puts beside has the same mode.
        let private = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
        private.map_err(|err| OpenError::Io(file.to_owned(), err))?;
        let writer = connect(file, 1, false, PATIENCE).await?;
        let readers = connect(file, Ord::max(readers, 1), true, PATIENCE).await?;
        let settler = connect(file, 1, false, Duration::ZERO).await?;
        Ok(Arc::new(Self { readers, writer: Writer::start(writer), settler, lock }))
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

/// Takes the lock beside the database. A server that was killed just now may still be letting go of it.
async fn lock_beside(file: &Path) -> Result<File, OpenError> {
    let path = file.with_extension("lock");
    let lock = File::create(&path).map_err(|err| OpenError::Io(path.clone(), err))?;
    let patience = Deadline::after(LOCK_PATIENCE);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if patience.left().is_zero() => {
                return Err(OpenError::InUse(file.to_owned()));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PATIENCE / 40).await,
            Err(TryLockError::Error(err)) => return Err(OpenError::Io(path, err)),
        }
    }
}

async fn connect(
    file: &Path,
    connections: u32,
    read_only: bool,
    patience: Duration,
) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new("sqlite:");
    let file = file.to_owned();
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(2))
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |_| {
            SqliteConnectOptions::new()
                .filename(&file)
                .create_if_missing(!read_only)
                .read_only(read_only)
                .journal_mode(SqliteJournalMode::Wal)
                // What a caller was told must survive a power cut.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(patience)
                // Erased means overwritten.
                .pragma("secure_delete", "ON")
                .pragma("cache_size", "-8192")
                .statement_cache_capacity(256)
        });
    Ok(Database::connect(options).await?)
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
        Ok(Db::pool(self.readers.clone(), self))
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
        let _turn = self.writer.pause().await?;
        let connection = self.writer.connection();
        migration::run(connection).await?;
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
        let _turn = self.writer.pause().await?;
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
        self.writer.connection().execute_unprepared("VACUUM").await?;
        let deadline = Deadline::after(patience);
        while !self.settle().await? {
            if deadline.left().is_zero() {
                return Err(MaintenanceError::Held("another process that reads the database".to_owned()));
            }
            tokio::time::sleep(LOCK_PATIENCE / 40).await;
        }
        let name = "the database".to_owned();
        told(Maintained::Rewritten { name, before, after: self.bytes().await? });
        Ok(())
    }

    fn is_exclusive(&self) -> bool {
        self.lock.is_some()
    }

    async fn close(&self) {
        self.writer.stop().await;
        self.readers.close_by_ref().await.ok();
        self.settler.close_by_ref().await.ok();
        // Leaves one file behind instead of three; not needed for safety.
        self.writer.connection().execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.ok();
        self.writer.connection().close_by_ref().await.ok();
    }
}

/// In the order of [`UserRow::columns`].
fn values_of(row: &UserRow<'_>) -> Result<[Value; 26], serde_json::Error> {
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
    ])
}
