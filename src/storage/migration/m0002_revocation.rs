//! Revocation of tokens, per user and per app.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_revocation"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in ["users", "apps"] {
            for column in
                ["revoked_epoch bigint NOT NULL DEFAULT 0", "revoked_before bigint", "minted_before bigint"]
            {
                db.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN {column}")).await?;
            }
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
