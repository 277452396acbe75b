//! What is released of chat: channels, messages, reactions, bans, flags, mentions.

use super::{ABOUT, AUTHORED, CHANNEL_ID, CHANNEL_TYPE};
use crate::model::content::Naming;
use crate::model::export::Basis::Observed;
use crate::storage::columns::release::{
    Form, Found, List, ListOf, Purpose, Relation, Release, always, as_form, flag, json, person, selected,
    text, text_as, time,
};

pub(in crate::storage::columns) const CHANNELS: &[Release] = &[Release {
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

pub(in crate::storage::columns) const CHANNEL_MEMBERS: &[Release] = &[Release {
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

pub(in crate::storage::columns) const CHANNEL_MARKS: &[Release] = &[Release {
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

pub(in crate::storage::columns) const MESSAGES: &[Release] = &[
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

pub(in crate::storage::columns) const REACTIONS: &[Release] = &[
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

pub(in crate::storage::columns) const FUTURE_CHANNEL_BANS: &[Release] = &[
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

pub(in crate::storage::columns) const FLAGS: &[Release] = &[
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

pub(in crate::storage::columns) const NAMED_USERS: &[Release] = &[
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
