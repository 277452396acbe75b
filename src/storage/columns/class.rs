//! What a column can hold, as far as users are concerned, and what becomes of it when one is erased.

use super::release::Release;

/// What becomes of an id in a column when its user is deleted without a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// It is the user's row, which goes last.
    Itself,
    /// The row goes.
    Row,
    /// The row goes where what the user wrote does, or else names a system id.
    Author,
    /// It names the heir of channels, or a system id.
    Channel,
    /// It names the heir of calls, or a system id.
    Call,
    /// It names a system id.
    System,
    /// The row goes, but in a list that means everybody when it is empty names a system id.
    Listed,
    /// It names a pseudonym.
    Pseudonym,
    /// It names a pseudonym, and so do the words with which that user asked, in the column named.
    Asker(&'static str),
    /// The row goes, and a pseudonym replaces the id in what was said to others of its task.
    History,
    /// It names a pseudonym, and so does what was said of the task.
    Item,
    /// The row goes with the user's by itself.
    Cascade,
    /// The archive goes that is the user's, or names it.
    Archive,
}

/// What becomes of something that is made of the ids or the data of users when one of them is deleted without a
/// trace. It could otherwise reveal the user, or give what was the user's to the next bearer of the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// It goes with its row, which goes.
    Goes,
    /// The id of a distinct channel: a random one takes its place, found by itself only.
    Ended,
    /// The id, where it stands in words, becomes the pseudonym; what was about the user alone goes.
    Replaced,
    /// What waits and names the user is refused, and goes.
    Refused,
    /// It stays: a keyed hash, which nobody finds who does not have the id.
    Hashed,
    /// It is there within a transaction or a batch only.
    Passing,
    /// It stays as long as the content, which is deleted by a mode of its own: a feed that is kept keeps its id,
    /// also where this is the user's. No import gives the feed to another user.
    Content,
}

/// A table and what its columns hold. Rows without a user of their own have no personal columns: what stands
/// in them is of whoever owns them together.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// As in the database.
    pub name: &'static str,
    /// Names or orders rows, or says how they stand: nothing personal but for [`Self::derived`], and kept as long
    /// as the row.
    pub plain: &'static [&'static str],
    /// Says that the row is deleted, and by which task: set by soft deletion and pruning.
    pub marks: &'static [&'static str],
    /// Data of whose row this is, or who wrote it: kept by soft deletion, blanked by pruning.
    pub personal: &'static [&'static str],
    /// Ids of users: kept by soft deletion and pruning, erased by a deletion without a trace.
    pub names: &'static [(&'static str, Trace)],
    /// What usher keeps for itself: no export holds it, everything else is exported.
    pub internal: &'static [&'static str],
    /// Those of the columns above that are made of ids or data of users, with what becomes of it.
    pub derived: &'static [(&'static str, Derived)],
    /// What the export of a user holds of it.
    pub released: &'static [Release],
    /// Columns that are neither internal nor released, with the reason; `*` for all.
    pub withheld: &'static [(&'static str, &'static str)],
}

pub(super) const NOTHING: Table = Table {
    name: "",
    plain: &[],
    marks: &[],
    personal: &[],
    names: &[],
    internal: &[],
    derived: &[],
    released: &[],
    withheld: &[],
};

impl Table {
    /// All columns.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        let named = self.names.iter().map(|(column, _)| *column);
        let plain = self.plain.iter().chain(self.marks).chain(self.personal).chain(self.internal).copied();
        plain.chain(named)
    }
}
