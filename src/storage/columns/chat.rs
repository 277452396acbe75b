//! What the tables of chat hold.

use super::Derived::{Ended, Goes};
use super::Trace::{Author, Channel, Listed, Row, System};
use super::class::NOTHING;
use super::{Table, releases};

pub(super) const CHANNELS: Table = Table {
    name: "channels",
    released: releases::CHANNELS,
    withheld: &[("is_distinct", "said by `member_ids`")],
    plain: &[
        "app_id",
        "type",
        "id",
        "team",
        "is_distinct",
        "disabled",
        "frozen",
        "custom",
        "created_at",
        "updated_at",
        "truncated_at",
    ],
    marks: &["deleted_at"],
    names: &[("created_by_id", Channel)],
    internal: &["import_no"],
    derived: &[("id", Ended)],
    ..NOTHING
};

pub(super) const CHANNEL_MEMBERS: Table = Table {
    name: "channel_members",
    released: releases::CHANNEL_MEMBERS,
    plain: &[
        "app_id",
        "channel_type",
        "channel_id",
        "role",
        "invited",
        "invite_accepted_at",
        "invite_rejected_at",
        "hidden",
        "hide_messages_before",
        "last_read",
        "archived_at",
        "custom",
        "created_at",
    ],
    names: &[("user_id", Row)],
    internal: &["import_no"],
    derived: &[("channel_id", Ended)],
    ..NOTHING
};

pub(super) const CHANNEL_MARKS: Table = Table {
    name: "channel_marks",
    released: releases::CHANNEL_MARKS,
    plain: &["app_id", "channel_type", "channel_id"],
    marks: &["marked_by", "marked_at"],
    names: &[("user_id", Row)],
    derived: &[("channel_id", Ended)],
    ..NOTHING
};

pub(super) const MESSAGES: Table = Table {
    name: "messages",
    released: releases::MESSAGES,
    withheld: &[("deleted_by", "says which task deleted it; the history of the user has that")],
    plain: &[
        "app_id",
        "id",
        "channel_type",
        "channel_id",
        "type",
        "parent_id",
        "show_in_channel",
        "quoted_message_id",
        "pinned_at",
        "pin_expires",
        "created_at",
        "updated_at",
    ],
    marks: &["deleted_at", "deleted_by"],
    personal: &["text", "html", "attachments", "custom"],
    names: &[("user_id", Author), ("pinned_by_id", System)],
    internal: &["import_no"],
    derived: &[("channel_id", Ended)],
};

pub(super) const REACTIONS: Table = Table {
    name: "reactions",
    released: releases::REACTIONS,
    plain: &["app_id", "message_id", "type", "custom", "created_at"],
    names: &[("user_id", Author)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const FUTURE_CHANNEL_BANS: Table = Table {
    name: "future_channel_bans",
    released: releases::FUTURE_CHANNEL_BANS,
    plain: &["app_id", "reason", "shadow", "created_at"],
    names: &[("created_by_id", Row), ("target_id", Row)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const FLAGS: Table = Table {
    name: "flags",
    released: releases::FLAGS,
    plain: &["app_id", "entity_type", "entity_id", "reason", "custom", "created_at"],
    names: &[("user_id", Row)],
    internal: &["import_no"],
    derived: &[("entity_id", Goes)],
    ..NOTHING
};

pub(super) const NAMED_USERS: Table = Table {
    name: "named_users",
    released: releases::NAMED_USERS,
    withheld: &[
        ("user_id", "the user itself"),
        ("naming", "said by the type of the record"),
        ("position", "the order of a list"),
        ("owner_kind", "said by the field that has the id"),
    ],
    plain: &["app_id", "owner_kind", "owner_id", "naming", "position"],
    names: &[("user_id", Listed)],
    derived: &[("owner_id", Ended)],
    ..NOTHING
};
