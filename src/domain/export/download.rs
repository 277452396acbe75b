//! Downloading archives.

use prost::bytes::Bytes;

use super::chunks::Chunks;
use super::objects::{WINDOW, not_configured};
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
    source: Source,
}

/// Where its bytes come from.
enum Source {
    Chunks(Chunks),
    /// The object, from this byte on.
    Object(String, u64),
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
        let source = match &archive.object {
            Some(object) => Source::Object(object.clone(), u64::try_from(offset).unwrap_or_default()),
            None => Source::Chunks(Chunks::from(id, offset, archive.bytes)),
        };
        Ok(Download { domain: self.clone(), archive, source })
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
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.source {
            Source::Chunks(chunks) => {
                let data = chunks.next(&self.domain.store, usize::MAX).await?;
                if data.is_none() && !chunks.is_over() {
                    return Err(Error::DownloadGone);
                }
                Ok(data.map(Bytes::from))
            }
            Source::Object(name, offset) => {
                let end = u64::try_from(self.archive.bytes).unwrap_or_default();
                if *offset >= end {
                    return Ok(None);
                }
                let objects = self.domain.objects.as_ref().ok_or_else(not_configured)?;
                let data = objects.read(name, *offset..(*offset + WINDOW).min(end)).await?;
                let data = data.filter(|data| !data.is_empty()).ok_or(Error::DownloadGone)?;
                *offset += data.len() as u64;
                Ok(Some(data))
            }
        }
    }
}
