//! The only place that writes to standard output and standard error.
//!
//! What a server or a file says may hold anything, so control characters never reach a terminal.

use std::fmt::Display;
use std::io::Write as _;

use serde_json::Value;

use super::failure::Failure;
use super::text;

/// Writes a line of what was asked for.
pub(super) fn line(line: impl Display) -> Result<(), Failure> {
    let line = line.to_string();
    writeln!(std::io::stdout().lock(), "{}", text::printable(&line)).map_err(|err| Failure::of_stdout(&err))
}

/// Writes one JSON document on a line of its own. JSON escapes control characters itself.
pub(super) fn json(value: &Value) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{value}").map_err(|err| Failure::of_stdout(&err))
}

/// Writes lines of JSON as they are.
pub(super) fn records(records: &[String]) -> Result<(), Failure> {
    // Standard output is flushed at every line break; a buffer before it makes that rare.
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let written = records.iter().try_for_each(|record| writeln!(stdout, "{record}"));
    written.and_then(|()| stdout.flush()).map_err(|err| Failure::of_stdout(&err))
}

/// Writes a note to standard error. If standard error is closed, the note is dropped.
pub(super) fn note(note: impl Display) {
    let note = note.to_string();
    let _ = writeln!(std::io::stderr().lock(), "{}", text::printable(&note));
}

/// Writes why the command failed.
pub(super) fn failure(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        note(format_args!("usher: {text}"));
    }
}
