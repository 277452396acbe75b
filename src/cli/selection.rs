//! The users that a command is about: ids on the command line, or in a file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use crate::server::text_file::{Source, read_text};

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Selection {
    /// Ids of the users.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// File with further users: an id on each line, or the objects that `usher users query --json` prints; `-`
    /// reads standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Selection {
    pub(super) const fn new(ids: Vec<String>, file: Option<PathBuf>) -> Self {
        Self { ids, file }
    }

    /// Whether standard input holds the ids, so that no answer can come from there.
    pub(super) fn is_stdin(&self) -> bool {
        self.file.as_deref().is_some_and(is_stdin)
    }

    /// The ids, each once, in the order given.
    pub(super) fn read(mut self) -> Result<Vec<String>, Failure> {
        if let Some(file) = &self.file {
            self.ids.extend(parse(&text(file)?)?);
        }
        let mut seen = HashSet::new();
        self.ids.retain(|id| seen.insert(id.clone()));
        if self.ids.is_empty() {
            return Err(Failure::usage("there are no ids in the file"));
        }
        Ok(self.ids)
    }
}

/// Whether `file` means standard input.
pub(super) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// All of a file, or of standard input.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    let source = if is_stdin(file) { Source::Stdin(u64::MAX) } else { Source::File(file) };
    read_text(source).map_err(Failure::usage)
}

fn parse(text: &str) -> Result<Vec<String>, Failure> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| id_of(number, line)).collect()
}

/// No id has a brace in it.
fn id_of(number: usize, line: &str) -> Result<String, Failure> {
    if !line.starts_with('{') {
        return Ok(line.to_owned());
    }
    let value: Value = serde_json::from_str(line)
        .map_err(|err| Failure::usage(format!("line {number} of the ids is not JSON: {err}")))?;
    let id = value.get("id").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| Failure::usage(format!("line {number} of the ids has no `id`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_by_line_or_as_objects() {
        assert_eq!(
            parse("ada\n\n  bob \r\n{\"id\": \"eve\", \"name\": \"E\"}\n").unwrap(),
            ["ada", "bob", "eve"]
        );
        assert!(parse("ada\n{\"id\": 5}").unwrap_err().to_string().contains("line 2"));
        assert!(parse("{\"id\"").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn an_id_counts_once() {
        let ids = ["b", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(Selection { ids, file: None }.read().unwrap(), ["b", "a"]);
    }
}
