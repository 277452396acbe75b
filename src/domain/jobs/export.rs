//! Kind `export_users`: an archive for each user, written chunk by chunk.
//!
//! A chunk is read and compressed before the transaction that stores it with the checkpoint. Each chunk is a gzip
//! member of its own, so that nothing of the compressor has to be kept. An archive of several chunks is read once
//! more at the end, for its checksum.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::domain::export::{Header, Names, Pace, Position, Reader};
use crate::domain::users::erased;
use crate::domain::vault::{Vault, hex};
use crate::engine::{Batch, Fault, Prepared, Step, TaskKind};
use crate::model::archive::ArchiveId;
use crate::model::clock::{Clock, Timestamp};
use crate::model::export::{ExportOptions, References};
use crate::model::history::HistoryKind;
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::storage::export::Readable;
use crate::storage::history::{self, NewEntry};
use crate::storage::{
    Db, Store, StoreError, Tx, archives, content, erased as ledger, export, items, lifecycle, settings,
};

/// Its name.
pub const KIND: &str = "export_users";

/// Bytes of records that a chunk holds before they are compressed, for each row of a batch: 1 MiB by default.
const ROW: usize = 1024;
/// Users whose archives one batch makes at most.
const USERS: u64 = 50;
/// The step in which an archive is read for its checksum.
const SEAL: &str = "archive.seal";

/// Exports the users of a task.
pub struct ExportUsers {
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a task has made, by name.
pub const FILES: &str = "files";
/// Records of users in them.
pub const RECORDS: &str = "records";
/// Their length.
pub const BYTES: &str = "bytes";

/// How far the archive of a user is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    item: i32,
    user: String,
    read_from: i64,
    position: Position,
    /// Numbers given to people and to places so far.
    given: [i64; 2],
}

/// What a batch stores: a piece for each item, in order. Only the last may go on.
struct Made {
    /// The checkpoint it goes on from.
    from: Value,
    pieces: Vec<Piece>,
}

/// What is stored of one item.
struct Piece {
    item: i32,
    user: String,
    part: Part,
}

enum Part {
    /// The user cannot be exported.
    Refused(Reason),
    /// A chunk of the archive.
    Chunk(Chunk),
    /// The checksum of the chunks that are stored.
    Seal(String),
}

struct Chunk {
    is_first: bool,
    data: Vec<u8>,
    records: i64,
    /// Numbers given in it, by the hash of what has the number.
    numbers: Vec<(Vec<u8>, i64)>,
    /// Users it names by their ids.
    names: BTreeSet<String>,
    then: Then,
}

enum Then {
    /// The next chunk, or the seal, comes in another batch.
    GoOn(Progress),
    /// This is all; its checksum.
    Whole(String),
}

#[async_trait]
impl TaskKind for ExportUsers {
    fn name(&self) -> &'static str {
        KIND
    }

    async fn prepare(&self, store: &Store, task: &Task, limit: u64) -> Result<Prepared, Fault> {
        let db = store.read(None).await?;
        let made = self.make(&db, task, limit).await?;
        Ok(Some(Arc::new(made)))
    }

    async fn step(&self, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault> {
        let made: Option<Arc<Made>> = batch.prepared();
        let made =
            made.ok_or_else(|| StoreError::Internal("a batch of an export was not prepared".into()))?;
        if made.from != batch.task().checkpoint {
            // It was prepared for another one.
            return Ok(Step::More);
        }
        if made.pieces.is_empty() {
            let pending = items::count_pending(tx, batch.task()).await?;
            return Ok(if pending == 0 { Step::Done } else { Step::Blocked });
        }
        for piece in &made.pieces {
            match store_piece(tx, batch, piece).await? {
                Stored::Yes => {}
                Stored::Not => return Ok(Step::More),
            }
        }
        let progress = batch.task().progress;
        let is_over = progress.users_done >= progress.users_total;
        Ok(if is_over && items::count_pending(tx, batch.task()).await? == 0 {
            Step::Done
        } else {
            Step::More
        })
    }

    async fn release(&self, tx: &Tx, task: &Task, now: Timestamp) -> Result<(), StoreError> {
        archives::abandon(tx, task.app, task.id, now).await
    }
}

