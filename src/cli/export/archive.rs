//! Reads archives of users, and checks their frame on the way: they are whole, or the first fault is named.
//!
//! A file holds one archive or several, one after the other, compressed with gzip or as plain lines. It is read
//! once, from start to end, and never held as a whole. Reads block.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};

use super::lines::{self, Lines};
use crate::domain::export::own_field;
use crate::model::export::FORMAT;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A line of an archive.
#[derive(Debug)]
pub(in crate::cli) enum Line {
    /// The first one.
    Export(Header),
    /// What the export says of its purposes.
    About,
    /// A record of the user.
    Record(Record),
    /// The last one: the archive is whole.
    End(End),
}

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Header {
    pub(in crate::cli) user_id: String,
    /// `PSEUDONYM` or `KEEP`.
    pub(in crate::cli) references: String,
    /// `ACCESS` or `PORTABILITY`.
    pub(in crate::cli) scope: String,
}

/// What a line between the first two and the last one says.
#[derive(Debug)]
pub(in crate::cli) struct Record {
    /// In the file, from 1.
    pub(in crate::cli) line: u64,
    /// What it is: `message`.
    pub(in crate::cli) kind: String,
    pub(in crate::cli) item: Map<String, Value>,
}

/// How an archive ended that is whole.
#[derive(Debug)]
pub(in crate::cli) struct End {
    /// Whose it is.
    pub(in crate::cli) header: Header,
    /// Records of the user, by type.
    pub(in crate::cli) counts: BTreeMap<String, u64>,
}

/// Why a file is no sequence of whole archives.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Fault {
    /// In the file, from 1.
    pub(in crate::cli) line: u64,
    pub(in crate::cli) what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The lines of the archives in a file. Ends after the first fault.
pub(in crate::cli) struct Archives {
    lines: Lines<Box<dyn BufRead + Send>>,
    state: State,
    is_over: bool,
}

/// Where in an archive the reader is.
enum State {
    /// Before an archive; whether there was one before it.
    Between(bool),
    /// Behind its first line.
    Begun(Header),
    Within(Header, BTreeMap<String, u64>),
}

impl Archives {
    /// Those in the file at `path`.
    pub(in crate::cli) fn open(path: &Path) -> io::Result<Self> {
        Self::read(BufReader::with_capacity(64 * 1024, File::open(path)?))
    }

    /// Those in `source`.
    pub(in crate::cli) fn read(mut source: impl BufRead + Send + 'static) -> io::Result<Self> {
        // A reader may hand over less than it has, down to a byte.
        let mut start = Vec::new();
        source.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
        let is_gzip = start == GZIP;
        let source = io::Cursor::new(start).chain(source);
        let text: Box<dyn BufRead + Send> =
            if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(source))) } else { Box::new(source) };
        Ok(Self { lines: Lines::new(text), state: State::Between(false), is_over: false })
    }

    fn next_line(&mut self) -> Result<Option<Line>, String> {
        let record = match self.lines.next() {
            Ok(Some(line)) => Parsed::of(line)?,
            Ok(None) => return self.finish(),
            Err(fault) => return Err(explain(fault)),
        };
        let number = self.lines.number();
        let state = std::mem::replace(&mut self.state, State::Between(true));
        let (line, state) = match state {
            State::Between(_) => {
                let header = record.header()?;
                (Line::Export(header.clone()), State::Begun(header))
            }
            State::Begun(header) => {
                if record.kind != "about" {
                    return Err(format!("is `{}`, where `about` must be", record.kind));
                }
                (Line::About, State::Within(header, BTreeMap::new()))
            }
            State::Within(header, counts) if record.kind == "end" => {
                record.check_counts(&counts)?;
                (Line::End(End { header, counts }), State::Between(true))
            }
            State::Within(header, mut counts) => {
                record.check_owner(&header)?;
                *counts.entry(record.kind.clone()).or_default() += 1;
                let Parsed { kind, item } = record;
                (Line::Record(Record { line: number, kind, item }), State::Within(header, counts))
            }
        };
        self.state = state;
        Ok(Some(line))
    }

    fn finish(&self) -> Result<Option<Line>, String> {
        match &self.state {
            State::Between(true) => Ok(None),
            State::Between(false) => Err("the file is empty".to_owned()),
            State::Begun(header) | State::Within(header, _) => {
                Err(format!("the file ends here, and the archive of `{}` has no `end`", header.user_id))
            }
        }
    }
}

