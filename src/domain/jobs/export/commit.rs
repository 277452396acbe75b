//! Storing what was made, in the transaction of its batch.

use std::time::Duration;

use serde_json::Value;

use super::{BYTES, Chunk, FILES, Part, Piece, RECORDS, Then, options_of};
use crate::engine::{Batch, Fault};
use crate::model::archive::ArchiveId;
use crate::model::export::References;
use crate::model::history::HistoryKind;
use crate::model::task::Outcome;
use crate::storage::history::{self, NewEntry};
use crate::storage::{StoreError, Tx, archives, content, items, lifecycle, objects, settings};

/// What became of a piece.
pub(super) enum Stored {
    Yes,
    /// What it was made from has changed: it is made anew.
    Not,
}

/// Stores a piece. `leaves` where archives are to lie in an object store.
pub(super) async fn store_piece(
    tx: &Tx,
    batch: &mut Batch,
    piece: &Piece,
    leaves: bool,
) -> Result<Stored, Fault> {
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
        Part::Chunk(chunk) => store_chunk(tx, batch, id, piece, chunk, leaves).await,
        Part::Seal(sha256) => {
            if archives::lock(tx, id).await?.is_none() {
                return Ok(begin_anew(batch));
            }
            seal(tx, batch, id, &piece.user, sha256, leaves).await?;
            Ok(Stored::Yes)
        }
        Part::Keep | Part::Uploaded(_) | Part::Clear => deliver(tx, batch, id, piece).await,
    }
}

/// Goes on with an archive that is sealed, unless an erasure has removed it meanwhile.
async fn deliver(tx: &Tx, batch: &mut Batch, id: ArchiveId, piece: &Piece) -> Result<Stored, Fault> {
    let archive = archives::lock(tx, id).await?.filter(|archive| archive.sealed.is_some());
    if archive.is_none() {
        return Ok(Stored::Not);
    }
    if let Part::Uploaded(object) = &piece.part {
        if !objects::settle(tx, id, object).await? {
            return Ok(Stored::Not);
        }
        archives::attach(tx, id, object).await?;
    }
    if matches!(piece.part, Part::Uploaded(_) | Part::Clear) && !archives::delete_chunks(tx, id).await? {
        return Ok(Stored::Yes);
    }
    finish(tx, batch, id, &piece.user).await?;
    Ok(Stored::Yes)
}

/// All chunks of an archive are there: it is whole, or is uploaded next.
async fn seal(
    tx: &Tx,
    batch: &mut Batch,
    id: ArchiveId,
    user: &str,
    sha256: &str,
    leaves: bool,
) -> Result<(), Fault> {
    archives::seal(tx, id, sha256).await?;
    batch.checkpoint(Value::Null);
    if leaves {
        batch.phase("object_store");
        return Ok(());
    }
    finish(tx, batch, id, user).await
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
    leaves: bool,
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
        Then::Whole(sha256) => seal(tx, batch, id, &piece.user, sha256, leaves).await?,
    }
    Ok(Stored::Yes)
}

/// Makes the archive whole, and ends its item.
async fn finish(tx: &Tx, batch: &mut Batch, id: ArchiveId, user: &str) -> Result<(), Fault> {
    let settings = settings::get_settings(tx, id.app).await?;
    let hours = match options_of(batch.task())?.references {
        References::Pseudonym => 24 * settings.export_retention_days,
        References::Keep => settings.keep_archive_hours,
    };
    let expires_at = batch.now().plus(Duration::from_hours(hours.into()));
    archives::publish(tx, id, expires_at).await?;
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
    batch.phase("users");
    Ok(())
}
