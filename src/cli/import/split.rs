//! Cuts a file into its elements: constant memory, whatever the chunks it comes in.
//!
//! A file is one JSON array, or JSON lines; its first byte that is not blank tells which. Elements are
//! counted from 0, good or bad, so that an element has the same offset in every reading of the file.
//! What an element means is not judged here, only whether it is JSON.

use serde::de::IgnoredAny;

/// The largest item the API takes, in bytes.
pub(super) const MAX_ITEM: usize = 256 * 1024;
/// No item nests nearly as deep; bounds what is remembered of brackets.
const MAX_DEPTH: usize = 4_096;
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One element of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// Its position among the elements, from 0.
    pub(super) offset: i64,
    /// The line it begins in, from 1.
    pub(super) line: u64,
    /// Bytes of the file up to its end.
    pub(super) end: u64,
    pub(super) content: Content,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Json(Vec<u8>),
    TooLarge,
    /// Of JSON lines only: an array is not cut reliably behind a fault.
    Malformed(String),
}

/// A fault behind which a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub(super) struct SyntaxError {
    line: u64,
    column: u64,
    problem: String,
}

/// Cuts the file it is fed.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    form: Form,
    place: Place,
    offset: i64,
    draft: Option<Draft>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Form {
    #[default]
    Unknown,
    Lines,
    Array(Expect),
}

/// What may come next in an array, outside of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    ElementOrEnd,
    Element,
    Nothing,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    byte: u64,
    line: u64,
    column: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self { byte: 0, line: 1, column: 1 }
    }
}

/// The element under way.
#[derive(Debug)]
struct Draft {
    start: Place,
    bytes: Vec<u8>,
    too_large: bool,
    /// Of an array: the brackets that are open, as what closes them.
    open: Vec<u8>,
    text: Text,
}

/// Whether brackets and commas count: not within a JSON string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

impl Splitter {
    /// Adds the elements that end within `chunk` to `found`.
    pub(super) fn feed(&mut self, chunk: &[u8], found: &mut Vec<Element>) -> Result<(), SyntaxError> {
        for &byte in chunk {
            match self.form {
                Form::Unknown => self.detect(byte)?,
                Form::Lines => self.in_lines(byte, found),
                Form::Array(expect) => self.in_array(expect, byte, found)?,
            }
            self.place.pass(byte);
        }
        Ok(())
    }

    /// The file ends here.
    pub(super) fn finish(&mut self, found: &mut Vec<Element>) -> Result<(), SyntaxError> {
        match self.form {
            Form::Unknown | Form::Array(Expect::Nothing) => Ok(()),
            Form::Lines => {
                self.end_line(found);
                Ok(())
            }
            Form::Array(_) => Err(self.place.error("the file ends within the array")),
        }
    }

    fn detect(&mut self, byte: u8) -> Result<(), SyntaxError> {
        if usize::try_from(self.place.byte).ok().and_then(|at| BOM.get(at)) == Some(&byte) {
            return Ok(());
        }
        match byte {
            b'[' => self.form = Form::Array(Expect::ElementOrEnd),
            byte if is_blank(byte) => {}
            0x1f => return Err(self.place.error("the file is compressed; unpack it first")),
            0x00 | 0x80.. => return Err(self.place.error("the file is not JSON in UTF-8")),
            byte => {
                self.form = Form::Lines;
                self.draft = Some(Draft::begin(self.place, byte));
            }
        }
        Ok(())
    }

    fn in_lines(&mut self, byte: u8, found: &mut Vec<Element>) {
        match &mut self.draft {
            _ if byte == b'\n' => self.end_line(found),
            Some(draft) => draft.push(byte),
            None if is_blank(byte) => {}
            None => self.draft = Some(Draft::begin(self.place, byte)),
        }
    }

    fn end_line(&mut self, found: &mut Vec<Element>) {
        let Some(draft) = self.draft.take() else { return };
        let start = draft.start;
        let content = draft.judge().unwrap_or_else(|fault| Content::Malformed(fault.within_line()));
        self.add(start, content, found);
    }

    fn in_array(&mut self, expect: Expect, byte: u8, found: &mut Vec<Element>) -> Result<(), SyntaxError> {
        if let Some(draft) = &mut self.draft {
            let Some(next) = draft.scan(byte).map_err(|problem| self.place.error(problem))? else {
                return Ok(());
            };
            self.form = Form::Array(next);
            return self.end_element(found);
        }
        match (expect, byte) {
            (_, byte) if is_blank(byte) => Ok(()),
            (Expect::Nothing, _) => Err(self.place.error("nothing may follow the array")),
            (Expect::ElementOrEnd, b']') => {
                self.form = Form::Array(Expect::Nothing);
                Ok(())
            }
            (_, b']' | b',' | b'}') => Err(self.place.error("an element is missing here")),
            _ => {
                let mut draft = Draft::new(self.place);
                let scanned = draft.scan(byte).map(drop).map_err(|problem| self.place.error(problem));
                self.draft = Some(draft);
                scanned
            }
        }
    }

