//! What happened to users, and who deactivated them and why. And an index goes that another one replaces.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0010_history"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [USERS, HISTORY, TERMS].into_iter().flat_map(|sql| sql.split_terminator(';')) {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const USERS: &str = "
ALTER TABLE users ADD COLUMN deactivated_by_id {text};
ALTER TABLE users ADD COLUMN deactivation_reason {text}";

/// What is missing is said otherwise now: see `users_without_words`.
const TERMS: &str = "
DROP INDEX IF EXISTS users_without_terms";

/// By user; by time, for those that are too old; by author and by task, for ids that are erased from them. The
/// last two hold only what they may be needed for: most tasks give no reason.
const HISTORY: &str = "
CREATE TABLE user_history (
    app_id integer NOT NULL,
    user_id {text} NOT NULL,
    no bigint NOT NULL,
    kind smallint NOT NULL,
    created_at bigint NOT NULL,
    by_id {text},
    reason {text},
    task_id {text},
    PRIMARY KEY (app_id, user_id, no)
);
CREATE INDEX user_history_created ON user_history (app_id, created_at);
CREATE INDEX user_history_by ON user_history (app_id, by_id) WHERE by_id IS NOT NULL;
CREATE INDEX user_history_task ON user_history (app_id, task_id) WHERE reason IS NOT NULL";
