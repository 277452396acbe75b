//! What is released of calls.

use super::{ABOUT, AUTHORED};
use crate::storage::columns::release::{
    Form, Found, Purpose, Relation, Release, as_form, json, person, selected, text, text_as, time,
};

pub(in crate::storage::columns) const CALLS: &[Release] = &[
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

pub(in crate::storage::columns) const CALL_MEMBERS: &[Release] = &[Release {
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

pub(in crate::storage::columns) const CALL_MARKS: &[Release] = &[Release {
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
