//! What the frames of an HTTP/2 connection say about its streams (RFC 9113, 4.1 and 6): which are open, and that
//! the peer has reset one. Nothing else is read, and nothing is checked: that is the library's work.

use std::collections::HashSet;

/// The client's part of the preface (RFC 9113, 3.4), in bytes.
pub(super) const PREFACE: usize = 24;

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// The head of a frame.
struct Head {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// Cuts the bytes of one direction into frames.
#[derive(Debug, Default)]
struct Cutter {
    /// Bytes to pass before the next head.
    skip: usize,
    head: [u8; HEAD],
    have: usize,
}

impl Cutter {
    fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(&Head)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let taken = bytes.len().min(HEAD - self.have);
            for (to, from) in self.head.iter_mut().skip(self.have).zip(bytes.iter().take(taken)) {
                *to = *from;
            }
            self.have += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.have == HEAD {
                let [a, b, c, kind, flags, s0, s1, s2, s3] = self.head;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.have = 0;
                found(&Head { kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) });
            }
        }
    }

    /// Whether a frame of ours could be put between those that have passed.
    const fn is_between(&self) -> bool {
        self.skip == 0 && self.have == 0
    }
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    inbound: Cutter,
    outbound: Cutter,
    open: HashSet<u32>,
    last: u32,
}

impl Streams {
    pub(super) fn new() -> Self {
        let inbound = Cutter { skip: PREFACE, ..Cutter::default() };
        Self { inbound, outbound: Cutter::default(), open: HashSet::new(), last: 0 }
    }

    /// Takes note of what has come from the peer; the streams that it has reset.
    pub(super) fn received(&mut self, bytes: &[u8]) -> u32 {
        let Self { inbound, open, last, .. } = self;
        let mut resets = 0;
        inbound.feed(bytes, |head| match head.kind {
            HEADERS if head.stream > *last => {
                *last = head.stream;
                open.insert(head.stream);
            }
            RST_STREAM => {
                open.remove(&head.stream);
                resets += 1;
            }
            _ => {}
        });
        resets
    }

    /// Takes note of what has been sent to the peer.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Self { outbound, open, .. } = self;
        outbound.feed(bytes, |head| match head.kind {
            DATA | HEADERS if head.flags & END_STREAM != 0 => drop(open.remove(&head.stream)),
            RST_STREAM => drop(open.remove(&head.stream)),
            _ => {}
        });
    }

    /// Whether no stream waits for us to end it.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// GOAWAY with `ENHANCE_YOUR_CALM` (RFC 9113, 6.8), where the bytes sent so far end with a frame.
    pub(super) fn goodbye(&self, why: &str) -> Option<Vec<u8>> {
        let length = u8::try_from(8 + why.len()).ok().filter(|_| self.outbound.is_between())?;
        let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
        Some([&head[..], &self.last.to_be_bytes(), &[0, 0, 0, 0xb], why.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn streams_are_counted_however_the_bytes_are_cut() {
        let request = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[1; 12]),
            frame(HEADERS, 4, 1, &[2; 30]),
            frame(HEADERS, 5, 3, &[3; 5]),
            frame(HEADERS, 5, 5, &[]),
            // Trailers open nothing.
            frame(HEADERS, 5, 1, &[4; 3]),
            frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]),
        ]
        .concat();
        let answer = [
            frame(4, 0, 0, &[]),
            frame(HEADERS, 4, 1, &[5; 40]),
            frame(DATA, 0, 1, &[1; 300]),
            frame(HEADERS, 5, 1, &[6; 9]),
        ]
        .concat();
        for size in 1..request.len() {
            let mut streams = Streams::new();
            let resets: u32 = request.chunks(size).map(|bytes| streams.received(bytes)).sum();
            assert_eq!((resets, streams.open.len()), (1, 2), "in pieces of {size}");
            answer.chunks(size).for_each(|bytes| streams.sent(bytes));
            assert_eq!((streams.open.len(), streams.is_idle()), (1, false), "in pieces of {size}");
            streams.sent(&frame(RST_STREAM, 0, 5, &[0; 4]));
            assert!(streams.is_idle());
        }
    }

    #[test]
    fn a_goodbye_is_a_frame_and_never_stands_within_another() {
        let mut streams = Streams::new();
        let goodbye = streams.goodbye("calm").unwrap();
        let mut seen = Vec::new();
        Cutter::default().feed(&goodbye, |head| seen.push((head.kind, head.stream)));
        assert_eq!((seen, goodbye.len()), (vec![(7, 0)], 9 + 8 + 4));
        streams.sent(&frame(DATA, 0, 1, &[0; 10])[..12]);
        assert!(streams.goodbye("calm").is_none());
    }
}
