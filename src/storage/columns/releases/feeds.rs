//! What is released of feeds, activities, comments and follows.

use super::{ABOUT, AUTHORED, MENTIONED};
use crate::storage::columns::release::{
    Form, Found, List, ListOf, Purpose, Relation, Release, always, as_form, json, part, person, selected,
    text, text_as, time,
};

pub(in crate::storage::columns) const FEEDS: &[Release] = &[Release {
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

pub(in crate::storage::columns) const ACTIVITIES: &[Release] = &[Release {
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

pub(in crate::storage::columns) const COMMENTS: &[Release] = &[Release {
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

pub(in crate::storage::columns) const FEED_REACTIONS: &[Release] = &[
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

pub(in crate::storage::columns) const FOLLOWS: &[Release] = &[
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
