//! What users make in chat, video and feeds, and items of imports that wait for what they refer to.
//!
//! Columns that name an owner have no foreign key: they outlive whom they name. All others do, so that
//! nothing can come to belong to a user who is gone.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::storage::backend::words;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_content"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and naming it binds it otherwise")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let statements = [CHAT, FEEDS, OTHER, IMPORTS].into_iter().flat_map(|sql| sql.split_terminator(';'));
        for statement in statements {
            db.execute_unprepared(&words::spell(statement, db.get_database_backend())).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const CHAT: &str = "
CREATE TABLE channels (
    app_id integer NOT NULL REFERENCES apps (id),
    type {text} NOT NULL,
    id {text} NOT NULL,
    created_by_id {text} NOT NULL,
    team {text},
    is_distinct boolean NOT NULL,
    disabled boolean NOT NULL,
    frozen boolean NOT NULL,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint,
    truncated_at bigint,
    deleted_at bigint,
    import_no bigint,
    PRIMARY KEY (app_id, type, id)
);
CREATE INDEX channels_owner ON channels (app_id, created_by_id);
CREATE TABLE channel_members (
    app_id integer NOT NULL,
    channel_type {text} NOT NULL,
    channel_id {text} NOT NULL,
    user_id {text} NOT NULL,
    role {text} NOT NULL,
    invited boolean NOT NULL,
    invite_accepted_at bigint,
    invite_rejected_at bigint,
    hidden boolean NOT NULL,
    hide_messages_before bigint,
    last_read bigint,
    archived_at bigint,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, channel_type, channel_id, user_id),
    FOREIGN KEY (app_id, channel_type, channel_id) REFERENCES channels (app_id, type, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX channel_members_user ON channel_members (app_id, user_id);
CREATE TABLE messages (
    app_id integer NOT NULL,
    id {text} NOT NULL,
    channel_type {text} NOT NULL,
    channel_id {text} NOT NULL,
    user_id {text} NOT NULL,
    type {text} NOT NULL,
    text {text},
    html {text},
    parent_id {text},
    show_in_channel boolean NOT NULL,
    attachments {json} NOT NULL,
    quoted_message_id {text},
    pinned_at bigint,
    pinned_by_id {text},
    pin_expires bigint,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint,
    deleted_at bigint,
    import_no bigint,
    PRIMARY KEY (app_id, id),
    FOREIGN KEY (app_id, channel_type, channel_id) REFERENCES channels (app_id, type, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX messages_channel ON messages (app_id, channel_type, channel_id, created_at, id);
CREATE INDEX messages_user ON messages (app_id, user_id, id);
CREATE INDEX messages_pinner ON messages (app_id, pinned_by_id) WHERE pinned_by_id IS NOT NULL;
CREATE TABLE reactions (
    app_id integer NOT NULL,
    message_id {text} NOT NULL,
    user_id {text} NOT NULL,
    type {text} NOT NULL,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, message_id, user_id, type),
    FOREIGN KEY (app_id, message_id) REFERENCES messages (app_id, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX reactions_user ON reactions (app_id, user_id);
CREATE TABLE future_channel_bans (
    app_id integer NOT NULL,
    created_by_id {text} NOT NULL,
    target_id {text} NOT NULL,
    reason {text},
    shadow boolean NOT NULL,
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, created_by_id, target_id),
    FOREIGN KEY (app_id, target_id) REFERENCES users (app_id, id)
);
CREATE INDEX future_channel_bans_target ON future_channel_bans (app_id, target_id)";

const FEEDS: &str = "
CREATE TABLE feeds (
    app_id integer NOT NULL REFERENCES apps (id),
    group_id {text} NOT NULL,
    id {text} NOT NULL,
    created_by_id {text} NOT NULL,
    name {text},
    description {text},
    visibility {text} NOT NULL,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    deleted_at bigint,
    import_no bigint,
    PRIMARY KEY (app_id, group_id, id)
);
CREATE INDEX feeds_owner ON feeds (app_id, created_by_id);
CREATE TABLE activities (
    app_id integer NOT NULL,
    id {text} NOT NULL,
    type {text} NOT NULL,
    user_id {text} NOT NULL,
    text {text},
    attachments {json} NOT NULL,
    visibility {text} NOT NULL,
    parent_id {text},
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint,
    deleted_at bigint,
    import_no bigint,
    PRIMARY KEY (app_id, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX activities_user ON activities (app_id, user_id, id);
CREATE TABLE activity_feeds (
    app_id integer NOT NULL,
    activity_id {text} NOT NULL,
    group_id {text} NOT NULL,
    feed_id {text} NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (app_id, activity_id, group_id, feed_id),
    FOREIGN KEY (app_id, activity_id) REFERENCES activities (app_id, id),
    FOREIGN KEY (app_id, group_id, feed_id) REFERENCES feeds (app_id, group_id, id)
);
CREATE INDEX activity_feeds_feed ON activity_feeds (app_id, group_id, feed_id);
CREATE TABLE comments (
    app_id integer NOT NULL,
    id {text} NOT NULL,
    activity_id {text} NOT NULL,
    user_id {text} NOT NULL,
    text {text},
    parent_id {text},
    status {text},
    attachments {json} NOT NULL,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    deleted_at bigint,
    import_no bigint,
    PRIMARY KEY (app_id, id),
    FOREIGN KEY (app_id, activity_id) REFERENCES activities (app_id, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX comments_activity ON comments (app_id, activity_id);
CREATE INDEX comments_user ON comments (app_id, user_id, id);
CREATE TABLE feed_reactions (
    app_id integer NOT NULL,
    activity_id {text} NOT NULL,
    comment_id {text} NOT NULL,
    user_id {text} NOT NULL,
    type {text} NOT NULL,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, activity_id, comment_id, user_id, type),
    FOREIGN KEY (app_id, activity_id) REFERENCES activities (app_id, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX feed_reactions_comment ON feed_reactions (app_id, comment_id) WHERE comment_id <> '';
CREATE INDEX feed_reactions_user ON feed_reactions (app_id, user_id);
CREATE TABLE follows (
    app_id integer NOT NULL,
    source_group {text} NOT NULL,
    source_id {text} NOT NULL,
    target_group {text} NOT NULL,
    target_id {text} NOT NULL,
    status {text} NOT NULL,
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, source_group, source_id, target_group, target_id),
    FOREIGN KEY (app_id, source_group, source_id) REFERENCES feeds (app_id, group_id, id),
    FOREIGN KEY (app_id, target_group, target_id) REFERENCES feeds (app_id, group_id, id)
);
CREATE INDEX follows_target ON follows (app_id, target_group, target_id)";

/// `named_users` holds the lists of users that content names beside its author: one table, so that
/// whoever looks for a user looks in one place.
const OTHER: &str = "
ALTER TABLE calls ADD COLUMN import_no bigint;
ALTER TABLE call_members ADD COLUMN import_no bigint;
CREATE TABLE flags (
    app_id integer NOT NULL,
    entity_type {text} NOT NULL,
    entity_id {text} NOT NULL,
    user_id {text} NOT NULL,
    reason {text},
    custom {json} NOT NULL,
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, entity_type, entity_id, user_id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX flags_user ON flags (app_id, user_id);
CREATE TABLE devices (
    app_id integer NOT NULL,
    user_id {text} NOT NULL,
    id {text} NOT NULL,
    push_provider_type {text} NOT NULL,
    push_provider_name {text},
    disabled boolean NOT NULL,
    disabled_reason {text},
    created_at bigint NOT NULL,
    import_no bigint,
    PRIMARY KEY (app_id, user_id, id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE TABLE named_users (
    app_id integer NOT NULL,
    owner_kind {text} NOT NULL,
    owner_id {text} NOT NULL,
    naming {text} NOT NULL,
    user_id {text} NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (app_id, owner_kind, owner_id, naming, user_id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id)
);
CREATE INDEX named_users_user ON named_users (app_id, user_id)";

/// A waiting item is kept as it came; `item_key` and `needs` say what it is and what it waits for.
const IMPORTS: &str = "
ALTER TABLE imports ADD COLUMN items bigint NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN refused bigint NOT NULL DEFAULT 0;
ALTER TABLE import_refusals ADD COLUMN no bigint NOT NULL DEFAULT 0;
CREATE INDEX import_refusals_told ON import_refusals (app_id, import_no, no, item_offset);
CREATE TABLE import_waiting (
    app_id integer NOT NULL,
    import_no bigint NOT NULL,
    item_offset bigint NOT NULL,
    item_no bigint NOT NULL,
    item_key {text} NOT NULL,
    needs {text} NOT NULL,
    bytes integer NOT NULL,
    json {bytes} NOT NULL,
    PRIMARY KEY (app_id, import_no, item_offset),
    FOREIGN KEY (app_id, import_no) REFERENCES imports (app_id, no)
);
CREATE INDEX import_waiting_key ON import_waiting (import_no, item_key, app_id);
CREATE INDEX import_waiting_needs ON import_waiting (import_no, needs, app_id)";
