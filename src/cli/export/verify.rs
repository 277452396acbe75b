//! `usher export --verify`: whether archives are whole, without a server.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::archive::{Archives, End, Line};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::{output, text};

/// Checks each file to its end, or to its first fault.
pub(super) fn run(files: &[PathBuf], json: bool) -> Outcome {
    let mut exit = Exit::Success;
    for file in files {
        if !check(file, json)? {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Says of each archive in the file whether it is whole; false where one is not.
fn check(file: &Path, json: bool) -> Result<bool, Failure> {
    let name = file.display().to_string();
    let archives = match Archives::open(file) {
        Ok(archives) => archives,
        Err(err) => {
            bad(&name, None, &format!("cannot read it: {err}"), json)?;
            return Ok(false);
        }
    };
    for line in archives {
        match line {
            Ok(Line::End(end)) => whole(&name, &end, json)?,
            Ok(Line::Export(_) | Line::About | Line::Record(_)) => {}
            Err(fault) => {
                bad(&name, Some(fault.line), &fault.what, json)?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn whole(file: &str, end: &End, json: bool) -> Result<(), Failure> {
    let End { header, counts } = end;
    let records: u64 = counts.values().sum();
    if json {
        return output::json(&json!({
            "file": file, "whole": true, "user_id": header.user_id, "records": records,
            "references": header.references, "scope": header.scope,
        }));
    }
    output::line(format_args!("{file}: whole: {}, {}", header.user_id, text::plural(records, "record")))
}

fn bad(file: &str, line: Option<u64>, what: &str, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&json!({"file": file, "whole": false, "line": line, "message": what}));
    }
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    output::line(format_args!("{place}: {what}"))
}
