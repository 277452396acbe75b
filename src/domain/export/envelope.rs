//! What an export says of itself: its first two records and its last one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::clock::Timestamp;
use crate::model::export::{ExportOptions, FORMAT};
use crate::model::settings::ExportAbout;
use crate::storage::export::steps;

/// Names the JSON Schema of the records.
pub(super) const SCHEMA: &str = "urn:usher:export:1";
/// How long data is kept.
pub(super) const RETENTION: &str =
    "until the user is deleted; the history of the account for `history_retention_days` of the app";

/// Where data comes from.
const SOURCE: &str = "the user, and the use of the service";
/// What a user can ask for.
const RIGHTS: [&str; 6] = [
    "rectification",
    "erasure",
    "restriction of processing",
    "objection",
    "data portability",
    "complaint to a supervisory authority",
];

/// What the first two records say.
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
    /// What the app says of itself.
    pub about: ExportAbout,
    /// When reading began.
    pub read_from: Timestamp,
}

impl Header {
    /// The first two records.
    pub fn records(&self) -> [String; 2] {
        let Self { user_id, app, task_id, options, about, read_from } = self;
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
        [export.to_string(), about_item(*options, about).to_string()]
    }
}

/// What article 15(1) wants said.
fn about_item(options: ExportOptions, said: &ExportAbout) -> Value {
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
    let or = |said: &str, default: &str| if said.is_empty() { default.to_owned() } else { said.to_owned() };
    let rights =
        if said.rights.is_empty() { RIGHTS.map(str::to_owned).to_vec() } else { said.rights.clone() };
    let controller = Some(said.controller.as_str()).filter(|controller| !controller.is_empty());
    let mut item = Map::new();
    item.extend(controller.map(|controller| ("controller".to_owned(), controller.into())));
    let rest = [
        ("purposes", json!(all.collect::<Vec<_>>())),
        ("categories", json!(categories)),
        ("retention", json!(or(&said.retention, RETENTION))),
        ("recipients", json!(said.recipients)),
        ("source", json!(or(&said.source, SOURCE))),
        ("rights", json!(rights)),
    ];
    item.extend(rest.map(|(name, value)| (name.to_owned(), value)));
    json!({"type": "about", "item": item})
}

/// The last record: without it an export is not whole.
pub(super) fn end(records: &BTreeMap<String, i64>, read_to: Timestamp) -> String {
    json!({"type": "end", "item": {"records": records, "read_to": read_to.to_string()}}).to_string()
}
