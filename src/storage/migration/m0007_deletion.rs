//! What deletion, restoration and erasure need: marks, and what a task of them is to reach.
//!
//! A mark says which task put it, so that undoing that task undoes it and nothing else. Channels and calls
//! can be marked by several; each mark is a row, and they are live when there is none.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_deletion"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let statements = [MARKS, TASKS, ERASED].into_iter().flat_map(|sql| sql.split_terminator(';'));
        for statement in statements {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const MARKS: &str = "
ALTER TABLE users ADD COLUMN deleted_by {text};
ALTER TABLE users ADD COLUMN pruned boolean NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN erasing boolean NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN deactivated_by {text};
ALTER TABLE messages ADD COLUMN deleted_by {text};
ALTER TABLE activities ADD COLUMN deleted_by {text};
ALTER TABLE comments ADD COLUMN deleted_by {text};
ALTER TABLE feeds ADD COLUMN deleted_by {text};
ALTER TABLE calls ADD COLUMN deleted_at bigint;
CREATE TABLE channel_marks (
    app_id integer NOT NULL,
    channel_type {text} NOT NULL,
    channel_id {text} NOT NULL,
    user_id {text} NOT NULL,
    marked_by {text} NOT NULL,
    marked_at bigint NOT NULL,
    PRIMARY KEY (app_id, channel_type, channel_id, user_id, marked_by),
    FOREIGN KEY (app_id, channel_type, channel_id) REFERENCES channels (app_id, type, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX channel_marks_user ON channel_marks (app_id, user_id);
CREATE TABLE call_marks (
    app_id integer NOT NULL,
    call_type {text} NOT NULL,
    call_id {text} NOT NULL,
    user_id {text} NOT NULL,
    marked_by {text} NOT NULL,
    marked_at bigint NOT NULL,
    PRIMARY KEY (app_id, call_type, call_id, user_id, marked_by),
    FOREIGN KEY (app_id, call_type, call_id) REFERENCES calls (app_id, type, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX call_marks_user ON call_marks (app_id, user_id)";

/// Targets are the channels and calls of two members, as they were when a deletion was accepted; each goes when
/// it is reached.
const TASKS: &str = "
CREATE TABLE deletion_targets (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    kind {text} NOT NULL,
    type {text} NOT NULL,
    id {text} NOT NULL,
    PRIMARY KEY (app_id, task_id, idx, kind, type, id),
    FOREIGN KEY (app_id, task_id) REFERENCES tasks (app_id, id) ON DELETE CASCADE
);
CREATE TABLE deletion_heirs (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    kind {text} NOT NULL,
    user_id {text} NOT NULL,
    PRIMARY KEY (app_id, task_id, kind),
    FOREIGN KEY (app_id, task_id) REFERENCES tasks (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX deletion_heirs_user ON deletion_heirs (app_id, user_id);
DROP INDEX task_items_waiting";

/// Keyed hashes of ids: they tell nobody who was erased, but to whoever asks for the id.
const ERASED: &str = "
CREATE TABLE erased_users (
    app_id integer NOT NULL REFERENCES apps (id),
    id_hash {bytes} NOT NULL,
    auth_epoch bigint NOT NULL,
    erased_at bigint NOT NULL,
    PRIMARY KEY (app_id, id_hash)
)";