    fn end_element(&mut self, found: &mut Vec<Element>) -> Result<(), SyntaxError> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        let start = draft.start;
        let content = draft.judge().map_err(|fault| fault.within_file(start))?;
        self.add(start, content, found);
        Ok(())
    }

    fn add(&mut self, start: Place, content: Content, found: &mut Vec<Element>) {
        found.push(Element { offset: self.offset, line: start.line, end: self.place.byte, content });
        self.offset += 1;
    }
}

impl Place {
    fn pass(&mut self, byte: u8) {
        self.byte += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
    }

    fn error(self, problem: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, problem: problem.into() }
    }
}

impl Draft {
    fn new(start: Place) -> Self {
        Self { start, bytes: Vec::new(), too_large: false, open: Vec::new(), text: Text::Outside }
    }

    fn begin(start: Place, byte: u8) -> Self {
        let mut draft = Self::new(start);
        draft.push(byte);
        draft
    }

    fn push(&mut self, byte: u8) {
        if self.too_large {
            return;
        }
        self.bytes.push(byte);
        // A line may end in blanks that do not count, such as a carriage return.
        if self.bytes.len() > MAX_ITEM && !is_blank(byte) {
            self.too_large = true;
            self.bytes = Vec::new();
        }
    }

    /// Takes the next byte of an array; where it ends the element, tells what may follow.
    fn scan(&mut self, byte: u8) -> Result<Option<Expect>, &'static str> {
        self.text = match (self.text, byte) {
            (Text::Outside, _) => {
                if let Some(next) = self.scan_outside(byte)? {
                    return Ok(Some(next));
                }
                if byte == b'"' { Text::Inside } else { Text::Outside }
            }
            (_, 0x00..0x20) => return Err("a string does not end, or holds a control character"),
            (Text::Inside, b'\\') => Text::Escaped,
            (Text::Inside, b'"') => Text::Outside,
            (Text::Inside | Text::Escaped, _) => Text::Inside,
        };
        self.push(byte);
        Ok(None)
    }

    /// Minds the brackets.
    fn scan_outside(&mut self, byte: u8) -> Result<Option<Expect>, &'static str> {
        match byte {
            b',' if self.open.is_empty() => return Ok(Some(Expect::Element)),
            b']' if self.open.is_empty() => return Ok(Some(Expect::Nothing)),
            b'{' | b'[' if self.open.len() >= MAX_DEPTH => return Err("this nests too deep"),
            b'{' => self.open.push(b'}'),
            b'[' => self.open.push(b']'),
            b'}' | b']' if self.open.pop() != Some(byte) => {
                return Err("this bracket closes none that is open");
            }
            _ => {}
        }
        Ok(None)
    }

    /// The finished element, checked.
    fn judge(self) -> Result<Content, Fault> {
        if self.too_large {
            return Ok(Content::TooLarge);
        }
        let mut bytes = self.bytes;
        bytes.truncate(bytes.trim_ascii_end().len());
        if bytes.len() > MAX_ITEM {
            return Ok(Content::TooLarge);
        }
        Fault::in_json(&bytes).map_or(Ok(Content::Json(bytes)), Err)
    }
}

/// What is wrong with an element, and where in it.
#[derive(Debug)]
struct Fault {
    line: u64,
    column: u64,
    problem: String,
}

impl Fault {
    fn in_json(bytes: &[u8]) -> Option<Self> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(err) => {
                let mut place = Place::default();
                bytes.iter().take(err.valid_up_to()).for_each(|byte| place.pass(*byte));
                let Place { line, column, .. } = place;
                return Some(Self { line, column, problem: "this is not UTF-8".to_owned() });
            }
        };
        let err = serde_json::from_str::<IgnoredAny>(text).err()?;
        let problem = err.to_string();
        let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
        Some(Self { line: err.line() as u64, column: err.column() as u64, problem })
    }

    fn within_line(self) -> String {
        format!("not valid JSON: {}, column {}", self.problem, self.column)
    }

    fn within_file(self, start: Place) -> SyntaxError {
        let line = start.line + self.line.saturating_sub(1);
        let column = if self.line <= 1 { start.column + self.column.saturating_sub(1) } else { self.column };
        SyntaxError { line, column, problem: format!("not valid JSON: {}", self.problem) }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
