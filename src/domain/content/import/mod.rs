//! Importing users and content, batch by batch, each committed together with the offset it reaches.
//!
//! An item that refers to what is not there yet waits in the database, so that it counts as taken in: an
//! import that is resumed goes on behind it. It waits for at least `WINDOW` further items, and no longer
//! than until the source ends.

mod plan;
mod store;
mod world;

use std::sync::Arc;

use self::store::{Arrival, store_batch};
use crate::domain::{Call, Domain, Error};
use crate::model::clock::{Deadline, Timestamp};
use crate::model::id::AppId;
use crate::model::import::{ImportUser, Item, ItemRefusal, parse_item};
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::user::roles_named;
use crate::storage::entity::import;
use crate::storage::upsert::Stored;
use crate::storage::{Tx, Urgency, apps, import as imports};

/// Refusals of earlier calls, told again in pages of this size.
const REFUSALS: u64 = 500;
/// How many further items an item may wait for what it refers to, as long as not too many bytes wait.
const WINDOW: i64 = 10_000;
const MAX_WAITING_BYTES: i64 = 16 * 1024 * 1024;

/// What happens to a user that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// It is replaced.
    Upsert,
    /// The item is skipped.
    Insert,
}

impl ImportMode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Insert => "insert",
        }
    }
}

/// How a caller begins or resumes an import.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The caller's name for it.
    pub id: String,
    /// What happens to rows that exist.
    pub mode: ImportMode,
    /// SHA-256 of the whole source in hexadecimal digits, where the caller knows it.
    pub content: Option<String>,
}

/// One item as it came.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct RawItem {
    pub offset: i64,
    pub json: Vec<u8>,
}

/// What is committed, beyond what was told before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Ack {
    pub committed_offset: Option<i64>,
    pub accepted: i64,
    pub skipped: i64,
    pub refused: Vec<(i64, ItemRefusal)>,
    pub waiting: i64,
}

/// An import under way on one stream.
#[derive(Debug, Clone)]
pub struct Import {
    app: AppId,
    id: String,
    mode: ImportMode,
    no: i64,
    committed_offset: Option<i64>,
    /// Items that wait.
    waiting: i64,
}

/// Where telling refusals again has got to.
#[derive(Debug, Clone, Copy)]
pub struct Told((i64, i64));

impl Import {
    /// The last offset that is taken in: stored, refused, or kept to wait.
    pub const fn committed_offset(&self) -> Option<i64> {
        self.committed_offset
    }
}

impl Domain {
    /// Begins or resumes an import; answers with what earlier calls did.
    pub async fn begin_import(&self, call: &Call, begin: Begin) -> Result<(Import, Ack), Error> {
        let (app, now, shared) = (call.app(), self.now(), Arc::new(begin.clone()));
        let row = self
            .write(call.deadline, move |tx| {
                let begin = Arc::clone(&shared);
                async move { find_or_begin(&tx, app, &begin, now).await }
            })
            .await?;
        let Begin { id, mode, .. } = begin;
        let (no, committed_offset) = (row.no, row.committed_offset);
        let db = self.read(call.deadline).await?;
        let (waiting, _) = imports::waiting_total(&db, app, no).await?;
        let (accepted, skipped) = (row.accepted, row.skipped);
        let ack = Ack { committed_offset, accepted, skipped, waiting, refused: Vec::new() };
        Ok((Import { app, id, mode, no, committed_offset, waiting }, ack))
    }

    /// What the import refused in earlier calls, in the order it was told, a page at a time; with where to
    /// go on `after`, as long as there may be more.
    pub async fn earlier_refusals(
        &self,
        import: &Import,
        after: Option<Told>,
        deadline: Deadline,
    ) -> Result<(Ack, Option<Told>), Error> {
        let db = self.read(deadline).await?;
        let rows =
            imports::list_refusals(&db, import.app, import.no, after.map(|told| told.0), REFUSALS).await?;
        let last = rows.last().map(|row| Told((row.no, row.item_offset)));
        let refused = rows.into_iter().map(|row| {
            let reason = Reason::ALL.iter().find(|reason| reason.as_str() == row.reason);
            let reason = reason.copied().unwrap_or(Reason::Internal);
            (row.item_offset, ItemRefusal { reason, field: row.field, message: row.message })
        });
        let (committed_offset, waiting) = (import.committed_offset, import.waiting);
        Ok((Ack { committed_offset, waiting, refused: refused.collect(), ..Ack::default() }, last))
    }