impl ExportUsers {
    /// Reads and compresses what the next batch stores.
    async fn make(&self, db: &Db, task: &Task, limit: u64) -> Result<Made, Fault> {
        let from = task.checkpoint.clone();
        let mut made = Made { from, pieces: Vec::new() };
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(ROW);
        let progress: Option<Progress> = serde_json::from_value(task.checkpoint.clone())
            .map_err(|_| StoreError::corrupt("tasks.checkpoint"))?;
        if let Some(progress) = progress {
            made.pieces.push(self.go_on(db, task, progress, &mut left).await?);
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
        db: &Db,
        task: &Task,
        progress: Progress,
        left: &mut usize,
    ) -> Result<Piece, Fault> {
        if progress.position.step == SEAL {
            let id = ArchiveId { app: task.app, task: task.id, index: progress.item };
            let part = Part::Seal(checksum(db, id).await?);
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
        let header = Header {
            user_id: user.clone(),
            app: settings::get_app(db, task.app).await?.name,
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

/// What a task is to export.
fn options_of(task: &Task) -> Result<ExportOptions, StoreError> {
    serde_json::from_value(task.params.clone()).map_err(|_| StoreError::corrupt("tasks.params"))
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
async fn checksum(db: &Db, id: ArchiveId) -> Result<String, StoreError> {
    let (mut digest, mut offset) = (Sha256::new(), 0);
    let bytes = archives::find(db, id).await?.map_or(0, |archive| archive.bytes);
    while offset < bytes {
        let chunks = archives::list_chunks(db, id, offset).await?;
        // One that is missing is found out when the archive is locked.
        if chunks.is_empty() {
            break;
        }
        for (start, data) in chunks {
            offset = start + i64::try_from(data.len()).unwrap_or(i64::MAX - start);
            digest.update(&data);
        }
    }
    Ok(hex(&digest.finalize()))
}

/// What became of a piece.
enum Stored {
    Yes,
    /// What it was made from has changed: it is made anew.
    Not,
}

async fn store_piece(tx: &Tx, batch: &mut Batch, piece: &Piece) -> Result<Stored, Fault> {
    let id = ArchiveId { app: batch.task().app, task: batch.task().id, index: piece.item };
    if !items::is_runnable(tx, batch.task(), piece.item, &piece.user).await? {
        return Ok(begin_anew(batch));
    }
    match &piece.part {
        Part::Refused(reason) => {
            let reason = Some(reason.as_str());
            items::update_outcomes(tx, batch.task(), &[piece.item], Outcome::Failed, reason).await?;
            batch.count(Outcome::Failed, 1, 0);
            Ok(Stored::Yes)
        }
        Part::Chunk(chunk) => store_chunk(tx, batch, id, piece, chunk).await,
        Part::Seal(sha256) => {
            if archives::lock(tx, id).await?.is_none() {
                return Ok(begin_anew(batch));
            }
            finish(tx, batch, id, &piece.user, sha256).await?;
            Ok(Stored::Yes)
        }
    }
}

/// The user was erased, or an erasure has removed the archive, since it names a user who is erased.
fn begin_anew(batch: &mut Batch) -> Stored {
    batch.checkpoint(Value::Null);
    Stored::Not
}

async fn store_chunk(
    tx: &Tx,
    batch: &mut Batch,
    id: ArchiveId,
    piece: &Piece,
    chunk: &Chunk,
) -> Result<Stored, Fault> {
    // Locked first: none of them can be erased before this is committed, and an erasure finds it afterwards.
    let names: Vec<&str> = chunk.names.iter().map(String::as_str).collect();
    if content::share_users(tx, id.app, &names).await?.len() < names.len() {
        return Ok(Stored::Not);
    }
    if chunk.is_first {
        if archives::lock(tx, id).await?.is_some() {
            // What an attempt before has left goes first.
            archives::delete_some(tx, id).await?;
            return Ok(Stored::Not);
        }
        archives::insert(tx, id, &piece.user, batch.now()).await?;
    }
    let Some(archive) = archives::lock(tx, id).await? else { return Ok(begin_anew(batch)) };
    archives::append(tx, &archive, &chunk.data, chunk.records).await?;
    archives::insert_numbers(tx, id, &chunk.numbers).await?;
    archives::insert_names(tx, id, &names).await?;
    batch.count(Outcome::Pending, 0, u64::try_from(chunk.records).unwrap_or_default());
    match &chunk.then {
        Then::GoOn(progress) => {
            batch.phase(progress.position.step.split('.').next().unwrap_or_default());
            let checkpoint = serde_json::to_value(progress);
            batch.checkpoint(checkpoint.map_err(|err| StoreError::Internal(err.to_string()))?);
        }
        Then::Whole(sha256) => finish(tx, batch, id, &piece.user, sha256).await?,
    }
    Ok(Stored::Yes)
}

/// Makes the archive whole, and ends its item.
async fn finish(tx: &Tx, batch: &mut Batch, id: ArchiveId, user: &str, sha256: &str) -> Result<(), Fault> {
    let settings = settings::get_settings(tx, id.app).await?;
    let hours = match options_of(batch.task())?.references {
        References::Pseudonym => 24 * settings.export_retention_days,
        References::Keep => settings.keep_archive_hours,
    };
    let expires_at = batch.now().plus(Duration::from_hours(hours.into()));
    archives::seal(tx, id, sha256, expires_at).await?;
    let archive = archives::find(tx, id).await?.ok_or_else(|| StoreError::corrupt("an archive is gone"))?;
    let (cause, task) = (batch.task().cause(), id.task.to_string());
    lifecycle::lock_states(tx, id.app, [user]).await?;
    let entry = NewEntry { kind: HistoryKind::Exported, at: batch.now(), cause: &cause, task: Some(&task) };
    history::append(tx, id.app, &[user], &entry).await?;
    items::update_outcomes(tx, batch.task(), &[id.index], Outcome::Done, None).await?;
    batch.count(Outcome::Done, 1, 0);
    batch.add_result(FILES, 1);
    batch.add_result(RECORDS, archive.records);
    batch.add_result(BYTES, archive.bytes);
    batch.checkpoint(Value::Null);
    batch.phase("users");
    Ok(())
}
