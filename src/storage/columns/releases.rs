//! What each table releases to the export of a user. What is internal is never released; every other column is
//! in a release here, or withheld with a reason. A test fails where one is in neither.

use super::release::{
    Field, Form, Found, List, ListOf, Purpose, Relation, Release, always, as_form, flag, json, number, part,
    person, selected, text, text_as, time,
};
use crate::model::content::Naming;
use crate::model::export::Basis::{Observed, Provided};

/// What a kind of records begins from: provided by its author.
const AUTHORED: Release = Release {
    record: "",
    step: "",
    relation: Relation::Author,
    basis: Provided,
    purpose: Purpose::Chat,
    found: Found::By("user_id"),
    order: &["id"],
    fields: &[],
    lists: &[],
};

/// What a kind of records begins from: observed, about the user.
const ABOUT: Release =
    Release { relation: Relation::Subject, basis: Observed, purpose: Purpose::Accountability, ..AUTHORED };

const CHANNEL_TYPE: Field = text("channel_type");
const CHANNEL_ID: Field =
    as_form("channel_id", "channel_id", Form::Channel("channel_type", "channel_member_ids"));
const MENTIONED: List = List { name: "mentioned_user_ids", of: ListOf::Named(Naming::Mention) };

pub(super) const USERS: &[Release] = &[
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

pub(super) const USER_BLOCKS: &[Release] = &[Release {
    record: "block",
    purpose: Purpose::Moderation,
    order: &["blocked_user_id"],
    fields: &[person("user_id", "user_id"), person("blocked_user_id", "blocked_user_id"), time("created_at")],
    ..AUTHORED
}];

pub(super) const DEVICES: &[Release] = &[Release {
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

pub(super) const SESSIONS: &[Release] = &[Release {
    record: "session",
    fields: &[text("id"), person("user_id", "user_id"), time("seen_at"), flag("ended")],
    ..ABOUT
}];

pub(super) const USER_HISTORY: &[Release] = &[Release {
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

pub(super) const CHANNELS: &[Release] = &[Release {
    record: "channel",
    relation: Relation::Owner,
    found: Found::By("created_by_id"),
    order: &["type", "id"],
    fields: &[
        text("type"),
        as_form("id", "id", Form::Channel("type", "member_ids")),
        person("created_by", "created_by_id"),
        text("team"),
        flag("disabled"),
        flag("frozen"),
        json("custom"),
        time("created_at"),
        time("updated_at"),
        time("truncated_at"),
        selected(
            "deleted_at",
            "deleted_at",
            "COALESCE(channels.deleted_at, (SELECT MIN(marked_at) FROM channel_marks m WHERE m.app_id = \
             channels.app_id AND m.channel_type = channels.type AND m.channel_id = channels.id))",
            Form::Time,
        ),
    ],
    lists: &[List { name: "banned_users", of: ListOf::Named(Naming::Ban) }],
    ..AUTHORED
}];

pub(super) const CHANNEL_MEMBERS: &[Release] = &[Release {
    record: "member",
    relation: Relation::Subject,
    order: &["channel_type", "channel_id"],
    fields: &[
        CHANNEL_TYPE,
        CHANNEL_ID,
        person("user_id", "user_id"),
        text_as("channel_role", "role"),
        flag("invited"),
        time("invite_accepted_at"),
        time("invite_rejected_at"),
        as_form("hide_channel", "hidden", Form::Flag),
        time("hide_messages_before"),
        time("last_read"),
        time("archived_at"),
        json("custom"),
        time("created_at"),
    ],
    ..AUTHORED
}];

pub(super) const CHANNEL_MARKS: &[Release] = &[Release {
    record: "deletion_mark",
    order: &["channel_type", "channel_id", "marked_by"],
    fields: &[
        CHANNEL_TYPE,
        as_form("channel_id", "channel_id", Form::Channel("channel_type", "")),
        person("user_id", "user_id"),
        text_as("task_id", "marked_by"),
        time("marked_at"),
    ],
    ..ABOUT
}];

/// A message of another user: `id` and `author` are that user's.
const RECEIVED: Release = Release {
    record: "message_received",
    relation: Relation::Recipient,
    basis: Observed,
    fields: &[
        text("id"),
        CHANNEL_TYPE,
        as_form("channel_id", "channel_id", Form::Channel("channel_type", "")),
        person("user", "user_id"),
        text("type"),
        text("text"),
        text("html"),
        json("attachments"),
        json("custom"),
        time("created_at"),
        time("updated_at"),
    ],
    ..AUTHORED
};

pub(super) const MESSAGES: &[Release] = &[
    Release {
        record: "message",
        fields: &[
            text("id"),
            CHANNEL_TYPE,
            CHANNEL_ID,
            person("user", "user_id"),
            as_form("type", "type", Form::MessageType),
            text("text"),
            text("html"),
            text("parent_id"),
            flag("show_in_channel"),
            json("attachments"),
            text("quoted_message_id"),
            time("pinned_at"),
            person("pinned_by_id", "pinned_by_id"),
            time("pin_expires"),
            json("custom"),
            time("created_at"),
            time("updated_at"),
            time("deleted_at"),
        ],
        lists: &[
            List { name: "mentioned_users_ids", of: ListOf::Named(Naming::Mention) },
            List { name: "restricted_visibility", of: ListOf::Named(Naming::Visibility) },
        ],
        ..AUTHORED
    },
    Release {
        step: "directly",
        found: Found::ReceivedDirectly,
        order: &["channel_type", "channel_id", "created_at", "id"],
        ..RECEIVED
    },
    Release { step: "restricted", found: Found::ReceivedRestricted, ..RECEIVED },
];

pub(super) const REACTIONS: &[Release] = &[
    Release {
        record: "reaction",
        order: &["message_id", "type"],
        fields: &[
            text("message_id"),
            person("user_id", "user_id"),
            text("type"),
            json("custom"),
            time("created_at"),
        ],
        ..AUTHORED
    },
    Release {
        record: "reactions_received",
        relation: Relation::Counterparty,
        found: Found::CountedOn("message"),
        purpose: Purpose::Chat,
        order: &[],
        fields: &[text("message_id")],
        ..ABOUT
    },
];

pub(super) const FUTURE_CHANNEL_BANS: &[Release] = &[
    Release {
        record: "future_channel_ban",
        purpose: Purpose::Moderation,
        found: Found::By("created_by_id"),
        order: &["target_id"],
        fields: &[
            person("created_by", "created_by_id"),
            person("target_id", "target_id"),
            text("reason"),
            flag("shadow"),
            time("created_at"),
        ],
        ..AUTHORED
    },
    Release {
        record: "ban_received",
        relation: Relation::Counterparty,
        purpose: Purpose::Moderation,
        found: Found::ByWhere("target_id", "NOT future_channel_bans.shadow"),
        order: &["created_by_id"],
        fields: &[
            always("entity_type", "future_channels"),
            as_form("banned_by_id", "created_by_id", Form::Unnamed),
            time("created_at"),
        ],
        ..ABOUT
    },
];

pub(super) const FEEDS: &[Release] = &[Release {
    record: "feed",
    relation: Relation::Owner,
    purpose: Purpose::Feeds,
    found: Found::By("created_by_id"),
    order: &["group_id", "id"],
    fields: &[
        text("group_id"),
        as_form("id", "id", Form::Feed("group_id")),
        as_form("fid", "id", Form::Fid("group_id")),
        person("created_by_id", "created_by_id"),
        text("name"),
        text("description"),
        text("visibility"),
        json("custom"),
        time("created_at"),
        time("deleted_at"),
    ],
    ..AUTHORED
}];

pub(super) const ACTIVITIES: &[Release] = &[Release {
    record: "activity",
    purpose: Purpose::Feeds,
    fields: &[
        text("id"),
        text("type"),
        person("user_id", "user_id"),
        text("text"),
        json("attachments"),
        text("visibility"),
        text("parent_id"),
        json("custom"),
        time("created_at"),
        time("updated_at"),
        time("deleted_at"),
    ],
    lists: &[MENTIONED, List { name: "fids", of: ListOf::Feeds }],
    ..AUTHORED
}];

pub(super) const COMMENTS: &[Release] = &[Release {
    record: "comment",
    purpose: Purpose::Feeds,
    fields: &[
        text("id"),
        always("object_type", "activity"),
        text_as("object_id", "activity_id"),
        person("user_id", "user_id"),
        text("text"),
        text("parent_id"),
        text("status"),
        json("attachments"),
        json("custom"),
        time("created_at"),
        time("deleted_at"),
    ],
    lists: &[MENTIONED],
    ..AUTHORED
}];

pub(super) const FEED_REACTIONS: &[Release] = &[
    Release {
        record: "reaction",
        purpose: Purpose::Feeds,
        order: &["activity_id", "comment_id", "type"],
        fields: &[
            text("activity_id"),
            selected("comment_id", "comment_id", "NULLIF(feed_reactions.comment_id, '')", Form::Text),
            person("user_id", "user_id"),
            text("type"),
            json("custom"),
            time("created_at"),
        ],
        ..AUTHORED
    },
    Release {
        record: "reactions_received",
        relation: Relation::Counterparty,
        purpose: Purpose::Feeds,
        step: "activity",
        found: Found::CountedOn("activity"),
        order: &[],
        fields: &[text("activity_id")],
        ..ABOUT
    },
    Release {
        record: "reactions_received",
        relation: Relation::Counterparty,
        purpose: Purpose::Feeds,
        step: "comment",
        found: Found::CountedOn("comment"),
        order: &[],
        fields: &[text("comment_id")],
        ..ABOUT
    },
];

pub(super) const FOLLOWS: &[Release] = &[
    Release {
        record: "follow",
        relation: Relation::Owner,
        purpose: Purpose::Feeds,
        found: Found::FromOwnFeed,
        order: &["source_group", "source_id", "target_group", "target_id"],
        fields: &[
            part("source_group"),
            as_form("source_fid", "source_id", Form::Fid("source_group")),
            part("target_group"),
            as_form("target_fid", "target_id", Form::Fid("target_group")),
            text("status"),
            json("custom"),
            time("created_at"),
        ],
        ..AUTHORED
    },
    Release {
        record: "follow_received",
        relation: Relation::Counterparty,
        purpose: Purpose::Feeds,
        found: Found::ToOwnFeed,
        order: &["target_group", "target_id", "source_group", "source_id"],
        fields: &[
            part("target_group"),
            as_form("target_fid", "target_id", Form::Fid("target_group")),
            text("status"),
            time("created_at"),
        ],
        ..ABOUT
    },
];

pub(super) const CALLS: &[Release] = &[
    Release {
        record: "call",
        relation: Relation::Owner,
        purpose: Purpose::Calls,
        found: Found::By("created_by_id"),
        order: &["type", "id"],
        fields: &[
            text("type"),
            as_form("id", "id", Form::Call("type")),
            person("created_by", "created_by_id"),
            json("custom"),
            time("started_at"),
            time("ended_at"),
            time("created_at"),
        ],
        ..AUTHORED
    },
    Release {
        record: "deletion_mark",
        found: Found::ByWhere("created_by_id", "calls.deleted_at IS NOT NULL"),
        order: &["type", "id"],
        fields: &[
            text_as("call_type", "type"),
            as_form("call_id", "id", Form::Call("type")),
            selected("marked_at", "deleted_at", "", Form::Time),
        ],
        ..ABOUT
    },
];

pub(super) const CALL_MEMBERS: &[Release] = &[Release {
    record: "call_member",
    relation: Relation::Subject,
    purpose: Purpose::Calls,
    order: &["call_type", "call_id"],
    fields: &[
        text("call_type"),
        as_form("call_id", "call_id", Form::Call("call_type")),
        person("user_id", "user_id"),
        text("role"),
        time("created_at"),
    ],
    ..AUTHORED
}];

pub(super) const CALL_MARKS: &[Release] = &[Release {
    record: "deletion_mark",
    order: &["call_type", "call_id", "marked_by"],
    fields: &[
        text("call_type"),
        as_form("call_id", "call_id", Form::Call("call_type")),
        person("user_id", "user_id"),
        text_as("task_id", "marked_by"),
        time("marked_at"),
    ],
    ..ABOUT
}];

/// A flag of another user: neither who set it nor why.
const FLAGGED: Release = Release {
    record: "flag_received",
    relation: Relation::Counterparty,
    purpose: Purpose::Moderation,
    order: &["user_id"],
    fields: &[
        text("entity_type"),
        as_form("entity_id", "entity_id", Form::Entity("entity_type")),
        as_form("flagged_by_id", "user_id", Form::Unnamed),
        time("created_at"),
    ],
    ..ABOUT
};

pub(super) const FLAGS: &[Release] = &[
    Release {
        record: "flag",
        purpose: Purpose::Moderation,
        order: &["entity_type", "entity_id"],
        fields: &[
            text("entity_type"),
            as_form("entity_id", "entity_id", Form::Entity("entity_type")),
            person("user_id", "user_id"),
            text("reason"),
            json("custom"),
            time("created_at"),
        ],
        ..AUTHORED
    },
    Release { step: "user", found: Found::ByWhere("entity_id", "flags.entity_type = 'user'"), ..FLAGGED },
    Release { step: "message", found: Found::FlagsOn("message"), ..FLAGGED },
    Release { step: "activity", found: Found::FlagsOn("activity"), ..FLAGGED },
    Release { step: "comment", found: Found::FlagsOn("comment"), ..FLAGGED },
];

/// Where another user, or the user itself, names the user: what, and when.
const MENTION: Release =
    Release { record: "mention", purpose: Purpose::Chat, order: &["owner_kind", "owner_id"], ..ABOUT };

pub(super) const NAMED_USERS: &[Release] = &[
    Release {
        step: "message",
        found: Found::ByWhere(
            "user_id",
            "named_users.naming = 'mention' AND named_users.owner_kind = 'message'",
        ),
        fields: &[
            text_as("message_id", "owner_id"),
            selected(
                "cid",
                "",
                "(SELECT m.channel_type || ':' || m.channel_id FROM messages m WHERE m.app_id = \
                 named_users.app_id AND m.id = named_users.owner_id)",
                Form::Cid,
            ),
            selected(
                "created_at",
                "",
                "(SELECT m.created_at FROM messages m WHERE m.app_id = named_users.app_id AND m.id = \
                 named_users.owner_id)",
                Form::Time,
            ),
        ],
        ..MENTION
    },
    Release {
        step: "activity",
        purpose: Purpose::Feeds,
        found: Found::ByWhere(
            "user_id",
            "named_users.naming = 'mention' AND named_users.owner_kind = 'activity'",
        ),
        fields: &[
            text_as("activity_id", "owner_id"),
            selected(
                "created_at",
                "",
                "(SELECT a.created_at FROM activities a WHERE a.app_id = named_users.app_id AND a.id = \
                 named_users.owner_id)",
                Form::Time,
            ),
        ],
        ..MENTION
    },
    Release {
        step: "comment",
        purpose: Purpose::Feeds,
        found: Found::ByWhere(
            "user_id",
            "named_users.naming = 'mention' AND named_users.owner_kind = 'comment'",
        ),
        fields: &[
            text_as("comment_id", "owner_id"),
            selected(
                "created_at",
                "",
                "(SELECT c.created_at FROM comments c WHERE c.app_id = named_users.app_id AND c.id = \
                 named_users.owner_id)",
                Form::Time,
            ),
        ],
        ..MENTION
    },
    Release {
        record: "ban_received",
        relation: Relation::Counterparty,
        purpose: Purpose::Moderation,
        found: Found::ByWhere("user_id", "named_users.naming = 'ban'"),
        fields: &[
            always("entity_type", "channel"),
            as_form("cid", "owner_id", Form::Cid),
            always("banned_by_id", "~"),
        ],
        ..MENTION
    },
];

/// Why most of a task is withheld from the user who asked for it.
const WHOLE_WORK: &str = "about the work as a whole, which may be on other users";

pub(super) const TASKS_WITHHELD: &[(&str, &str)] = &[
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
];

pub(super) const TASKS: &[Release] = &[Release {
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

pub(super) const TASK_ITEMS: &[Release] = &[Release {
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
