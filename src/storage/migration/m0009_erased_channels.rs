//! What erasures and imports of earlier versions left wrong: distinct channels that are still found by naming
//! members of whom some are erased, and replies to messages in other channels.
//!
//! Which channels are concerned only their ids can tell, by a key that no migration has: all that may be are
//! noted here, and the first server to start judges them (`domain::content::distinct`).

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0009_erased_channels"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [CHANNELS, REPLIES].into_iter().flat_map(|sql| sql.split_terminator(';')) {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const CHANNELS: &str = "
CREATE TABLE distinct_ends (
    app_id integer NOT NULL,
    type {text} NOT NULL,
    id {text} NOT NULL,
    becomes {text},
    ended_by {text},
    PRIMARY KEY (app_id, type, id)
);
INSERT INTO distinct_ends (app_id, type, id)
SELECT app_id, type, id FROM channels WHERE is_distinct AND app_id IN (SELECT app_id FROM erased_users)";

/// A message without its parent is no reply.
const REPLIES: &str = "
UPDATE messages SET parent_id = NULL, type = CASE type WHEN 'reply' THEN 'regular' ELSE type END
WHERE parent_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM messages AS parent
    WHERE parent.app_id = messages.app_id AND parent.id = messages.parent_id
        AND (parent.channel_type <> messages.channel_type OR parent.channel_id <> messages.channel_id)
)";
