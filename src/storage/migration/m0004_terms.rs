//! What users can be looked up by. Existing users get their terms in the background; see `storage::terms`.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_terms"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in TERMS.split_terminator(';') {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Terms are data of their users, and go with them.
const TERMS: &str = "
CREATE TABLE user_terms (
    app_id integer NOT NULL,
    user_id {text} NOT NULL,
    path {text} NOT NULL,
    value {text} NOT NULL,
    PRIMARY KEY (app_id, user_id, path, value),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
){clustered};
CREATE INDEX user_terms_found ON user_terms (app_id, path, value, user_id);
ALTER TABLE users ADD COLUMN terms_version bigint";