fn explain(fault: lines::Fault) -> String {
    match fault {
        lines::Fault::Cut => "the file is cut off here".to_owned(),
        lines::Fault::TooLong => "is longer than any line of an archive".to_owned(),
        lines::Fault::Damaged(why) => format!("the compressed data is damaged here: {why}"),
        lines::Fault::Unreadable(why) => format!("cannot read on: {why}"),
    }
}

impl Iterator for Archives {
    type Item = Result<Line, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_line().map_err(|what| Fault { line: self.lines.number().max(1), what });
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// A line whose place is not checked.
struct Parsed {
    kind: String,
    item: Map<String, Value>,
}

impl Parsed {
    fn of(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|err| match line {
            [] => "is empty".to_owned(),
            _ => format!("is not JSON: {err}"),
        })?;
        let Value::Object(mut record) = value else { return Err("is not an object".to_owned()) };
        let Some(Value::String(kind)) = record.remove("type") else {
            return Err("has no `type`".to_owned());
        };
        let Some(Value::Object(item)) = record.remove("item") else {
            return Err("has no `item`".to_owned());
        };
        let basis = record.remove("basis");
        let is_of_frame = matches!(kind.as_str(), "export" | "about" | "end");
        match basis.as_ref().and_then(Value::as_str) {
            Some("provided" | "observed") if !is_of_frame => {}
            None if is_of_frame => {}
            _ => return Err(format!("has another `basis` than a record of type `{kind}` has")),
        }
        match record.keys().next() {
            Some(field) => Err(format!("has the field `{field}`, which no record has")),
            None => Ok(Self { kind, item }),
        }
    }

    fn header(&self) -> Result<Header, String> {
        if self.kind != "export" {
            return Err(format!("is `{}`, where an archive must begin with `export`", self.kind));
        }
        let text = |field| self.item.get(field).and_then(Value::as_str);
        match text("format") {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("is of the format `{other}`; this program reads `{FORMAT}`")),
            None => return Err("has no `format`".to_owned()),
        }
        let known = |field, values: [&str; 2]| {
            let value = text(field).filter(|value| values.contains(value));
            value.map(str::to_owned).ok_or_else(|| format!("has no `{field}` that is known"))
        };
        let user_id = text("user_id").filter(|id| !id.is_empty()).ok_or("has no `user_id`")?;
        Ok(Header {
            user_id: user_id.to_owned(),
            references: known("references", ["PSEUDONYM", "KEEP"])?,
            scope: known("scope", ["ACCESS", "PORTABILITY"])?,
        })
    }

    /// What can be seen by a line that is of the archive of another user.
    fn check_owner(&self, header: &Header) -> Result<(), String> {
        let user_id = &header.user_id;
        if matches!(self.kind.as_str(), "export" | "about") {
            return Err(format!("is `{}`, but the archive of `{user_id}` has not ended", self.kind));
        }
        let Some(field) = own_field(&self.kind) else { return Ok(()) };
        match self.item.get(field).and_then(Value::as_str) {
            Some(id) if id == user_id => Ok(()),
            Some(id) => Err(format!("is a record of `{id}` in the archive of `{user_id}`")),
            None => Err(format!("has no `{field}`")),
        }
    }

    fn check_counts(&self, found: &BTreeMap<String, u64>) -> Result<(), String> {
        let Some(said) = self.item.get("records").and_then(Value::as_object) else {
            return Err("`end` has no `records`".to_owned());
        };
        for kind in said.keys().chain(found.keys()) {
            let said = said.get(kind).map_or(Some(0), Value::as_u64).ok_or("`records` holds no counts")?;
            let found = found.get(kind).copied().unwrap_or_default();
            if said != found {
                return Err(format!("`end` counts {said} records of type `{kind}`, but {found} are there"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
