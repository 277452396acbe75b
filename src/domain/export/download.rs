//! Downloading archives.

use std::collections::VecDeque;

use crate::domain::jobs::export::KIND;
use crate::domain::{Call, Domain, Error};
use crate::model::archive::{Archive, ArchiveId};
use crate::model::clock::Timestamp;
use crate::model::history::{Cause, HistoryKind};
use crate::model::id::TaskId;
use crate::model::task::Outcome;
use crate::storage::history::{self, NewEntry};
use crate::storage::{Tx, archives, items, lifecycle, tasks};

/// An archive on its way to a caller. Holds no connection between two parts.
pub struct Download {
    domain: Domain,
    /// What is downloaded.
    pub archive: Archive,
    offset: i64,
    /// Read, and not sent yet.
    chunks: VecDeque<(i64, Vec<u8>)>,
}

impl Domain {
    /// Begins to download the archive that a task made for an item, from the byte at `offset` on.
    pub async fn download_result(
        &self,
        call: &Call,
        task: TaskId,
        index: i32,
        offset: i64,
    ) -> Result<Download, Error> {
        let (id, db) = (ArchiveId { app: call.app(), task, index }, self.read(call.deadline).await?);
        let task = tasks::find_task(&db, id.app, task).await?.filter(|task| task.kind == KIND);
        let task = task.ok_or(Error::TaskNotFound)?;
        let before = index.checked_sub(1).filter(|before| *before >= 0);
        let item = items::list_items(&db, id.app, task.id, &[], before, 1).await?.pop();
        let item = item.filter(|item| item.index == index);
        let item = item.ok_or_else(|| Error::invalid("index", "must be the index of an item of the task"))?;
        let archive = archives::find(&db, id).await?.filter(|archive| archive.sha256.is_some());
        let archive = match (archive, item.outcome) {
            (Some(archive), _) => archive,
            (None, Outcome::Pending) => return Err(Error::ExportNotReady),
            (None, _) => return Err(Error::ExportGone),
        };
        if offset > archive.bytes {
            return Err(Error::invalid("offset", "must be at most the length of the archive"));
        }
        if offset == 0 {
            self.note_download(call, &archive).await?;
        }
        Ok(Download { domain: self.clone(), archive, offset, chunks: VecDeque::new() })
    }

    async fn note_download(&self, call: &Call, archive: &Archive) -> Result<(), Error> {
        let (now, shared) = (self.now(), archive.clone());
        self.write(call.deadline, move |tx| {
            let archive = shared.clone();
            async move { note(&tx, &archive, now).await }
        })
        .await
    }
}

async fn note(tx: &Tx, archive: &Archive, now: Timestamp) -> Result<(), Error> {
    let Archive { id, user_id, .. } = archive;
    // In the order of every other transaction: users first.
    let users = lifecycle::lock_states(tx, id.app, [user_id.as_str()]).await?;
    archives::note_download(tx, *id, now).await?;
    if users.is_empty() {
        return Ok(());
    }
    let (cause, task) = (Cause::default(), id.task.to_string());
    let entry = NewEntry { kind: HistoryKind::ArchiveDownloaded, at: now, cause: &cause, task: Some(&task) };
    Ok(history::append(tx, id.app, &[user_id], &entry).await?)
}

impl Download {
    /// The next bytes; `None` after the last. An archive that is deleted meanwhile never seems whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.offset >= self.archive.bytes {
            return Ok(None);
        }
        if self.chunks.is_empty() {
            let db = self.domain.store.read(None).await?;
            self.chunks = archives::list_chunks(&db, self.archive.id, self.offset).await?.into();
        }
        let (start, mut data) = self.chunks.pop_front().ok_or(Error::DownloadGone)?;
        let skipped = usize::try_from(self.offset - start).unwrap_or(usize::MAX);
        if skipped >= data.len() {
            return Err(Error::DownloadGone);
        }
        let data = data.split_off(skipped);
        self.offset += i64::try_from(data.len()).unwrap_or(i64::MAX);
        Ok(Some(data))
    }
}
