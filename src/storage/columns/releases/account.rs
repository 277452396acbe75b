//! What is released of the user itself, its devices, sessions and tasks.

use super::{ABOUT, AUTHORED};
use crate::storage::columns::release::{
    Form, Found, List, ListOf, Purpose, Relation, Release, as_form, flag, json, number, person, selected,
    text, text_as, time,
};

pub(in crate::storage::columns) const USERS: &[Release] = &[
    Release {
        record: "user",
        purpose: Purpose::Account,
        found: Found::By("id"),
        fields: &[
            text("id"),
            text("name"),
            text("image"),
            text("role"),
            json("custom"),
            text("language"),
            flag("invisible"),
            json("teams"),
            json("teams_role"),
            json("privacy_settings"),
            as_form("push_notifications", "push_notifications", Form::Push),
            time("created_at"),
            time("deactivated_at"),
            time("deleted_at"),
        ],
        lists: &[List { name: "blocked_user_ids", of: ListOf::Blocked }],
        ..AUTHORED
    },
    Release {
        record: "user_state",
        found: Found::By("id"),
        fields: &[
            text("id"),
            time("updated_at"),
            number("version"),
            time("last_active"),
            // Through text, which no database rounds.
            selected(
                "avg_response_time",
                "avg_response_time",
                "CAST(users.avg_response_time AS text)",
                Form::Number,
            ),
            selected("tokens_revoked_before", "revoked_before", "", Form::Time),
            person("deactivated_by_id", "deactivated_by_id"),
            text("deactivation_reason"),
            text_as("deleted_by_task_id", "deleted_by"),
            flag("pruned"),
        ],
        ..ABOUT
    },
];

pub(in crate::storage::columns) const USER_BLOCKS: &[Release] = &[Release {
    record: "block",
    purpose: Purpose::Moderation,
    order: &["blocked_user_id"],
    fields: &[person("user_id", "user_id"), person("blocked_user_id", "blocked_user_id"), time("created_at")],
    ..AUTHORED
}];

pub(in crate::storage::columns) const DEVICES: &[Release] = &[Release {
    record: "device",
    purpose: Purpose::Notifications,
    fields: &[
        text("id"),
        person("user_id", "user_id"),
        text("push_provider_type"),
        text("push_provider_name"),
        flag("disabled"),
        text("disabled_reason"),
        time("created_at"),
    ],
    ..AUTHORED
}];

pub(in crate::storage::columns) const SESSIONS: &[Release] = &[Release {
    record: "session",
    fields: &[text("id"), person("user_id", "user_id"), time("seen_at"), flag("ended")],
    ..ABOUT
}];

pub(in crate::storage::columns) const USER_HISTORY: &[Release] = &[Release {
    record: "history",
    order: &["no"],
    fields: &[
        person("user_id", "user_id"),
        number("no"),
        as_form("kind", "kind", Form::HistoryKind),
        time("created_at"),
        person("by_id", "by_id"),
        text("reason"),
        text("task_id"),
    ],
    ..ABOUT
}];

/// Why most of a task is withheld from the user who asked for it.
const WHOLE_WORK: &str = "about the work as a whole, which may be on other users";

pub(in crate::storage::columns) const TASKS_WITHHELD: &[(&str, &str)] = &[
    ("phase", WHOLE_WORK),
    ("params", WHOLE_WORK),
    ("users_total", WHOLE_WORK),
    ("users_done", WHOLE_WORK),
    ("users_failed", WHOLE_WORK),
    ("users_unchanged", WHOLE_WORK),
    ("rows_done", WHOLE_WORK),
    ("revision", WHOLE_WORK),
    ("failures", WHOLE_WORK),
    ("cancel_requested", WHOLE_WORK),
    ("updated_at", WHOLE_WORK),
    ("error_reason", WHOLE_WORK),
    ("error_message", WHOLE_WORK),
    ("due_at", WHOLE_WORK),
    ("result", WHOLE_WORK),
];

pub(in crate::storage::columns) const TASKS: &[Release] = &[Release {
    record: "task",
    relation: Relation::Author,
    found: Found::By("created_by_id"),
    fields: &[
        text("id"),
        person("created_by_id", "created_by_id"),
        text("kind"),
        text("state"),
        text("reason"),
        text("request_id"),
        time("created_at"),
        time("started_at"),
        time("finished_at"),
    ],
    ..ABOUT
}];

pub(in crate::storage::columns) const TASK_ITEMS: &[Release] = &[Release {
    record: "task_item",
    order: &["task_id", "idx"],
    fields: &[
        text("task_id"),
        person("user_id", "user_id"),
        as_form("outcome", "outcome", Form::Outcome),
        text("reason"),
    ],
    ..ABOUT
}];
