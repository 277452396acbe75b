//! Apps and their keys, users, tasks, imports.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [APPS, USERS, TASKS, IMPORTS].into_iter().flat_map(|sql| sql.split_terminator(';')) {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const APPS: &str = "
CREATE TABLE apps (
    id integer NOT NULL PRIMARY KEY,
    name {text} NOT NULL UNIQUE,
    auth_epoch bigint NOT NULL,
    accepted_seq bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE app_keys (
    app_id integer NOT NULL REFERENCES apps (id),
    kid {text} NOT NULL UNIQUE,
    secret_sealed {bytes} NOT NULL,
    signing boolean NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (app_id, kid)
)";

const USERS: &str = "
CREATE TABLE users (
    app_id integer NOT NULL REFERENCES apps (id),
    id {text} NOT NULL,
    name {text},
    image {text},
    role {text} NOT NULL,
    custom {json} NOT NULL,
    language {text},
    invisible boolean NOT NULL,
    teams {json} NOT NULL,
    teams_role {json} NOT NULL,
    privacy_settings {json},
    push_notifications {json},
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    deactivated_at bigint,
    deleted_at bigint,
    version bigint NOT NULL,
    auth_epoch bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, id)
);
CREATE INDEX users_created ON users (app_id, created_at, id);
CREATE TABLE user_blocks (
    app_id integer NOT NULL,
    user_id {text} NOT NULL,
    blocked_user_id {text} NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (app_id, user_id, blocked_user_id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
)";

/// The partial indexes on items begin with what is selective: before the first ANALYZE, PostgreSQL takes
/// `app_id` alone for as good as `app_id` and `user_id`, and would read all pending items for each user.
const TASKS: &str = "
CREATE TABLE tasks (
    app_id integer NOT NULL REFERENCES apps (id),
    id {text} NOT NULL,
    kind {text} NOT NULL,
    state {text} NOT NULL,
    phase {text} NOT NULL,
    params {json} NOT NULL,
    checkpoint {json} NOT NULL,
    users_total bigint NOT NULL,
    users_done bigint NOT NULL,
    users_failed bigint NOT NULL,
    users_unchanged bigint NOT NULL,
    rows_done bigint NOT NULL,
    revision bigint NOT NULL,
    failures integer NOT NULL,
    cancel_requested boolean NOT NULL,
    created_by_id {text} NOT NULL,
    reason {text} NOT NULL,
    request_id {text},
    request_hash {bytes},
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    error_reason {text},
    error_message {text},
    lease_epoch bigint NOT NULL,
    lease_expires_at bigint,
    run_after bigint NOT NULL,
    accepted_seq bigint NOT NULL,
    PRIMARY KEY (app_id, id),
    UNIQUE (app_id, request_id)
);
CREATE INDEX tasks_to_claim ON tasks (run_after) WHERE state IN ('pending', 'running');
CREATE INDEX tasks_created ON tasks (app_id, created_at, id);
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE TABLE task_items (
    app_id integer NOT NULL,
    task_id {text} NOT NULL,
    idx integer NOT NULL,
    user_id {text} NOT NULL,
    outcome smallint NOT NULL,
    reason {text},
    PRIMARY KEY (app_id, task_id, idx),
    FOREIGN KEY (app_id, task_id) REFERENCES tasks (app_id, id) ON DELETE CASCADE
);
CREATE INDEX task_items_pending ON task_items (task_id, idx) WHERE outcome = 0;
CREATE INDEX task_items_waiting ON task_items (user_id, app_id) WHERE outcome = 0";

const IMPORTS: &str = "
CREATE TABLE imports (
    app_id integer NOT NULL REFERENCES apps (id),
    import_id {text} NOT NULL,
    no bigint NOT NULL,
    mode {text} NOT NULL,
    committed_offset bigint,
    accepted bigint NOT NULL,
    skipped bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (app_id, import_id),
    UNIQUE (app_id, no)
);
CREATE TABLE import_refusals (
    app_id integer NOT NULL,
    import_no bigint NOT NULL,
    item_offset bigint NOT NULL,
    reason {text} NOT NULL,
    field {text} NOT NULL,
    message {text} NOT NULL,
    PRIMARY KEY (app_id, import_no, item_offset),
    FOREIGN KEY (app_id, import_no) REFERENCES imports (app_id, no)
)";
