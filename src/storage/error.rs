//! What can go wrong with a database, in our words. The only place that looks into driver errors.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// A failed read or write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is going down, or has no room.
    #[error("the database is unavailable ({0})")]
    Unavailable(&'static str),
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

impl StoreError {
    /// A stored row breaks an invariant.
    pub fn corrupt(what: &'static str) -> Self {
        Self::Internal(format!("a stored row is not as usher writes it: {what}"))
    }
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

impl From<DbErr> for StoreError {
    fn from(err: DbErr) -> Self {
        match &err {
            DbErr::ConnectionAcquire(_) => Self::Unavailable("no connection"),
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => of_driver(cause),
            // SeaORM's own errors speak of types and columns, not of values.
            _ => Self::Internal(err.to_string()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(err: sqlx::Error) -> Self {
        of_driver(&err)
    }
}

fn of_driver(err: &sqlx::Error) -> StoreError {
    match err {
        sqlx::Error::Database(cause) => {
            let code = cause.code().unwrap_or_default().into_owned();
            // The driver's text prints values on a unique violation: only names and codes go on.
            of_code(&code).unwrap_or_else(|| {
                let constraint = cause.constraint().unwrap_or("-").to_owned();
                StoreError::Internal(format!("database error {code}, constraint {constraint}"))
            })
        }
        sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection in time"),
        sqlx::Error::PoolClosed => StoreError::Unavailable("closed"),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            StoreError::Unavailable("connection lost")
        }
        other => StoreError::Internal(format!("driver error: {}", kind_of(other))),
    }
}

/// SQLSTATE of PostgreSQL (five characters) and result codes of SQLite (numbers).
fn of_code(code: &str) -> Option<StoreError> {
    let error = match code {
        "40001" | "40P01" | "55P03" | "5" | "6" | "261" | "517" => StoreError::Conflict,
        "57014" => StoreError::Timeout,
        // Somebody takes it out of service, for its users or for everybody: new connections are refused.
        "55000" => StoreError::Unavailable("takes no connections"),
        "3D000" => StoreError::Unavailable("there is no such database"),
        "28000" | "28P01" => StoreError::Unavailable("login refused"),
        "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => StoreError::Unavailable("shutting down"),
        "23505" | "1555" | "2067" => StoreError::Unique,
        "13" => StoreError::Unavailable("disk full"),
        "10" | "266" | "522" | "778" | "1034" | "4618" => StoreError::Unavailable("disk error"),
        _ if code.starts_with("08") => StoreError::Unavailable("connection lost"),
        _ if code.starts_with("53") => StoreError::Unavailable("out of resources"),
        _ => return None,
    };
    Some(error)
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