    /// Stores a batch of items, whose offsets rise from beyond what is committed.
    ///
    /// `Conflict` where another stream works on the same import.
    pub async fn import_batch(
        &self,
        import: &mut Import,
        items: Vec<RawItem>,
        deadline: Deadline,
    ) -> Result<Ack, Error> {
        let arrivals = items.into_iter().map(|RawItem { offset, json }| {
            let parsed = self.parse(import.app, &json).map(Arc::new);
            Arrival { offset, json: Arc::new(json), parsed }
        });
        self.commit(import, arrivals.collect(), false, deadline).await
    }

    /// The source has ended: judges what still waits. `None` where nothing does.
    pub async fn finish_import(&self, import: &mut Import, deadline: Deadline) -> Result<Option<Ack>, Error> {
        if import.waiting == 0 {
            return Ok(None);
        }
        self.commit(import, Vec::new(), true, deadline).await.map(Some)
    }

    async fn commit(
        &self,
        import: &mut Import,
        arrivals: Vec<Arrival>,
        is_last: bool,
        deadline: Deadline,
    ) -> Result<Ack, Error> {
        let (batch, this, domain, now) = (Arc::new(arrivals), import.clone(), self.clone(), self.now());
        // As a batch of a task would: callers who wait for one small write go first.
        let ack = self
            .store
            .write(Urgency::Background, Some(deadline), move |tx| {
                let (batch, import, domain) = (Arc::clone(&batch), this.clone(), domain.clone());
                async move {
                    let read = |json: &[u8]| domain.parse(import.app, json);
                    let ack = store_batch(&tx, &import, &domain.vault, &batch, is_last, now, &read).await?;
                    fail::fail_point!("import_before_commit", |_| std::process::abort());
                    Ok::<_, Error>(ack)
                }
            })
            .await?;
        fail::fail_point!("import_committed", |_| std::process::abort());
        import.committed_offset = ack.committed_offset;
        import.waiting = ack.waiting;
        Ok(ack)
    }

    fn parse(&self, app: AppId, json: &[u8]) -> Result<Item, ItemRefusal> {
        parse_item(json, &|members| self.distinct_channel(app, members))
    }
}

async fn find_or_begin(tx: &Tx, app: AppId, begin: &Begin, now: Timestamp) -> Result<import::Model, Error> {
    if let Some(row) = imports::lock_import(tx, app, &begin.id).await? {
        return resume(tx, row, begin).await;
    }
    let row = import::Model {
        app_id: app.0,
        import_id: begin.id.clone(),
        no: apps::next_accepted_seq(tx, app).await?,
        mode: begin.mode.as_str().to_owned(),
        committed_offset: None,
        accepted: 0,
        skipped: 0,
        created_at: now.micros(),
        updated_at: now.micros(),
        items: 0,
        refused: 0,
        content_sha256: begin.content.clone(),
    };
    imports::insert_import(tx, row.clone()).await?;
    Ok(row)
}

/// An import goes on only in its mode and with its content. The first content that is known counts: an import
/// may have been begun without one.
async fn resume(tx: &Tx, mut row: import::Model, begin: &Begin) -> Result<import::Model, Error> {
    if row.mode != begin.mode.as_str() {
        return Err(Error::ImportIdReused("in another mode"));
    }
    match (&row.content_sha256, &begin.content) {
        (Some(known), Some(given)) if known != given => Err(Error::ImportIdReused("with other content")),
        (None, Some(_)) => {
            row.content_sha256.clone_from(&begin.content);
            imports::update_import(tx, &row).await?;
            Ok(row)
        }
        _ => Ok(row),
    }
}

/// What the state of the world has against storing `user`.
///
/// A user in a state is replaced only by one that the file has in the same state: an import neither
/// reactivates nor restores by leaving something out.
fn obstacle(user: &ImportUser, current: Option<&Stored>) -> Option<ItemRefusal> {
    let unknown = roles_named(&user.profile).find(|(_, role)| !role::exists(role));
    if let Some((field, _)) = unknown {
        return Some(ItemRefusal::new(Reason::RoleNotFound, field, "names a role that does not exist"));
    }
    let is_final = current.is_some_and(|stored| stored.marks.erasing || stored.marks.pruned);
    match current.and_then(|stored| stored.user.barred())? {
        Reason::UserDeleted if is_final => {
            Some(ItemRefusal::new(Reason::UserDeleted, "id", "the stored user is deleted for good"))
        }
        Reason::UserDeleted if user.deleted_at.is_some() => None,
        Reason::UserDeactivated if user.deactivated_at.is_some() || user.deleted_at.is_some() => None,
        reason @ Reason::UserDeleted => Some(ItemRefusal::new(reason, "id", "the stored user is deleted")),
        reason => Some(ItemRefusal::new(reason, "id", "the stored user is deactivated")),
    }
}
