//! Distinct channels with all their members, one after the other, for an import that skips what exists.
//!
//! Such a channel is stored together with its members only, and their records come from as many archives. A stub made
//! before would be what exists. So their records are written to a file, and read from there channel by channel.

use std::collections::HashMap;
use std::io;

use serde_json::Value;

use super::spool::{Draft, Place};
use super::stubs::{of_member, write_place};
use super::survey::{KeyHash, Survey, hash_of};
use crate::model::content::{DISTINCT, Key, Kind};

/// Their records.
pub(super) struct Together {
    draft: Draft,
    rows: HashMap<KeyHash, (u64, u64, Place)>,
}

/// Whether this is a distinct channel or a member of one.
pub(super) fn is_distinct(key: &Key) -> bool {
    matches!(key.kind, Kind::Channel | Kind::ChannelMember)
        && key.parts.get(1).is_some_and(|id| id.starts_with(DISTINCT))
}

impl Together {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { draft: Draft::new()?, rows: HashMap::new() })
    }

    /// Takes a record, unless there is one with this key.
    pub(super) fn take(&mut self, key: KeyHash, kind: &str, item: &Value, place: Place) -> io::Result<bool> {
        if self.rows.contains_key(&key) {
            return Ok(false);
        }
        let start = self.draft.size();
        self.draft.put(kind, item, place)?;
        self.rows.insert(key, (start, self.draft.size(), place));
        Ok(true)
    }

    /// Writes each channel with its members; what has no record is made as a stub.
    pub(super) fn write(self, survey: &Survey, draft: &mut Draft) -> io::Result<()> {
        let (spool, _) = self.draft.finish()?;
        let row = |key: &Key| self.rows.get(&hash_of(key)).copied();
        for (key, referred) in survey.stub_places() {
            if referred.members.is_empty() {
                continue;
            }
            match row(key) {
                Some((start, end, place)) => draft.put_line(&spool.between(start, end)?, place)?,
                None => write_place(key, referred, draft)?,
            }
            let [group, id] = key.parts.as_slice() else { continue };
            for member in &referred.members {
                match row(&Key::new(Kind::ChannelMember, [group, id, member])) {
                    Some((start, end, place)) => draft.put_line(&spool.between(start, end)?, place)?,
                    None => draft.put("member", &of_member(key, referred, member), referred.place)?,
                }
            }
        }
        Ok(())
    }
}
