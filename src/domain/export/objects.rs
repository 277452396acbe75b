//! Archives in the object store: uploaded and verified, deleted, read. Everything that goes over the network is here,
//! and holds no transaction.

use prost::bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::chunks::Chunks;
use crate::domain::vault::hex;
use crate::engine::Fault;
use crate::model::archive::{Archive, ArchiveObject};
use crate::model::clock::{Clock, Timestamp};
use crate::storage::object_store::{IN_FLIGHT, ObjectStore, ObjectStoreError, PART};
use crate::storage::objects::{self, Doomed};
use crate::storage::{Store, StoreError, Urgency};

/// Bytes that are read of an object at a time.
pub(super) const WINDOW: u64 = 2 * 1024 * 1024;

/// Uploads a sealed archive and reads it back; the name of its object. What earlier attempts have left is deleted, and
/// so is what this one leaves where it fails.
pub async fn upload(
    objects: &ObjectStore,
    store: &Store,
    clock: &dyn Clock,
    archive: &Archive,
) -> Result<String, Fault> {
    let (id, now) = (archive.id, clock.now());
    let name = format!("{}.jsonl.gz", Uuid::new_v4());
    let begun = name.clone();
    // Known before it can be there.
    store
        .write(Urgency::Background, None, move |tx| {
            let name = begun.clone();
            async move { objects::begin(&tx, id, &name, now).await }
        })
        .await?;
    fail::fail_point!("object_begun", |_| std::process::abort());
    let uploaded = send_verified(objects, store, clock, archive, &name).await;
    if uploaded.is_err() {
        store.write(Urgency::Background, None, move |tx| async move { objects::doom(&tx, id).await }).await?;
    }
    uploaded.map(|()| name)
}

async fn send_verified(
    objects: &ObjectStore,
    store: &Store,
    clock: &dyn Clock,
    archive: &Archive,
    name: &str,
) -> Result<(), Fault> {
    let earlier = Doomed::OfTask(archive.id.app, archive.id.task);
    forget(store, clear(Some(objects), store, clock, earlier).await?).await?;
    send(objects, store, archive, name).await?;
    fail::fail_point!("object_sent", |_| std::process::abort());
    verify(objects, archive, name).await
}

async fn send(objects: &ObjectStore, store: &Store, archive: &Archive, name: &str) -> Result<(), Fault> {
    let mut chunks = Chunks::from(archive.id, 0, archive.bytes);
    let first = next_part(store, &mut chunks).await?;
    if first.len() < PART {
        return Ok(objects.put(name, first).await?);
    }
    let mut upload = objects.begin(name).await?;
    let (id, noted) = (archive.id, (name.to_owned(), upload.id.clone()));
    store
        .write(Urgency::Background, None, move |tx| {
            let (name, upload) = noted.clone();
            async move { objects::note_upload(&tx, id, &name, &upload).await }
        })
        .await?;
    let mut part = first;
    while !part.is_empty() {
        objects.put_part(name, &mut upload, part).await?;
        fail::fail_point!("object_part_sent", |_| std::process::abort());
        part = next_part(store, &mut chunks).await?;
    }
    Ok(objects.complete(name, upload).await?)
}

/// The next [`PART`] bytes; fewer at the end.
async fn next_part(store: &Store, chunks: &mut Chunks) -> Result<Bytes, Fault> {
    let mut part = BytesMut::new();
    while part.len() < PART {
        let Some(data) = chunks.next(store, PART - part.len()).await? else { break };
        part.extend_from_slice(&data);
    }
    Ok(part.freeze())
}

async fn verify(objects: &ObjectStore, archive: &Archive, name: &str) -> Result<(), Fault> {
    let (mut digest, mut offset) = (Sha256::new(), 0);
    let bytes = u64::try_from(archive.bytes).unwrap_or_default();
    while offset < bytes {
        let data = objects.read(name, offset..(offset + WINDOW).min(bytes)).await?.unwrap_or_default();
        if data.is_empty() {
            break;
        }
        offset += data.len() as u64;
        digest.update(&data);
    }
    if archive.sealed.as_deref() == Some(&hex(&digest.finalize())) {
        return Ok(());
    }
    let text = "an archive that was read back has another checksum than the one that was uploaded";
    Err(ObjectStoreError::Unusable(text.to_owned()).into())
}

/// Deletes doomed objects from the object store; those that are gone for good, to be forgotten.
pub async fn clear(
    configured: Option<&ObjectStore>,
    store: &Store,
    clock: &dyn Clock,
    which: Doomed<'_>,
) -> Result<Vec<ArchiveObject>, Fault> {
    let doomed = objects::list_doomed(&store.read(None).await?, which).await?;
    if doomed.is_empty() {
        return Ok(doomed);
    }
    let Some(objects) = configured else { return Err(not_configured().into()) };
    let mut gone = Vec::new();
    for object in doomed {
        objects.delete(&object.name, object.upload.as_deref()).await?;
        if is_over(&object, clock.now()) {
            gone.push(object);
        }
    }
    Ok(gone)
}

/// Whether an object that was deleted cannot come back: a request of a process that is gone may still be under way.
/// Parts make no object once their upload was ended.
fn is_over(object: &ArchiveObject, now: Timestamp) -> bool {
    object.is_settled || object.upload.is_some() || object.created_at.plus(IN_FLIGHT) < now
}

/// An archive lies in an object store that this process does not know.
pub(super) fn not_configured() -> ObjectStoreError {
    ObjectStoreError::Unusable(
        "USHER_OBJECT_STORE_URL is not set here, but archives lie in an object store".to_owned(),
    )
}

/// Forgets what [`clear`] has deleted.
pub async fn forget(store: &Store, gone: Vec<ArchiveObject>) -> Result<(), StoreError> {
    if gone.is_empty() {
        return Ok(());
    }
    store
        .write(Urgency::Background, None, move |tx| {
            let gone = gone.clone();
            async move { objects::forget(&tx, &gone).await }
        })
        .await
}
