//! What every column of every table holds, as far as users are concerned: the register of personal data.
//!
//! Erasing works through it, so that a user's trace cannot be forgotten in a table; a test fails where a
//! migration adds a column that does not stand here.

mod calls;
mod chat;
mod class;
mod exports;
mod feeds;
mod imports;
pub mod release;
mod releases;

use self::Derived::{Ended, Goes, Hashed, Passing, Replaced};
use self::Trace::{Asker, Cascade, History, Item, Itself, Pseudonym, Row};
use self::class::NOTHING;
pub use self::class::{Derived, Table, Trace};

/// Columns that name users, with what becomes of them.
pub fn traces() -> impl Iterator<Item = (&'static str, &'static str, Trace)> {
    TABLES.iter().flat_map(|table| table.names.iter().map(|(column, trace)| (table.name, *column, *trace)))
}

/// All tables but what the migrations keep for themselves.
pub const TABLES: &[Table] = &[
    Table {
        name: "apps",
        withheld: &[("*", "about the app, not about a user")],
        plain: &["id", "name", "created_at", "settings"],
        internal: &["auth_epoch", "accepted_seq", "revoked_epoch", "revoked_before", "minted_before"],
        ..NOTHING
    },
    Table {
        name: "app_keys",
        withheld: &[("*", "about the app, not about a user")],
        plain: &["app_id", "kid", "signing", "created_at", "retired_at"],
        internal: &["secret_sealed"],
        ..NOTHING
    },
    Table {
        name: "master_keys",
        internal: &["fingerprint", "generation", "keyset_sealed", "created_at"],
        ..NOTHING
    },
    Table {
        name: "users",
        released: releases::USERS,
        plain: &[
            "app_id",
            "role",
            "created_at",
            "updated_at",
            "deactivated_at",
            "version",
            "revoked_before",
            "last_active",
        ],
        marks: &["deleted_at", "deleted_by", "pruned"],
        personal: &[
            "name",
            "image",
            "custom",
            "language",
            "invisible",
            "teams",
            "teams_role",
            "privacy_settings",
            "push_notifications",
            "avg_response_time",
            "deactivation_reason",
        ],
        names: &[("id", Itself), ("deactivated_by_id", Asker("deactivation_reason"))],
        internal: &[
            "auth_epoch",
            "import_no",
            "revoked_epoch",
            "minted_before",
            "terms_version",
            "name_key",
            "erasing",
            "deactivated_by",
        ],
        derived: &[("name_key", Goes), ("deactivation_reason", Replaced)],
        ..NOTHING
    },
    Table {
        name: "user_terms",
        withheld: &[("user_id", "of search terms, which are made of the profile")],
        plain: &["app_id"],
        names: &[("user_id", Cascade)],
        internal: &["path", "value"],
        derived: &[("path", Goes), ("value", Goes)],
        ..NOTHING
    },
    Table {
        name: "name_turns",
        internal: &["app_id", "name_key"],
        derived: &[("name_key", Passing)],
        ..NOTHING
    },
    Table {
        name: "user_history",
        released: releases::USER_HISTORY,
        plain: &["app_id", "no", "kind", "created_at", "reason", "task_id"],
        names: &[("user_id", History), ("by_id", Asker("reason"))],
        derived: &[("reason", Replaced)],
        ..NOTHING
    },
    Table {
        name: "user_blocks",
        released: releases::USER_BLOCKS,
        plain: &["app_id", "created_at"],
        names: &[("user_id", Row), ("blocked_user_id", Row)],
        ..NOTHING
    },
    Table {
        name: "devices",
        released: releases::DEVICES,
        plain: &["app_id"],
        personal: &[
            "id",
            "push_provider_type",
            "push_provider_name",
            "disabled",
            "disabled_reason",
            "created_at",
        ],
        names: &[("user_id", Row)],
        internal: &["import_no"],
        ..NOTHING
    },
    Table {
        name: "sessions",
        released: releases::SESSIONS,
        plain: &["app_id", "ended"],
        personal: &["id", "seen_at"],
        names: &[("user_id", Row)],
        ..NOTHING
    },
    chat::CHANNELS,
    Table {
        name: "distinct_ends",
        internal: &["app_id", "type", "id", "becomes", "ended_by"],
        derived: &[("id", Passing)],
        ..NOTHING
    },
    chat::CHANNEL_MEMBERS,
    chat::CHANNEL_MARKS,
    chat::MESSAGES,
    chat::REACTIONS,
    chat::FUTURE_CHANNEL_BANS,
    feeds::FEEDS,
    feeds::ACTIVITIES,
    feeds::ACTIVITY_FEEDS,
    feeds::COMMENTS,
    feeds::FEED_REACTIONS,
    feeds::FOLLOWS,
    calls::CALLS,
    calls::CALL_MEMBERS,
    calls::CALL_MARKS,
    chat::FLAGS,
    chat::NAMED_USERS,
    Table {
        name: "tasks",
        released: releases::TASKS,
        withheld: releases::TASKS_WITHHELD,
        plain: &[
            "app_id",
            "id",
            "kind",
            "state",
            "phase",
            "params",
            "users_total",
            "users_done",
            "users_failed",
            "users_unchanged",
            "rows_done",
            "revision",
            "failures",
            "cancel_requested",
            "reason",
            "request_id",
            "created_at",
            "updated_at",
            "started_at",
            "finished_at",
            "error_reason",
            "error_message",
            "due_at",
            "result",
        ],
        names: &[("created_by_id", Pseudonym)],
        internal: &[
            "checkpoint",
            "request_hash",
            "lease_epoch",
            "lease_expires_at",
            "lease_length",
            "run_after",
            "accepted_seq",
        ],
        derived: &[
            ("reason", Replaced),
            ("request_id", Replaced),
            ("request_hash", Replaced),
            ("checkpoint", Passing),
        ],
        ..NOTHING
    },
    Table {
        name: "task_items",
        released: releases::TASK_ITEMS,
        withheld: &[("idx", "its place among other users of the task")],
        plain: &["app_id", "task_id", "idx", "outcome", "reason"],
        names: &[("user_id", Item)],
        ..NOTHING
    },
    Table {
        name: "deletion_targets",
        internal: &["app_id", "task_id", "idx", "kind", "type", "id"],
        derived: &[("id", Ended)],
        ..NOTHING
    },
    Table {
        name: "deletion_heirs",
        withheld: &[("user_id", "about the deletion of another user")],
        names: &[("user_id", Row)],
        internal: &["app_id", "task_id", "kind"],
        ..NOTHING
    },
    Table {
        name: "erased_users",
        internal: &["app_id", "id_hash", "auth_epoch", "erased_at"],
        derived: &[("id_hash", Hashed)],
        ..NOTHING
    },
    exports::FILES,
    exports::CHUNKS,
    exports::NUMBERS,
    exports::NAMES,
    exports::OBJECTS,
    imports::IMPORTS,
    imports::IMPORT_REFUSALS,
    imports::IMPORT_WAITING,
];
