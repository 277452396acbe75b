//! Archives in an object store.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0013_object_store"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in OBJECTS.split_terminator(';') {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A file is `sealed` once all its chunks are there, and lies in `object` once the store has it; it is whole after
/// that, when it has its `sha256`.
const OBJECTS: &str = "
ALTER TABLE export_files ADD COLUMN sealed {text};
ALTER TABLE export_files ADD COLUMN object {text};
CREATE TABLE export_objects (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    name {text} NOT NULL,
    upload {text},
    created_at bigint NOT NULL,
    is_settled boolean NOT NULL,
    is_doomed boolean NOT NULL,
    PRIMARY KEY (app_id, task_id, idx, name),
    FOREIGN KEY (app_id, task_id, idx) REFERENCES export_files (app_id, task_id, idx)
);
CREATE INDEX export_objects_doomed ON export_objects (app_id, task_id, idx) WHERE is_doomed";
