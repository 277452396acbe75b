//! What is kept of a deletion that exports first: which archives there are, and what was deleted. Written at each step, so
//! that a run that was interrupted is gone on with, and nothing is done twice.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::cli::export::{Kept, sync_dir};
use crate::cli::failure::{Exit, Failure};
use crate::cli::{json, text};
use crate::model::clock::Timestamp;
use crate::proto::v1;

const FORMAT: &str = "usher-deletion/1";
const NAME: &str = "receipt.json";

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Archives are made and fetched; nothing was deleted.
    Exporting,
    /// All archives are on disk; the users may be deleted by now.
    Deleting,
    Done,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) plan: Value,
    pub(super) created_by_id: String,
    pub(super) reason: String,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) user_id: String,
    /// `None` until it is there.
    pub(super) archive: Option<Kept>,
    /// Of the user's item in the deletion, or `not_exported`.
    pub(super) outcome: Option<String>,
    /// Why there is no archive, or the item failed.
    pub(super) reason: Option<String>,
}

/// A task of the deletion that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    task_id: String,
    state: String,
    rows: BTreeMap<String, u64>,
}

/// All of it, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    format: String,
    pub(super) state: State,
    started_at: String,
    finished_at: Option<String>,
    #[serde(flatten)]
    asked: Asked,
    pub(super) export_request_id: String,
    pub(super) delete_request_id: String,
    pub(super) export_task_ids: Vec<String>,
    tasks: Vec<Ended>,
    pub(super) users: Vec<Entry>,
    /// Of all tasks.
    rows: BTreeMap<String, u64>,
}

/// Where the receipt of a directory is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

impl Receipt {
    pub(super) fn new(asked: Asked, users: &[String], request_id: &str, now: Timestamp) -> Self {
        let random = || Uuid::new_v4().to_string();
        let entry = |id: &String| Entry { user_id: id.clone(), archive: None, outcome: None, reason: None };
        Self {
            format: FORMAT.to_owned(),
            state: State::Exporting,
            started_at: now.to_string(),
            finished_at: None,
            asked,
            export_request_id: random(),
            delete_request_id: if request_id.is_empty() { random() } else { request_id.to_owned() },
            export_task_ids: Vec::new(),
            tasks: Vec::new(),
            users: users.iter().map(entry).collect(),
            rows: BTreeMap::new(),
        }
    }

    /// The one in the directory, if there is one.
    pub(super) fn load(dir: &Path) -> Result<Option<Self>, Failure> {
        let path = path(dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(Failure::failed(format!("cannot read {}: {err}", path.display()))),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(receipt) if receipt.format == FORMAT => Ok(Some(receipt)),
            _ => Err(Failure::failed(format!(
                "{} is no receipt that this program can read\nhint: give another directory",
                path.display()
            ))),
        }
    }

