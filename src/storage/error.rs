//! What can go wrong with a database, in our words. What the codes of a driver mean is said by each backend
//! in its table, `backend/*/fault.rs`.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{DbErr, RuntimeErr, sqlx};

use super::backend::{postgres, sqlite};

/// A failed read or write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be used, for now or until the operator acts.
    #[error("the database is unavailable: {0}")]
    Unavailable(Outage),
    /// It took longer than the caller allows.
    #[error("the database took too long")]
    Timeout,
    /// Another transaction was in the way; the same work may succeed when run again.
    #[error("concurrent change")]
    Conflict,
    /// A unique key is taken.
    #[error("a unique key is taken")]
    Unique,
    /// Everything else: a bug. The text holds no values of rows.
    #[error("{0}")]
    Internal(String),
}

/// Why a database cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// No connection was free, or none could be made, in time.
    #[error("no connection could be had in time")]
    NoConnection,
    /// The connection broke. A commit under way may hold or not.
    #[error("the connection was lost")]
    ConnectionLost,
    /// No answer came within the time a statement may take. A commit under way may hold or not.
    #[error("it does not answer")]
    NoAnswer,
    /// The connection broke, or no answer came, while the change was being committed.
    #[error("it is not known whether the change was stored")]
    CommitUnknown,
    /// The database, or usher's use of it, is ending.
    #[error("it is shutting down")]
    ShuttingDown,
    /// It refuses new connections.
    #[error("it takes no connections")]
    TakesNoConnections,
    /// Its name is unknown to the server.
    #[error("the server has no database of this name")]
    NoSuchDatabase,
    /// User or password are refused.
    #[error("it refuses the login")]
    LoginRefused,
    /// Too many connections, or too little memory.
    #[error("it is out of resources")]
    OutOfResources,
    /// More writes wait than are queued.
    #[error("too many writes are waiting")]
    TooManyWrites,
    /// Nothing can be written: a standby, a read-only file system or file.
    #[error("it is read-only")]
    ReadOnly,
    /// A right was taken from usher's user.
    #[error("usher's user lacks a right")]
    NotAllowed,
    /// The schema that usher uses is gone, or hidden.
    #[error("no schema of the search path can be used")]
    NoSchema,
    /// The session is not the one that usher prepared its statements in.
    #[error("a session was changed by others; behind a pooler, set USHER_DATABASE_POOLER=transaction")]
    StrangeSession,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// Reading or writing a file failed.
    #[error("the disk reports an error")]
    DiskError,
    /// A file cannot be opened.
    #[error("a file of it cannot be opened")]
    CannotOpen,
    /// The contents of the file are damaged.
    #[error("its file is damaged")]
    Damaged,
    /// A later version of usher has changed its tables.
    #[error("a newer version of usher has set it up: start that version, or a later one")]
    NewerSchema,
    /// Another program has a table, an index or a column of a name that usher needs.
    #[error(
        "a table, index or sequence of another program has a name that usher needs: give usher a database or a \
         schema of its own"
    )]
    InTheWay,
    /// The file that is served is no longer the file of its name.
    #[error("its file was removed or replaced")]
    Replaced,
}

impl StoreError {
    /// A stored row breaks an invariant.
    pub fn corrupt(what: &'static str) -> Self {
        Self::Internal(format!("a stored row is not as usher writes it: {what}"))
    }
}

/// What an error code of a database means for usher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) enum Meaning {
    /// See [`StoreError::Unavailable`].
    Unavailable(Outage),
    /// See [`StoreError::Timeout`].
    Timeout,
    /// See [`StoreError::Conflict`].
    Conflict,
    /// See [`StoreError::Unique`].
    Unique,
    /// A bug of usher.
    Bug,
}

/// Whether running the same transaction again can help. Implemented by every error of `Store::write`.
pub trait Retryable {
    /// True for lost races: serialisation failures, deadlocks, rows that changed in between.
    fn is_conflict(&self) -> bool;
}

impl Retryable for StoreError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}

