//! Stubs: what is made of users, channels, calls and feeds that records name and no archive holds.

use std::io;

use serde_json::{Value, json};

use super::spool::Draft;
use super::summary::Why;
use super::survey::{Referred, Survey};
use crate::model::content::{Key, Kind};

/// Writes all of them, for an import that leaves alone what exists: before another one replaces what exists.
///
/// Distinct channels are made here with all their members, also where there are records of them: each can be written
/// for itself then. So are the users that these need.
pub(super) fn write_before(survey: &mut Survey, draft: &mut Draft) -> io::Result<()> {
    let places = survey.stub_places();
    for (id, place) in survey.stub_users(&places) {
        draft.put("user", &json!({"id": id}), place)?;
    }
    for (key, referred) in places {
        write_place(key, referred, draft)?;
        for member in &referred.members {
            draft.put("member", &of_member(key, referred, member), referred.place)?;
        }
    }
    count(survey);
    Ok(())
}

/// Users that have no record.
pub(super) fn write_users(survey: &Survey, draft: &mut Draft) -> io::Result<()> {
    for (id, place) in survey.stub_users(&survey.stub_places()) {
        if !survey.has(&Key::new(Kind::User, [id])) {
            draft.put("user", &json!({"id": id}), place)?;
        }
    }
    Ok(())
}

/// Channels that are not distinct, calls and feeds.
pub(super) fn write_places(survey: &Survey, draft: &mut Draft) -> io::Result<()> {
    for (key, referred) in survey.stub_places() {
        if referred.members.is_empty() {
            write_place(key, referred, draft)?;
        }
    }
    Ok(())
}

pub(super) fn write_place(key: &Key, referred: &Referred, draft: &mut Draft) -> io::Result<()> {
    let [group, id] = key.parts.as_slice() else { return Ok(()) };
    let owner = &referred.owner;
    let (kind, item) = match key.kind {
        Kind::Channel if !referred.members.is_empty() => {
            ("channel", json!({"type": group, "member_ids": referred.members, "created_by": owner}))
        }
        Kind::Channel => ("channel", json!({"type": group, "id": id, "created_by": owner})),
        Kind::Call => ("call", json!({"type": group, "id": id, "created_by": owner})),
        _ => {
            let fid = format!("{group}:{id}");
            ("feed", json!({"group_id": group, "id": id, "fid": fid, "created_by_id": owner}))
        }
    };
    draft.put(kind, &item, referred.place)
}

/// A member of a distinct channel.
pub(super) fn of_member(key: &Key, referred: &Referred, member: &str) -> Value {
    json!({"channel_type": key.parts.first(), "channel_member_ids": referred.members, "user_id": member})
}

/// Counts what is in no archive.
pub(super) fn count(survey: &mut Survey) {
    let places = survey.stub_places();
    let users = survey.stub_users(&places);
    let users = users.keys().filter(|id| !survey.has(&Key::new(Kind::User, [id]))).map(|_| Kind::User);
    let places = places.iter().filter(|(key, _)| !survey.has(key)).map(|(key, _)| key.kind);
    for kind in users.chain(places).collect::<Vec<_>>() {
        survey.summary.add(Why::Stub, kind.as_str());
    }
}
