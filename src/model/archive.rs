//! Archives that exports make.

use super::clock::Timestamp;
use super::id::{AppId, TaskId};

/// The name of an archive: its task, and the index of its user's item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ArchiveId {
    pub app: AppId,
    pub task: TaskId,
    pub index: i32,
}

/// An archive as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its name.
    pub id: ArchiveId,
    /// Whose data it holds.
    pub user_id: String,
    /// Records of the user in it.
    pub records: i64,
    /// Its length so far.
    pub bytes: i64,
    /// Of all its bytes, in hexadecimal; none before it is whole.
    pub sha256: Option<String>,
    /// The same, from the moment at which all its chunks are there.
    pub sealed: Option<String>,
    /// The name of the object that holds it; none where chunks do.
    pub object: Option<String>,
    /// When it is deleted.
    pub expires_at: Option<Timestamp>,
    /// When its last download began.
    pub downloaded_at: Option<Timestamp>,
}

impl Archive {
    /// What a downloaded file is called. It holds no id: files are passed on by mail.
    pub fn file_name(&self) -> String {
        format!("export-{}-{}.jsonl.gz", self.id.task, self.id.index)
    }
}

/// An object in the object store that holds an archive, or was to hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveObject {
    /// Of which archive.
    pub id: ArchiveId,
    /// Random, and used once.
    pub name: String,
    /// What ends its upload from outside, where that was begun in parts.
    pub upload: Option<String>,
    /// When its upload was begun.
    pub created_at: Timestamp,
    /// Whether no request that makes it can be under way.
    pub is_settled: bool,
}