impl StoreError {
    /// Logs that background work failed and is tried again. An outage is logged where it begins and ends; what
    /// it delays is logged for debugging only.
    pub fn log_delayed(&self, work: &'static str) {
        if matches!(self, Self::Unavailable(_)) {
            tracing::debug!(work, error = %self, "delayed by an outage of the database");
        } else {
            tracing::warn!(work, error = %self, "background work failed; it is tried again");
        }
    }

    /// As an error of the driver, for what runs below SeaORM; [`Self::of`] finds it again.
    pub(super) fn into_driver(self) -> sqlx::Error {
        sqlx::Error::AnyDriverError(Box::new(self))
    }

    /// What an error of SeaORM or its driver means.
    pub(super) fn of(err: &DbErr) -> Self {
        match cause_of(err) {
            Some(cause) => of_driver(cause),
            None if matches!(err, DbErr::ConnectionAcquire(_)) => Self::Unavailable(Outage::NoConnection),
            // SeaORM's own errors speak of types and columns, not of values.
            None => Self::Internal(err.to_string()),
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(err: DbErr) -> Self {
        Self::of(&err)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(err: sqlx::Error) -> Self {
        of_driver(&err)
    }
}

/// Whether the transaction in which `err` happened is over: nothing more may be run in it, and the connection
/// must not be used again.
pub(super) fn ends_transaction(err: &DbErr) -> bool {
    match cause_of(err) {
        Some(sqlx::Error::Database(cause)) => !table_of(&**cause).1,
        Some(sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) | None => {
            false
        }
        Some(_) => true,
    }
}

fn cause_of(err: &DbErr) -> Option<&sqlx::Error> {
    match err {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

/// What the code means, and whether the connection may be used again.
fn table_of(cause: &dyn DatabaseError) -> (Meaning, bool) {
    let code = cause.code().unwrap_or_default();
    if cause.try_downcast_ref::<PgDatabaseError>().is_some() {
        postgres::fault::of_sqlstate(&code)
    } else {
        sqlite::fault::of_code(&code)
    }
}

fn of_driver(err: &sqlx::Error) -> StoreError {
    match err {
        sqlx::Error::Database(cause) => match table_of(&**cause).0 {
            Meaning::Unavailable(outage) => StoreError::Unavailable(outage),
            Meaning::Timeout => StoreError::Timeout,
            Meaning::Conflict => StoreError::Conflict,
            Meaning::Unique => StoreError::Unique,
            Meaning::Bug => {
                // The driver's text prints values on a unique violation: only names and codes go on.
                let (code, constraint) =
                    (cause.code().unwrap_or_default(), cause.constraint().unwrap_or("-"));
                StoreError::Internal(format!("database error {code}, constraint {constraint}"))
            }
        },
        sqlx::Error::PoolTimedOut => StoreError::Unavailable(Outage::NoConnection),
        sqlx::Error::PoolClosed => StoreError::Unavailable(Outage::ShuttingDown),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            StoreError::Unavailable(Outage::ConnectionLost)
        }
        // Only SQLite's driver says these: its idea of the open transaction and SQLite's differ.
        sqlx::Error::BeginFailed | sqlx::Error::InvalidSavePointStatement => {
            StoreError::Unavailable(Outage::DiskError)
        }
        // Only we make these; see `into_driver`.
        sqlx::Error::AnyDriverError(cause) => cause
            .downcast_ref()
            .cloned()
            .unwrap_or_else(|| StoreError::Internal("driver error: other".into())),
        other => StoreError::Internal(format!("driver error: {}", kind_of(other))),
    }
}

fn kind_of(err: &sqlx::Error) -> &'static str {
    match err {
        sqlx::Error::RowNotFound => "row not found",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "a value cannot be decoded",
        sqlx::Error::Encode(_) => "a value cannot be encoded",
        sqlx::Error::Configuration(_) => "configuration",
        sqlx::Error::Migrate(_) => "migration",
        _ => "other",
    }
}
