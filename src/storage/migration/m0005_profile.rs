//! What partial updates, unique names, guests and the settings of apps need.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_profile"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [USERS, SETTINGS].into_iter().flat_map(|sql| sql.split_terminator(';')) {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A row of `name_turns` lives within one transaction only.
const USERS: &str = "
ALTER TABLE users ADD COLUMN avg_response_time double precision;
ALTER TABLE users ADD COLUMN name_key {text};
CREATE TABLE name_turns (
    app_id integer NOT NULL,
    name_key {text} NOT NULL,
    PRIMARY KEY (app_id, name_key)
)";

const SETTINGS: &str = "
ALTER TABLE apps ADD COLUMN settings {json} NOT NULL DEFAULT '{}'";
