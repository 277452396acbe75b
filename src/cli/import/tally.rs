//! The books of an import: what was stored, what was refused, and which refusals were told before.
//!
//! Acknowledgements of one stream sum to the whole import, so each stream begins the sum anew. Every stream
//! tells all refusals from the first one on, in one order; as many as were told before are not told again.

use crate::proto::v1::{ImportContentResponse, ImportRefusal};

/// How many items were what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
}

impl Counts {
    pub(super) fn sum(self) -> u64 {
        self.accepted + self.skipped + self.refused
    }

    fn add(&mut self, ack: &ImportContentResponse) {
        self.accepted += u64::try_from(ack.accepted).unwrap_or(0);
        self.skipped += u64::try_from(ack.skipped).unwrap_or(0);
        // An item that breaks several rules may be listed once for each.
        let mut offsets: Vec<_> = ack.refused.iter().map(|refusal| refusal.offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        self.refused += offsets.len() as u64;
    }
}

/// Whether acknowledgements tell of old work. The first one does, and those that commit nothing more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Recount {
    #[default]
    First,
    Going,
    Over,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    stream: Counts,
    /// Refused without asking the server.
    local: u64,
    /// What earlier runs did, as the first stream tells.
    before: Counts,
    streams: u32,
    committed: Option<i64>,
    /// What the stream has told so far was done before it.
    recounting: Recount,
    /// Refusals told since this program began, and by this stream.
    told: usize,
    heard: usize,
    waiting: u64,
}

impl Tally {
    /// A new stream begins; its first acknowledgement comes next.
    pub(super) fn begin(&mut self) {
        self.stream = Counts::default();
        self.streams += 1;
        self.recounting = Recount::First;
        self.heard = 0;
    }

    /// Books an acknowledgement, and gives back the refusals that were not told before.
    pub(super) fn book(&mut self, mut ack: ImportContentResponse) -> Vec<ImportRefusal> {
        self.recounting = match self.recounting {
            Recount::First => Recount::Going,
            Recount::Going if ack.committed_offset == self.committed => Recount::Going,
            _ => Recount::Over,
        };
        self.stream.add(&ack);
        self.committed = self.committed.max(ack.committed_offset);
        if self.recounting == Recount::Going && self.streams == 1 {
            self.before = self.stream;
        }
        self.waiting = u64::try_from(ack.waiting).unwrap_or(0);
        let known = self.told.saturating_sub(self.heard).min(ack.refused.len());
        self.heard += ack.refused.len();
        self.told = self.told.max(self.heard);
        ack.refused.split_off(known)
    }

    /// Items that wait for what they refer to.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Notes an item refused without asking the server.
    pub(super) fn refuse_locally(&mut self) {
        self.local += 1;
    }

    /// Everything up to here is stored or refused.
    pub(super) fn committed(&self) -> Option<i64> {
        self.committed
    }

    pub(super) fn is_committed(&self, offset: i64) -> bool {
        self.committed.is_some_and(|committed| offset <= committed)
    }

    /// Of the whole import.
    pub(super) fn totals(&self) -> Counts {
        Counts { refused: self.stream.refused + self.local, ..self.stream }
    }

    /// Items the server has dealt with since this program began.
    pub(super) fn of_this_run(&self) -> u64 {
        self.stream.sum().saturating_sub(self.before.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(offset: i64) -> ImportRefusal {
        ImportRefusal { offset, ..Default::default() }
    }

    fn ack(committed: Option<i64>, accepted: i64, refused: &[i64]) -> ImportContentResponse {
        let refused = refused.iter().map(|offset| refusal(*offset)).collect();
        ImportContentResponse { committed_offset: committed, accepted, refused, ..Default::default() }
    }

    fn told(refusals: &[ImportRefusal]) -> Vec<i64> {
        refusals.iter().map(|refusal| refusal.offset).collect()
    }

    #[test]
    fn what_earlier_runs_did_counts_in_the_whole_but_not_in_this_run() {
        let mut tally = Tally::default();
        tally.begin();
        assert_eq!(told(&tally.book(ack(Some(9), 8, &[3, 7]))), [3, 7]);
        assert_eq!(told(&tally.book(ack(Some(12), 2, &[11]))), [11]);
        assert_eq!(tally.totals(), Counts { accepted: 10, skipped: 0, refused: 3 });
        assert_eq!(tally.of_this_run(), 3);
    }

    #[test]
    fn a_new_stream_begins_the_sum_anew_and_tells_nothing_twice() {
        let mut tally = Tally::default();
        tally.begin();
        tally.book(ack(None, 0, &[]));
        tally.book(ack(Some(4), 4, &[2]));

        tally.begin();
        let fresh = tally.book(ack(Some(6), 5, &[2, 6]));

        assert_eq!(told(&fresh), [6], "6 was committed, but its acknowledgement was lost");
        assert_eq!(tally.totals(), Counts { accepted: 5, skipped: 0, refused: 2 });
        assert_eq!(tally.of_this_run(), 7);
    }

    #[test]
    fn earlier_refusals_may_come_in_several_acknowledgements() {
        let mut tally = Tally::default();
        tally.begin();
        tally.book(ack(Some(9), 7, &[1, 2]));
        assert_eq!(told(&tally.book(ack(Some(9), 0, &[3]))), [3]);
        assert_eq!((tally.totals().refused, tally.of_this_run()), (3, 0));
    }

    #[test]
    fn an_item_that_was_refused_after_waiting_is_told_though_later_ones_are_committed() {
        let mut tally = Tally::default();
        tally.begin();
        tally.book(ack(None, 0, &[]));
        assert_eq!(told(&tally.book(ack(Some(4), 3, &[2]))), [2]);
        assert_eq!(told(&tally.book(ack(Some(9), 4, &[8, 1]))), [8, 1]);

        tally.begin();
        assert_eq!(told(&tally.book(ack(Some(9), 7, &[]))), Vec::<i64>::new());
        assert_eq!(told(&tally.book(ack(Some(9), 0, &[2, 8, 1, 0]))), [0], "its acknowledgement was lost");
    }

    #[test]
    fn an_item_refused_for_two_fields_is_one_item() {
        let mut tally = Tally::default();
        tally.begin();
        tally.book(ack(Some(1), 1, &[0, 0]));
        tally.refuse_locally();
        assert_eq!(tally.totals(), Counts { accepted: 1, skipped: 0, refused: 2 });
    }
}
