//! What the next batch of an export stores, made before its transaction.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::{Chunk, ExportUsers, Made, Part, Piece, Progress, SEAL, Then, options_of};
use crate::domain::export::{Chunks, Header, Names, Pace, Position, Reader, objects};
use crate::domain::users::erased;
use crate::domain::vault::hex;
use crate::engine::Fault;
use crate::model::archive::{Archive, ArchiveId};
use crate::model::clock::Timestamp;
use crate::model::reason::Reason;
use crate::model::task::{Item, Task};
use crate::storage::export::Readable;
use crate::storage::objects::Doomed;
use crate::storage::{Db, Store, StoreError, archives, erased as ledger, export, items, lifecycle, settings};

/// Bytes of records that a chunk holds before they are compressed, for each row of a batch: 1 MiB by default.
const ROW: usize = 1024;
/// Users whose archives one batch makes at most.
const USERS: u64 = 50;
/// Sealed archives that one batch sends to the object store, and how many at the same time.
const UPLOADS: u64 = 16;
const AT_ONCE: usize = 4;

impl ExportUsers {
    /// Reads and compresses what the next batch stores.
    pub(super) async fn make(&self, store: &Store, task: &Task, limit: u64) -> Result<Made, Fault> {
        let from = task.checkpoint.clone();
        let doomed = Doomed::OfTask(task.app, task.id);
        let gone = objects::clear(self.objects.as_ref(), store, &*self.clock, doomed).await?;
        let mut made = Made { from, pieces: self.deliver(store, task).await?, gone };
        if !made.pieces.is_empty() {
            return Ok(made);
        }
        let db = &store.read(None).await?;
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(ROW);
        let progress: Option<Progress> = serde_json::from_value(task.checkpoint.clone())
            .map_err(|_| StoreError::corrupt("tasks.checkpoint"))?;
        if let Some(progress) = progress {
            made.pieces.push(self.go_on(store, db, task, progress, &mut left).await?);
            if left == 0 {
                return Ok(made);
            }
        }
        if task.cancel_requested {
            return Ok(made);
        }
        let done: Vec<i32> = made.pieces.iter().map(|piece| piece.item).collect();
        for item in items::list_runnable(db, task, USERS).await? {
            if done.contains(&item.index) {
                continue;
            }
            made.pieces.push(self.begin(db, task, item, &mut left).await?);
            if left == 0 {
                break;
            }
        }
        Ok(made)
    }

    /// What comes next for archives that are sealed. Where some of them fail, the others are delivered first.
    async fn deliver(&self, store: &Store, task: &Task) -> Result<Vec<Piece>, Fault> {
        let sealed = archives::list_sealed(&store.read(None).await?, task.app, task.id, UPLOADS).await?;
        let work = stream::iter(sealed).map(|archive| self.deliver_one(store, archive));
        let (mut pieces, mut fault) = (Vec::new(), None);
        for delivered in work.buffered(AT_ONCE).collect::<Vec<_>>().await {
            match delivered {
                Ok(piece) => pieces.push(piece),
                Err(err) => fault = fault.or(Some(err)),
            }
        }
        match fault {
            Some(fault) if pieces.is_empty() => Err(fault),
            _ => Ok(pieces),
        }
    }

    async fn deliver_one(&self, store: &Store, archive: Archive) -> Result<Piece, Fault> {
        let part = match (&archive.object, &self.objects) {
            (Some(_), _) => Part::Clear,
            (None, None) => Part::Keep,
            (None, Some(configured)) => {
                Part::Uploaded(objects::upload(configured, store, &*self.clock, &archive).await?)
            }
        };
        Ok(Piece { item: archive.id.index, user: archive.user_id, part })
    }

    async fn begin(&self, db: &Db, task: &Task, item: Item, left: &mut usize) -> Result<Piece, Fault> {
        let Item { index, user_id, .. } = item;
        if export::readable_epoch(db, task.app, &user_id).await? == Readable::Unknown {
            let hash = erased::ledger_hash(&self.vault, task.app, &user_id);
            let was_erased =
                erased::is_pseudonym(&user_id) || !ledger::list(db, task.app, &[hash]).await?.is_empty();
            let reason = if was_erased { Reason::UserDeleted } else { Reason::UserNotFound };
            return Ok(Piece { item: index, user: user_id, part: Part::Refused(reason) });
        }
        let read_from = self.clock.now().micros();
        let progress =
            Progress { item: index, user: user_id, read_from, position: Position::default(), given: [0, 0] };
        self.read(db, task, progress, left).await
    }

