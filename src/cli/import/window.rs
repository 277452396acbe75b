//! The elements between the file and the server: sent, or to be sent, and not yet known to be committed.
//!
//! They are held so that a new stream can go on where the broken one stopped, without the file.

use std::collections::VecDeque;

/// The server commits in batches; this is room for several of them.
const MAX_ITEMS: usize = 8_192;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// An element on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) offset: i64,
    pub(super) line: u64,
    /// Bytes of the file up to its end.
    pub(super) end: u64,
    pub(super) json: Vec<u8>,
}

/// Items in the order of their offsets; the first `sent` of them are on their way.
#[derive(Debug, Default)]
pub(super) struct Window {
    items: VecDeque<Item>,
    sent: usize,
    bytes: usize,
}

impl Window {
    /// Whether more should be read.
    pub(super) fn has_room(&self) -> bool {
        self.items.len() < MAX_ITEMS && self.bytes < MAX_BYTES
    }

    pub(super) fn push(&mut self, item: Item) {
        debug_assert!(self.items.back().is_none_or(|last| last.offset < item.offset), "offsets rise");
        self.bytes += item.json.len();
        self.items.push_back(item);
    }

    /// What is to be sent next.
    pub(super) fn unsent(&self) -> Option<&Item> {
        self.items.get(self.sent)
    }

    /// That was sent.
    pub(super) fn mark_sent(&mut self) {
        self.sent = (self.sent + 1).min(self.items.len());
    }

    /// Whether an answer is awaited.
    pub(super) fn awaits_answer(&self) -> bool {
        self.sent > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The line in which the element at `offset` begins, if it is held.
    pub(super) fn line_of(&self, offset: i64) -> Option<u64> {
        let at = self.items.binary_search_by_key(&offset, |item| item.offset).ok()?;
        self.items.get(at).map(|item| item.line)
    }

    /// Lets go of what is committed; how far into the file that reaches, if anything was.
    pub(super) fn commit(&mut self, through: i64) -> Option<u64> {
        let mut end = None;
        while let Some(item) = self.items.pop_front_if(|item| item.offset <= through) {
            self.bytes -= item.json.len();
            self.sent = self.sent.saturating_sub(1);
            end = Some(item.end);
        }
        end
    }

    /// Begins anew on another stream.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(offset: i64) -> Item {
        let number = u64::try_from(offset).unwrap();
        Item { offset, line: number + 1, end: (number + 1) * 10, json: vec![b'x'; 10] }
    }

    fn window(offsets: &[i64]) -> Window {
        let mut window = Window::default();
        for offset in offsets {
            window.push(item(*offset));
        }
        window
    }

    #[test]
    fn after_a_rewind_what_is_not_committed_is_sent_again() {
        let mut window = window(&[0, 1, 3, 4]);
        (0..3).for_each(|_| window.mark_sent());
        assert_eq!(window.commit(1), Some(20));
        assert_eq!(window.unsent().unwrap().offset, 4);

        window.rewind();

        assert_eq!(window.unsent().unwrap().offset, 3);
        assert!(!window.awaits_answer());
        assert_eq!(window.bytes, 20);
    }

    #[test]
    fn a_commit_may_reach_beyond_what_this_window_has_sent() {
        let mut window = window(&[0, 1, 3]);
        assert_eq!(window.commit(7), Some(40));
        assert!(window.is_empty() && window.unsent().is_none());
        assert_eq!(window.commit(9), None);
    }

    #[test]
    fn lines_are_known_while_the_element_is_held() {
        let mut window = window(&[0, 1, 3]);
        assert_eq!((window.line_of(3), window.line_of(2)), (Some(4), None));
        window.commit(3);
        assert_eq!(window.line_of(3), None);
    }

    #[test]
    fn room_ends_by_bytes() {
        let mut window = Window::default();
        let json = vec![b'x'; MAX_BYTES];
        window.push(Item { offset: 0, line: 1, end: 1, json });
        assert!(!window.has_room());
    }
}
