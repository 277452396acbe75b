//! Items of video: calls and their members.

use super::fields::Fields;
use crate::model::call::DEFAULT_ROLE;
use crate::model::content::{Cell, Key, Kind, Row};
use crate::model::id::parse_word;

pub(super) fn call(item: &mut Fields<'_>) -> Option<Row> {
    let kind = item.required("type", parse_word);
    let id = item.required("id", parse_word);
    let created_by = item.user("created_by");
    item.set("created_by_id", Cell::Text(created_by));
    item.time("started_at");
    item.time("ended_at");
    item.custom();
    item.row(Kind::Call, [kind, id])
}

pub(super) fn member(item: &mut Fields<'_>) -> Option<Row> {
    let kind = item.required("call_type", parse_word);
    let call = item.required("call_id", parse_word);
    if let (Some(kind), Some(call)) = (&kind, &call) {
        item.need("call_id", Key::new(Kind::Call, [kind, call]));
    }
    let user = item.user("user_id");
    let role = item.optional("role", parse_word);
    item.set("role", Cell::Text(Some(role.unwrap_or_else(|| DEFAULT_ROLE.to_owned()))));
    item.nothing_else();
    item.row(Kind::CallMember, [kind, call, user])
}