    /// Goes on with a user; `left` is 0 afterwards where the archive is not whole.
    async fn go_on(
        &self,
        store: &Store,
        db: &Db,
        task: &Task,
        progress: Progress,
        left: &mut usize,
    ) -> Result<Piece, Fault> {
        if progress.position.step == SEAL {
            let id = ArchiveId { app: task.app, task: task.id, index: progress.item };
            let part = Part::Seal(checksum(store, db, id).await?);
            return Ok(Piece { item: progress.item, user: progress.user, part });
        }
        self.read(db, task, progress, left).await
    }

    /// The next chunk of an archive.
    async fn read(&self, db: &Db, task: &Task, from: Progress, left: &mut usize) -> Result<Piece, Fault> {
        let options = options_of(task)?;
        let Progress { item, user, read_from, position, given } = from;
        let id = ArchiveId { app: task.app, task: task.id, index: item };
        let is_first = position == Position::default();
        let found = settings::get_app(db, task.app).await?;
        let header = Header {
            user_id: user.clone(),
            about: settings::settings_of(&found)?.export_about,
            app: found.name,
            task_id: Some(task.id.to_string()),
            options,
            read_from: Timestamp::from_micros(read_from),
        };
        let names = Names::new(task.app, user.clone(), options.references);
        let names = if is_first { names } else { names.stored_with(Arc::clone(&self.vault), id, given) };
        let mut reader = Reader::new(task.app, header, names);
        let (mut text, mut pace, mut next) = (String::new(), Pace::default(), Some(position));
        let mut records = 0;
        while text.len() < *left {
            let Some(at) = next.take() else { break };
            let batch = reader.read(db, at, pace.rows(), self.clock.now()).await?;
            pace.note(&batch);
            for record in &batch.records {
                text.push_str(record);
                text.push('\n');
            }
            records += batch.count;
            next = batch.next;
        }
        *left = left.saturating_sub(text.len());
        let names = reader.into_names();
        let data = compress(text).await?;
        let then = match next {
            None if is_first => Then::Whole(hex(&Sha256::digest(&data))),
            next => {
                *left = 0;
                let seal = || Position { step: SEAL.to_owned(), ..Position::default() };
                let position = next.unwrap_or_else(seal);
                Then::GoOn(Progress { item, user: user.clone(), read_from, position, given: names.given() })
            }
        };
        let numbers = match then {
            Then::Whole(_) => Vec::new(),
            Then::GoOn(_) => names.since(&self.vault, given),
        };
        let names = existing(db, task, names.named()).await?;
        let part = Part::Chunk(Chunk { is_first, data, records, numbers, names, then });
        Ok(Piece { item, user, part })
    }
}

/// Those of `names` that are users: others are stand-ins already.
async fn existing(db: &Db, task: &Task, names: BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
    if names.is_empty() {
        return Ok(names);
    }
    let found = lifecycle::list_states(db, task.app, names.iter().map(String::as_str)).await?;
    Ok(found.into_keys().collect())
}

/// One gzip member.
async fn compress(text: String) -> Result<Vec<u8>, StoreError> {
    let work = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
        encoder.write_all(text.as_bytes())?;
        encoder.finish()
    });
    let compressed = work.await.map_err(|err| StoreError::Internal(err.to_string()))?;
    compressed.map_err(|err| StoreError::Internal(err.to_string()))
}

/// Of all chunks that are stored.
async fn checksum(store: &Store, db: &Db, id: ArchiveId) -> Result<String, StoreError> {
    let mut digest = Sha256::new();
    let bytes = archives::find(db, id).await?.map_or(0, |archive| archive.bytes);
    let mut chunks = Chunks::from(id, 0, bytes);
    // One that is missing is found out when the archive is locked.
    while let Some(data) = chunks.next(store, usize::MAX).await? {
        digest.update(&data);
    }
    Ok(hex(&digest.finalize()))
}
