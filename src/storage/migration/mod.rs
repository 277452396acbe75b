//! Numbered migrations, run at start under a lock, each in a transaction of its own.
//!
//! One SQL text serves both databases; the words that differ come from `backend::words`. A migration that
//! was released is never edited: add the next one. It must leave the version before it working. Indexes on
//! tables that have rows by then are no migrations: they stand in `indexes`.

pub(super) mod indexes;
mod m0001_first;
mod m0002_revocation;
mod m0003_presence;
mod m0004_terms;
mod m0005_profile;
mod m0006_content;
mod m0007_deletion;
mod m0008_task_lease;
mod m0009_erased_channels;
mod m0010_history;
mod m0011_import_content;
mod m0012_export;
mod m0013_object_store;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::storage::{Outage, StoreError};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_revocation::Migration),
            Box::new(m0003_presence::Migration),
            Box::new(m0004_terms::Migration),
            Box::new(m0005_profile::Migration),
            Box::new(m0006_content::Migration),
            Box::new(m0007_deletion::Migration),
            Box::new(m0008_task_lease::Migration),
            Box::new(m0009_erased_channels::Migration),
            Box::new(m0010_history::Migration),
            Box::new(m0011_import_content::Migration),
            Box::new(m0012_export::Migration),
            Box::new(m0013_object_store::Migration),
        ]
    }
}

/// Applies what has not been applied yet. A database that has more is a newer version's, and is left alone.
pub async fn run(connection: &DatabaseConnection) -> Result<(), StoreError> {
    Migrator::install(connection).await?;
    let known = Migrator::migrations();
    let applied = Migrator::get_migration_models(connection).await?;
    if applied.iter().any(|applied| !known.iter().any(|known| known.name() == applied.version)) {
        return Err(StoreError::Unavailable(Outage::NewerSchema));
    }
    Ok(Migrator::up(connection, None).await?)
}

/// Applies the next `count` only, as an earlier version did: for tests of upgrades.
pub async fn run_next(connection: &DatabaseConnection, count: u32) -> Result<(), DbErr> {
    Migrator::up(connection, Some(count)).await
}

/// How many there are.
pub fn count() -> usize {
    Migrator::migrations().len()
}
