//! Sessions and when users were last active, the calls that tokens make members of, key rotation.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_presence"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [SESSIONS, CALLS, KEYS].into_iter().flat_map(|sql| sql.split_terminator(';')) {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// No index holds what every sign of life changes, so that PostgreSQL can change rows in place.
const SESSIONS: &str = "
ALTER TABLE users ADD COLUMN last_active bigint;
CREATE TABLE sessions (
    app_id integer NOT NULL,
    id {text} NOT NULL,
    user_id {text} NOT NULL,
    seen_at bigint NOT NULL,
    ended boolean NOT NULL,
    PRIMARY KEY (app_id, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_user ON sessions (app_id, user_id)";

const CALLS: &str = "
CREATE TABLE calls (
    app_id integer NOT NULL REFERENCES apps (id),
    type {text} NOT NULL,
    id {text} NOT NULL,
    created_by_id {text},
    custom {json} NOT NULL,
    started_at bigint,
    ended_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (app_id, type, id)
);
CREATE TABLE call_members (
    app_id integer NOT NULL,
    call_type {text} NOT NULL,
    call_id {text} NOT NULL,
    user_id {text} NOT NULL,
    role {text} NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (app_id, call_type, call_id, user_id),
    FOREIGN KEY (app_id, call_type, call_id) REFERENCES calls (app_id, type, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX call_members_user ON call_members (app_id, user_id)";

const KEYS: &str = "
ALTER TABLE app_keys ADD COLUMN retired_at bigint;
CREATE TABLE master_keys (
    fingerprint {text} NOT NULL PRIMARY KEY,
    generation integer NOT NULL UNIQUE,
    keyset_sealed {bytes} NOT NULL,
    created_at bigint NOT NULL
)";
