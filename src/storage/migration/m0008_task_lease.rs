//! How long the lease of a task is, so that one whose end lies further ahead is known for the work of a clock
//! that stepped. Unset where a release without it holds the lease.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0008_task_lease"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared(TASKS).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const TASKS: &str = "ALTER TABLE tasks ADD COLUMN lease_length bigint";
