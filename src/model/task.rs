//! Tasks: their states, and what is stored of them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::clock::Timestamp;
use super::history::Cause;
use super::id::{AppId, TaskId};

/// Where a task stands.
///
/// ```text
/// pending --claim--> running --> completed
///    ^                 |   \---> cancelled
///    |                 v
///    +--- RetryTask -- failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waits to be claimed (again).
    Pending,
    /// Claimed; its lease may have run out.
    Running,
    /// Every item is over.
    Completed,
    /// The work could not go on.
    Failed,
    /// Ended by request.
    Cancelled,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// No worker changes a task in this state any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// From what is stored.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Not begun.
    Pending,
    /// Done.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// Could not be done; the item has a reason.
    Failed,
    /// The task was cancelled before it came to this item.
    Cancelled,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Done, Self::Unchanged, Self::Failed, Self::Cancelled];

    /// As stored: small, since there are many.
    pub const fn code(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Done => 1,
            Self::Unchanged => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
        }
    }

    /// As an export says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// From what is stored.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// A task as stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "documented at the proto message Task")]
pub struct Task {
    pub app: AppId,
    pub id: TaskId,
    pub kind: String,
    pub state: TaskState,
    pub phase: String,
    /// What to do, as the kind wrote it.
    pub params: Value,
    /// How far it got, as the kind wrote it.
    pub checkpoint: Value,
    pub progress: Progress,
    pub revision: i64,
    pub failures: i32,
    pub cancel_requested: bool,
    pub created_by_id: String,
    pub reason: String,
    pub request_id: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub error: Option<TaskError>,
    pub due_at: Option<Timestamp>,
    /// What it has made so far, by the name of what it is.
    pub result: BTreeMap<String, i64>,
    /// Rises with every claim; who holds an older one can no longer commit.
    pub lease_epoch: i64,
    /// Rises with every task of the app that is accepted: the order in which they take effect.
    pub accepted_seq: i64,
}

impl Task {
    /// Who asked for it, and why.
    pub fn cause(&self) -> Cause {
        Cause::of(&self.created_by_id, &self.reason)
    }
}

/// Counters of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto message Task")]
pub struct Progress {
    pub users_total: i64,
    pub users_done: i64,
    pub users_failed: i64,
    pub users_unchanged: i64,
    pub rows_done: i64,
}

impl Progress {
    /// Counts items that are over with `outcome`.
    pub const fn count(&mut self, outcome: Outcome, items: i64) {
        match outcome {
            Outcome::Pending => return,
            Outcome::Failed => self.users_failed += items,
            Outcome::Unchanged => self.users_unchanged += items,
            Outcome::Done | Outcome::Cancelled => {}
        }
        self.users_done += items;
    }
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError {
    /// An error reason, unprefixed.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// One user of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Position in the request.
    pub index: i32,
    /// As the caller wrote it, at most 255 characters; may be no valid id.
    pub user_id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed: an error reason, unprefixed.
    pub reason: Option<String>,
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
