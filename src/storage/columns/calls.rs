//! What the tables of calls hold.

use super::Trace::{Call, Row};
use super::class::NOTHING;
use super::{Table, releases};

pub(super) const CALLS: Table = Table {
    name: "calls",
    released: releases::CALLS,
    plain: &["app_id", "type", "id", "custom", "started_at", "ended_at", "created_at"],
    marks: &["deleted_at"],
    names: &[("created_by_id", Call)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const CALL_MEMBERS: Table = Table {
    name: "call_members",
    released: releases::CALL_MEMBERS,
    plain: &["app_id", "call_type", "call_id", "role", "created_at"],
    names: &[("user_id", Row)],
    internal: &["import_no"],
    ..NOTHING
};

pub(super) const CALL_MARKS: Table = Table {
    name: "call_marks",
    released: releases::CALL_MARKS,
    plain: &["app_id", "call_type", "call_id"],
    marks: &["marked_by", "marked_at"],
    names: &[("user_id", Row)],
    ..NOTHING
};
