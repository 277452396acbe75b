//! Rows that a piece of work changed or removed, and those of them that count for callers, by what they are.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Tables whose rows count for callers, with the name of what these are. [`super::preview`] counts the same.
const KINDS: [(&str, &str); 15] = [
    ("activities", "activities"),
    ("call_members", "call_members"),
    ("calls", "calls"),
    ("channel_members", "channel_members"),
    ("channels", "channels"),
    ("comments", "comments"),
    ("devices", "devices"),
    ("feed_reactions", "feed_reactions"),
    ("feeds", "feeds"),
    ("flags", "flags"),
    ("follows", "follows"),
    ("future_channel_bans", "future_channel_bans"),
    ("messages", "messages"),
    ("reactions", "reactions"),
    ("user_blocks", "blocks"),
];

/// What callers know the rows of `table` as.
pub(super) fn kind_of(table: &str) -> Option<&'static str> {
    KINDS.iter().find(|(name, _)| *name == table).map(|(_, kind)| *kind)
}

/// Rows of all tables, and those of some by what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    total: u64,
    by_kind: BTreeMap<&'static str, u64>,
}

impl Rows {
    /// Rows of `table`, all of which count for callers where any of the table do.
    pub(super) fn of(table: &str, rows: u64) -> Self {
        Self::some_of(table, rows, rows)
    }

    /// Rows of `table`, of which these count for callers: a deletion counts a row once, however often it changes it.
    pub(super) fn some_of(table: &str, rows: u64, counted: u64) -> Self {
        let kind = kind_of(table).filter(|_| counted > 0);
        Self { total: rows, by_kind: kind.map(|kind| (kind, counted)).into_iter().collect() }
    }

    /// Rows that count for no caller: an id was replaced in them, or they belong to the work itself.
    pub(super) const fn uncounted(rows: u64) -> Self {
        Self { total: rows, by_kind: BTreeMap::new() }
    }

    /// Counts `least` in all at the least, so that what goes by the number sees that there may be more.
    #[must_use]
    pub(super) fn raised_to(mut self, least: u64) -> Self {
        self.total = self.total.max(least);
        self
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Those that count for callers, by what they are; what there is none of is left out.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.by_kind.iter().map(|(kind, rows)| (*kind, *rows))
    }
}

impl AddAssign for Rows {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        for (kind, rows) in other.by_kind {
            *self.by_kind.entry(kind).or_default() += rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_in_all_and_by_what_they_are() {
        let mut rows = Rows::of("user_blocks", 2);
        rows += Rows::some_of("messages", 5, 3);
        rows += Rows::some_of("messages", 4, 0);
        rows += Rows::of("messages", 1);
        rows += Rows::of("sessions", 7);
        rows += Rows::uncounted(9);
        rows += Rows::of("calls", 0);
        assert_eq!(rows.total(), 28);
        assert_eq!(rows.by_kind().collect::<Vec<_>>(), [("blocks", 2), ("messages", 4)]);
    }
}
