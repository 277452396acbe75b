//! Kind `export_users`: an archive for each user, written chunk by chunk.
//!
//! A chunk is read and compressed before the transaction that stores it with the checkpoint. Each chunk is a gzip
//! member of its own, so that nothing of the compressor has to be kept. An archive of several chunks is read once
//! more at the end, for its checksum. It is sealed then; where an object store is configured it is uploaded and
//! verified, and its chunks are removed, before its item is done.

mod commit;
mod make;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::export::Position;
use crate::domain::vault::Vault;
use crate::engine::{Batch, Fault, Prepared, Step, TaskKind};
use crate::model::archive::ArchiveObject;
use crate::model::clock::{Clock, Timestamp};
use crate::model::export::ExportOptions;
use crate::model::reason::Reason;
use crate::model::task::Task;
use crate::storage::object_store::ObjectStore;
use crate::storage::{Store, StoreError, Tx, archives, items, objects};

/// Its name.
pub const KIND: &str = "export_users";

/// The step in which an archive is read for its checksum.
const SEAL: &str = "archive.seal";

/// Exports the users of a task.
pub struct ExportUsers {
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where archives are to lie; in the database where there is none.
    pub(super) objects: Option<ObjectStore>,
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
    /// Objects that the object store has deleted.
    gone: Vec<ArchiveObject>,
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
    /// The archive is sealed and stays in the database.
    Keep,
    /// It was uploaded, as the object of this name.
    Uploaded(String),
    /// It lies in the object store: its chunks go.
    Clear,
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
        let made = self.make(store, task, limit).await?;
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
        objects::forget(tx, &made.gone).await?;
        if made.pieces.is_empty() {
            if !made.gone.is_empty() {
                return Ok(Step::More);
            }
            let pending = items::count_pending(tx, batch.task()).await?;
            return Ok(if pending == 0 { Step::Done } else { Step::Blocked });
        }
        for piece in &made.pieces {
            match commit::store_piece(tx, batch, piece, self.objects.is_some()).await? {
                commit::Stored::Yes => {}
                commit::Stored::Not => return Ok(Step::More),
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

/// What a task is to export.
fn options_of(task: &Task) -> Result<ExportOptions, StoreError> {
    serde_json::from_value(task.params.clone()).map_err(|_| StoreError::corrupt("tasks.params"))
}
