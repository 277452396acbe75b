//! Lines of text that may be cut off, damaged, or without an end.

use std::io::{self, BufRead, ErrorKind};

/// Above what a row of the database can hold. Without a limit, a small file could unpack to more than there is memory.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Why there is no next line.
#[derive(Debug)]
pub(super) enum Fault {
    /// The text ends within a line, or its compressed form within a member.
    Cut,
    TooLong,
    /// The compressed form is not what was written.
    Damaged(String),
    Unreadable(String),
}

/// Lines, one after the other.
pub(super) struct Lines<R> {
    source: R,
    line: Vec<u8>,
    number: u64,
    limit: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, line: Vec::new(), number: 0, limit: MAX_LINE }
    }

    /// The line read last, or the one that could not be read; at the end, the last one there is.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its line break; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        self.line.clear();
        loop {
            let read = match self.source.fill_buf() {
                Ok(read) => read,
                Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                Err(err) => {
                    self.number += 1;
                    return Err(fault_of(&err));
                }
            };
            if read.is_empty() {
                let is_whole = self.line.is_empty();
                self.number += u64::from(!is_whole);
                return if is_whole { Ok(None) } else { Err(Fault::Cut) };
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let (part, _) = read.split_at(end.unwrap_or(read.len()));
            self.line.extend_from_slice(part);
            let taken = part.len() + usize::from(end.is_some());
            self.source.consume(taken);
            if self.line.len() > self.limit {
                self.number += 1;
                return Err(Fault::TooLong);
            }
            if end.is_some() {
                self.number += 1;
                return Ok(Some(&self.line));
            }
        }
    }
}

/// What the decoder means by an error.
fn fault_of(err: &io::Error) -> Fault {
    match err.kind() {
        ErrorKind::UnexpectedEof => Fault::Cut,
        ErrorKind::InvalidInput | ErrorKind::InvalidData => Fault::Damaged(err.to_string()),
        _ => Fault::Unreadable(err.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_not_grow_without_end() {
        let mut lines = Lines { limit: 3, ..Lines::new(&b"abc\nabcd\n"[..]) };
        assert_eq!(lines.next().unwrap(), Some(&b"abc"[..]));
        assert!(matches!(lines.next(), Err(Fault::TooLong)));
        assert_eq!(lines.number(), 2);
    }

    #[test]
    fn a_line_without_a_line_break_is_cut() {
        let mut lines = Lines::new(&b"a\n\nb"[..]);
        assert_eq!(lines.next().unwrap(), Some(&b"a"[..]));
        assert_eq!(lines.next().unwrap(), Some(&b""[..]));
        assert!(matches!(lines.next(), Err(Fault::Cut)));
        assert_eq!(lines.number(), 3);
    }
}
