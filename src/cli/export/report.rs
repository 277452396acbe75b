//! What is said of each archive: a line, or a JSON object.

use serde_json::{Value, json};

use super::download::Refusal;
use super::shelf::Place;
use crate::cli::failure::Failure;
use crate::cli::{json as pb_json, output, text};
use crate::proto::v1::{ExportedFile, TaskItem};

/// How archives are spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Report {
    /// A line for each, and how far the tasks are.
    Lines,
    /// A JSON object for each.
    Json,
    /// How far the tasks are, and what went wrong.
    Progress,
    /// What went wrong.
    Nothing,
}

impl Report {
    /// The archive of the user is there.
    pub(super) fn here(self, item: &TaskItem, file: &ExportedFile, place: &Place) -> Result<(), Failure> {
        let path = place.file.display();
        match self {
            Self::Json => output::json(&json!({
                "user_id": item.user_id,
                "outcome": "done",
                "file": path.to_string(),
                "records": file.records,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "expires_at": pb_json::time(file.expires_at),
            })),
            Self::Lines => {
                let [records, bytes] = [(file.records, "record"), (file.bytes, "byte")]
                    .map(|(count, noun)| text::plural(u64::try_from(count).unwrap_or(0), noun));
                output::line(format_args!("{}: {records}, {bytes}: {path}", item.user_id))
            }
            Self::Progress | Self::Nothing => Ok(()),
        }
    }

    /// There is an archive of the user, but not here.
    pub(super) fn refused(self, item: &TaskItem, refusal: &Refusal) -> Result<(), Failure> {
        let Refusal { reason, failure } = refusal;
        output::note(format_args!("usher: {}: {failure}", item.user_id));
        self.missing(item, "failed", reason)
    }

    /// There was an archive of the user.
    pub(super) fn gone(self, item: &TaskItem) -> Result<(), Failure> {
        output::note(format_args!("usher: {}: its archive is gone", item.user_id));
        self.missing(item, "failed", "EXPORT_GONE")
    }

    /// There is no archive of the user. To people, the task has said why.
    pub(super) fn not_made(self, item: &TaskItem) -> Result<(), Failure> {
        self.missing(item, &pb_json::outcome(item.outcome()), &item.reason)
    }

    fn missing(self, item: &TaskItem, outcome: &str, reason: &str) -> Result<(), Failure> {
        if self != Self::Json {
            return Ok(());
        }
        let object: Value = json!({"user_id": item.user_id, "outcome": outcome, "reason": reason});
        output::json(&object)
    }
}
