//! The one connection that writes. It is given up after an error of its transaction, and opened anew for the
//! next write.

use std::path::PathBuf;
use std::time::Duration;

use sea_orm::DatabaseConnection;

use super::connect::{Access, connect};
use crate::storage::StoreError;

/// How long a connection that is given up may take to close. Its transaction is rolled back in any case; until
/// then, SQLite's own locks keep the next connection from writing.
const CLOSE: Duration = Duration::from_secs(2);

/// The writer's connection.
pub(super) struct Line {
    file: PathBuf,
    current: Option<DatabaseConnection>,
}

impl Line {
    pub(super) async fn open(file: PathBuf) -> Result<Self, StoreError> {
        let current = Some(connect(&file, Access::Write).await?);
        Ok(Self { file, current })
    }

    /// The connection, which is in no transaction; opened anew where the one before was given up.
    pub(super) async fn connection(&mut self) -> Result<DatabaseConnection, StoreError> {
        if let Some(current) = &self.current {
            return Ok(current.clone());
        }
        let opened = connect(&self.file, Access::Write).await?;
        Ok(self.current.insert(opened).clone())
    }

    /// Gives the connection up: what it has not committed is undone, and it is never used again.
    pub(super) async fn give_up(&mut self) {
        if let Some(current) = self.current.take()
            && tokio::time::timeout(CLOSE, current.close_by_ref()).await.is_err()
        {
            tracing::warn!("a connection to the database file does not close");
        }
    }
}
