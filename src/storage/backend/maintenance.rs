//! What maintenance tells; how it is done differs between the databases.

use super::super::StoreError;

/// A step that is done, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maintained {
    /// A table, or file, was written anew; sizes are bytes, with indexes.
    Rewritten {
        /// Its name.
        name: String,
        /// Its size before.
        before: u64,
        /// Its size now.
        after: u64,
    },
    /// The write-ahead log goes on in another segment than this one, which is recycled in time.
    LogClosed(String),
    /// The database's user may not do this: a superuser has to.
    NotAllowed(String),
}

/// Why maintenance did not come to its end. What was told until then is done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The text names who keeps what was removed, or what is in use.
    #[error("{0} is in the way: end it, or give it longer with --wait")]
    Held(String),
    /// The database.
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
}

impl From<sea_orm::DbErr> for MaintenanceError {
    fn from(err: sea_orm::DbErr) -> Self {
        Self::Store(err.into())
    }
}
