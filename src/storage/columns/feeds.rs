//! What the tables of feeds hold.

use super::Derived::Content;
use super::Trace::{Author, System};
use super::class::NOTHING;
use super::{Table, releases};

pub(super) const FEEDS: Table = Table {
    name: "feeds",
    released: releases::FEEDS,
    withheld: &[("deleted_by", "says which task deleted it; the history of the user has that")],
    plain: &["app_id", "group_id", "id", "visibility", "created_at"],
    marks: &["deleted_at", "deleted_by"],
    personal: &["name", "description", "custom"],
    names: &[("created_by_id", System)],
    internal: &["import_no"],
    derived: &[("id", Content)],
};

pub(super) const ACTIVITIES: Table = Table {
    name: "activities",
    released: releases::ACTIVITIES,
    withheld: &[("deleted_by", "says which task deleted it; the history of the user has that")],
    plain: &["app_id", "id", "type", "visibility", "parent_id", "created_at", "updated_at"],
    marks: &["deleted_at", "deleted_by"],
    personal: &["text", "attachments", "custom"],
    names: &[("user_id", Author)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const ACTIVITY_FEEDS: Table = Table {
    name: "activity_feeds",
    withheld: &[("*", "released as the list `fids` of an activity")],
    plain: &["app_id", "activity_id", "group_id", "feed_id", "position"],
    derived: &[("feed_id", Content)],
    ..NOTHING
};

pub(super) const COMMENTS: Table = Table {
    name: "comments",
    released: releases::COMMENTS,
    withheld: &[("deleted_by", "says which task deleted it; the history of the user has that")],
    plain: &["app_id", "id", "activity_id", "parent_id", "status", "created_at"],
    marks: &["deleted_at", "deleted_by"],
    personal: &["text", "attachments", "custom"],
    names: &[("user_id", Author)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const FEED_REACTIONS: Table = Table {
    name: "feed_reactions",
    released: releases::FEED_REACTIONS,
    plain: &["app_id", "activity_id", "comment_id", "type", "custom", "created_at"],
    names: &[("user_id", Author)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const FOLLOWS: Table = Table {
    name: "follows",
    released: releases::FOLLOWS,
    plain: &[
        "app_id",
        "source_group",
        "source_id",
        "target_group",
        "target_id",
        "status",
        "custom",
        "created_at",
    ],
    internal: &["import_no"],
    derived: &[("source_id", Content), ("target_id", Content)],
    ..NOTHING
};
