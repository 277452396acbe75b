//! Connections to the file, set up so that what is committed is durable and what is erased is overwritten.

use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};

use crate::storage::StoreError;

/// How long a statement waits for another connection's.
const PATIENCE: Duration = Duration::from_secs(5);

/// A table of another program, in a database in which usher has none.
pub(super) async fn foreign_table(readers: &DatabaseConnection) -> Result<Option<String>, StoreError> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'seaql_migrations') ORDER BY name";
    let row = readers.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// KiB of pages that a connection remembers. A reader forgets them all after each commit of the writer, and every
/// reader has its own: larger ones made no call faster that was measured, but the walk over one user's content
/// filled them all.
const READ_CACHE: u32 = 1024;
const WRITE_CACHE: u32 = 8 * 1024;

/// What a pool of connections is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// So many connections that read.
    Read(u32),
    /// The one that writes.
    Write,
    /// One that moves the log into the database; it waits for nobody.
    Settle,
}

pub(super) async fn connect(file: &Path, access: Access) -> Result<DatabaseConnection, StoreError> {
    let (connections, read_only, patience, cache) = match access {
        Access::Read(connections) => (connections.max(1), true, PATIENCE, READ_CACHE),
        Access::Write => (1, false, PATIENCE, WRITE_CACHE),
        Access::Settle => (1, false, Duration::ZERO, READ_CACHE),
    };
    let mut options = ConnectOptions::new("sqlite:");
    let file = file.to_owned();
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(2))
        .test_before_acquire(false)
        .map_sqlx_sqlite_opts(move |_| {
            SqliteConnectOptions::new()
                .filename(&file)
                // The file is there: a missing one was removed, and must not be replaced silently.
                .create_if_missing(false)
                .read_only(read_only)
                .journal_mode(SqliteJournalMode::Wal)
                // What was acknowledged must survive a power cut.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(patience)
                // Erased means overwritten.
                .pragma("secure_delete", "ON")
                .pragma("cache_size", format!("-{cache}"))
                .statement_cache_capacity(256)
                // The driver would log slow statements with their SQL.
                .disable_statement_logging()
        })
        // An assertion: the driver would make a transaction begun within another one a savepoint, which
        // nobody commits. Such a connection is closed.
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.before_acquire(|connection, _| {
                let is_free = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_free) })
            })
        });
    Ok(Database::connect(options).await?)
}