    /// Writes it, so that the disk keeps it: the one before, or this one, is there at any time.
    pub(super) fn store(&self, dir: &Path) -> Result<(), Failure> {
        let (path, part) = (path(dir), dir.join(format!("{NAME}.part")));
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            writeln!(file, "{:#}", self.to_json())?;
            file.sync_all()?;
            fs::rename(&part, &path)
        };
        write().map_err(|err| Failure::failed(format!("cannot write {}: {err}", path.display())))?;
        sync_dir(dir)
    }

    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether it is of the same users, deleted in the same way, for the same reason.
    pub(super) fn is_of(&self, asked: &Asked, users: &[String], request_id: &str) -> bool {
        self.asked == *asked
            && self.users.iter().map(|entry| &entry.user_id).eq(users)
            && (request_id.is_empty() || request_id == self.delete_request_id)
    }

    /// When the first archive may have been made.
    pub(super) fn started_at(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.started_at)
    }

    /// Notes how a task ended, and what came of its users: by their place among all, from `first` on.
    pub(super) fn add(&mut self, first: usize, task: &v1::Task, items: &[v1::TaskItem]) {
        for item in items {
            let at = usize::try_from(item.index).ok().and_then(|index| self.users.get_mut(first + index));
            if let Some(entry) = at {
                entry.outcome = Some(json::outcome(item.outcome()));
                entry.reason = (!item.reason.is_empty()).then(|| item.reason.clone());
            }
        }
        let rows: BTreeMap<String, u64> = json::deleted_rows(task).into_iter().collect();
        for (kind, number) in &rows {
            *self.rows.entry(kind.clone()).or_default() += number;
        }
        self.tasks.push(Ended { task_id: task.task_id.clone(), state: json::state(task.state()), rows });
    }

    /// Begins to note how the tasks end.
    pub(super) fn forget_tasks(&mut self) {
        self.tasks.clear();
        self.rows.clear();
    }

    pub(super) fn finish(&mut self, now: Timestamp) {
        self.state = State::Done;
        self.finished_at = Some(now.to_string());
    }

    /// The exit code of what it says.
    pub(super) fn exit(&self) -> Exit {
        if self.tasks.iter().any(|task| task.state == "cancelled") {
            Exit::Cancelled
        } else if self.users.iter().any(|entry| entry.outcome.as_deref() == Some("failed")) {
            Exit::Partly
        } else {
            Exit::Success
        }
    }

    /// Lines for people; `done` is what happened to the users.
    pub(super) fn lines(&self, dir: &Path, done: &str) -> Vec<String> {
        let line = |entry: &Entry| {
            let outcome = match entry.outcome.as_deref() {
                Some("done") => done.to_owned(),
                Some("failed") => format!("not deleted, {}", entry.reason.as_deref().unwrap_or_default()),
                Some("unchanged") => "deleted before".to_owned(),
                _ => "not deleted".to_owned(),
            };
            let archive = entry.archive.as_ref().map(|archive| {
                let records = text::plural(u64::try_from(archive.records).unwrap_or(0), "record");
                format!("; {records}, sha256 {}: {}", archive.sha256, dir.join(&archive.file).display())
            });
            format!("{}: {outcome}{}", entry.user_id, archive.unwrap_or_default())
        };
        let mut lines: Vec<String> = self.users.iter().map(line).collect();
        if !self.rows.is_empty() {
            lines.push("rows that were marked, blanked or removed:".to_owned());
        }
        let rows: Vec<(String, u64)> = self.rows.iter().map(|(kind, rows)| (kind.clone(), *rows)).collect();
        lines.extend(text::counts(&rows));
        lines.push(format!("receipt: {}", path(dir).display()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(plan: &str) -> Asked {
        Asked { plan: json!({"user": plan}), created_by_id: String::new(), reason: "asked".to_owned() }
    }

    fn receipt() -> Receipt {
        let users = ["ada", "bob"].map(str::to_owned);
        Receipt::new(asked("hard"), &users, "", Timestamp::from_micros(0))
    }

    #[test]
    fn what_was_written_is_read_and_only_its_owner_can() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Receipt::load(dir.path()).unwrap(), None);
        let mut receipt = receipt();
        for state in [State::Exporting, State::Deleting] {
            receipt.state = state;
            receipt.store(dir.path()).unwrap();
            assert_eq!(Receipt::load(dir.path()).unwrap(), Some(receipt.clone()));
        }
        assert_eq!(fs::metadata(path(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        for other in ["{}", "", "{\"format\": \"x\"}"] {
            fs::write(path(dir.path()), other).unwrap();
            assert!(Receipt::load(dir.path()).unwrap_err().to_string().contains("another directory"));
        }
    }

    #[test]
    fn a_receipt_is_of_the_same_users_in_the_same_order_and_the_same_plan() {
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let receipt = receipt();
        assert!(receipt.is_of(&asked("hard"), &ids(&["ada", "bob"]), ""));
        assert!(receipt.is_of(&asked("hard"), &ids(&["ada", "bob"]), &receipt.delete_request_id));
        assert!(!receipt.is_of(&asked("hard"), &ids(&["ada", "bob"]), "other"));
        assert!(!receipt.is_of(&asked("soft"), &ids(&["ada", "bob"]), ""));
        assert!(!receipt.is_of(&asked("hard"), &ids(&["bob", "ada"]), ""));
        assert!(!receipt.is_of(&asked("hard"), &ids(&["ada"]), ""));
    }

    #[test]
    fn outcomes_are_of_the_users_given_whatever_the_items_call_them() {
        let mut receipt = receipt();
        let item = |index, outcome: v1::ItemOutcome| v1::TaskItem {
            index,
            user_id: "erased-1".to_owned(),
            outcome: outcome.into(),
            reason: if outcome == v1::ItemOutcome::Failed {
                "USER_NOT_FOUND".to_owned()
            } else {
                String::new()
            },
            ..Default::default()
        };
        let mut task = v1::Task { task_id: "t".to_owned(), ..Default::default() };
        task.set_state(v1::TaskState::Completed);
        let rows = v1::DeleteUsersResult { rows: [("messages".to_owned(), 7)].into() };
        task.result = Some(v1::task::Result::DeleteUsers(rows));
        receipt.add(0, &task, &[item(0, v1::ItemOutcome::Done)]);
        receipt.add(1, &task, &[item(0, v1::ItemOutcome::Failed)]);
        assert_eq!(
            receipt.lines(Path::new("d"), "deleted for good"),
            [
                "ada: deleted for good",
                "bob: not deleted, USER_NOT_FOUND",
                "rows that were marked, blanked or removed:",
                "  messages         14",
                "receipt: d/receipt.json",
            ]
        );
        assert_eq!(receipt.exit(), Exit::Partly);
    }
}
