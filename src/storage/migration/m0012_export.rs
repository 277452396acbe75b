//! Archives that exports make, in chunks; when tasks are due, and what they made.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0012_export"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [TASKS, ARCHIVES].into_iter().flat_map(|sql| sql.split_terminator(';')) {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const TASKS: &str = "
ALTER TABLE tasks ADD COLUMN due_at bigint;
ALTER TABLE tasks ADD COLUMN result {json}";

/// A file is whole once it has a checksum. `export_names` has the users that a file names by their ids,
/// `export_numbers` those who have a number in one that is being written, as keyed hashes.
const ARCHIVES: &str = "
CREATE TABLE export_files (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    user_id {text} NOT NULL,
    records bigint NOT NULL,
    bytes bigint NOT NULL,
    sha256 {text},
    created_at bigint NOT NULL,
    expires_at bigint,
    downloaded_at bigint,
    PRIMARY KEY (app_id, task_id, idx),
    FOREIGN KEY (app_id, task_id) REFERENCES tasks (app_id, id)
);
CREATE INDEX export_files_user ON export_files (app_id, user_id);
CREATE INDEX export_files_expiry ON export_files (app_id, expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE export_chunks (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    start bigint NOT NULL,
    data {bytes} NOT NULL,
    PRIMARY KEY (app_id, task_id, idx, start),
    FOREIGN KEY (app_id, task_id, idx) REFERENCES export_files (app_id, task_id, idx)
);
CREATE TABLE export_numbers (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    hash {bytes} NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (app_id, task_id, idx, hash),
    FOREIGN KEY (app_id, task_id, idx) REFERENCES export_files (app_id, task_id, idx)
);
CREATE TABLE export_names (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    user_id {text} NOT NULL,
    PRIMARY KEY (app_id, task_id, idx, user_id),
    FOREIGN KEY (app_id, task_id, idx) REFERENCES export_files (app_id, task_id, idx)
);
CREATE INDEX export_names_user ON export_names (app_id, user_id)";
