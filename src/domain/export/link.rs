//! URLs from which archives can be downloaded without usher.

use std::collections::HashMap;
use std::time::Duration;

use super::objects::not_configured;
use crate::domain::{Call, Domain, Error};
use crate::model::archive::Archive;
use crate::model::clock::Timestamp;
use crate::model::history::{Cause, HistoryKind};
use crate::storage::history::{self, NewEntry};
use crate::storage::object_store::ObjectStoreError;
use crate::storage::{Tx, lifecycle};

/// How long a URL is valid.
const VALID: Duration = Duration::from_mins(15);

/// An archive, and where it can be downloaded.
pub struct Linked {
    /// The archive.
    pub archive: Archive,
    /// Empty where it is downloaded from usher only.
    pub url: String,
}

impl Domain {
    /// Makes a URL for each archive that lies in an object store which has any.
    pub(in crate::domain) async fn link(
        &self,
        call: &Call,
        archives: HashMap<i32, Archive>,
    ) -> Result<HashMap<i32, Linked>, Error> {
        let now = self.now();
        let mut linked = HashMap::new();
        for (index, archive) in archives {
            // Archives can be listed, and downloaded later, while the store is in trouble.
            let url = self.sign(&archive, now).await.unwrap_or_else(|err| {
                tracing::warn!(error = %err, "an archive is listed without a URL");
                String::new()
            });
            linked.insert(index, Linked { archive, url });
        }
        let handed_out = linked.values().filter(|linked| !linked.url.is_empty());
        let handed_out: Vec<Archive> = handed_out.map(|linked| linked.archive.clone()).collect();
        if !handed_out.is_empty() {
            self.write(call.deadline, move |tx| {
                let archives = handed_out.clone();
                async move { note(&tx, &archives, now).await }
            })
            .await?;
        }
        Ok(linked)
    }

    async fn sign(&self, archive: &Archive, now: Timestamp) -> Result<String, ObjectStoreError> {
        let Some(object) = &archive.object else { return Ok(String::new()) };
        let objects = self.objects.as_ref().ok_or_else(not_configured)?;
        let left = archive.expires_at.map_or(Duration::ZERO, |expiry| expiry.after(now)).min(VALID);
        if left < Duration::from_secs(1) {
            return Ok(String::new());
        }
        Ok(objects.sign(object, &archive.file_name(), left).await?.unwrap_or_default())
    }
}

async fn note(tx: &Tx, archives: &[Archive], now: Timestamp) -> Result<(), Error> {
    let Some(Archive { id, .. }) = archives.first() else { return Ok(()) };
    let users: Vec<&str> = archives.iter().map(|archive| archive.user_id.as_str()).collect();
    lifecycle::lock_states(tx, id.app, users.iter().copied()).await?;
    let (cause, task) = (Cause::default(), id.task.to_string());
    let entry = NewEntry { kind: HistoryKind::ArchiveLinked, at: now, cause: &cause, task: Some(&task) };
    Ok(history::append(tx, id.app, &users, &entry).await?)
}
