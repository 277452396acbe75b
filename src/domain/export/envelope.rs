//! What an export says of itself: its first two records and its last one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::clock::Timestamp;
use crate::model::export::{ExportOptions, FORMAT};
use crate::storage::export::steps;

/// Names the JSON Schema of the records.
pub(super) const SCHEMA: &str = "urn:usher:export:1";
/// How long data is kept.
pub(super) const RETENTION: &str =
    "until the user is deleted; the history of the account for `history_retention_days` of the app";

/// What the first record says.
#[derive(Debug, Clone)]
pub struct Header {
    /// Whose data it is.
    pub user_id: String,
    /// The name of the app.
    pub app: String,
    /// The task that made the archive; none where it is streamed.
    pub task_id: Option<String>,
    /// What was asked for.
    pub options: ExportOptions,
    /// When reading began.
    pub read_from: Timestamp,
}

impl Header {
    /// The first two records.
    pub fn records(&self) -> [String; 2] {
        let Self { user_id, app, task_id, options, read_from } = self;
        let export = json!({"type": "export", "item": {
            "format": FORMAT,
            "schema": SCHEMA,
            "user_id": user_id,
            "app": app,
            "task_id": task_id,
            "scope": options.scope.as_str(),
            "references": options.references.as_str(),
            "include_received": options.include_received,
            "read_from": read_from.to_string(),
        }});
        [export.to_string(), about(*options).to_string()]
    }
}

/// What article 15(1) wants said.
fn about(options: ExportOptions) -> Value {
    let mut purposes: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for step in steps(options) {
        let records = purposes.entry(step.release.purpose).or_default();
        if !records.contains(&step.release.record) {
            records.push(step.release.record);
        }
    }
    let all =
        purposes.iter().map(|(purpose, records)| json!({"purpose": purpose.as_str(), "records": records}));
    let categories: Vec<&str> = purposes.values().flatten().copied().collect();
    json!({"type": "about", "item": {
        "purposes": all.collect::<Vec<_>>(),
        "categories": categories,
        "retention": RETENTION,
        "recipients": [],
        "source": "the user, and the use of the service",
        "rights": [
            "rectification", "erasure", "restriction of processing", "objection", "data portability",
            "complaint to a supervisory authority",
        ],
    }})
}

/// The last record: without it an export is not whole.
pub(super) fn end(records: &BTreeMap<String, i64>, read_to: Timestamp) -> String {
    json!({"type": "end", "item": {"records": records, "read_to": read_to.to_string()}}).to_string()
}
