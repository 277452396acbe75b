//! Importing users, batch by batch, each committed together with the offset it reaches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::users::names;
use crate::domain::users::upsert::replaced;
use crate::domain::{Call, Domain, Error};
use crate::model::clock::{Deadline, Timestamp};
use crate::model::id::{AppId, UserId};
use crate::model::import::{ImportUser, ItemRefusal, parse_item};
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::roles_named;
use crate::storage::entity::{import, import_refusal};
use crate::storage::upsert::{Stored, lock_users, replace_blocks, upsert_users};
use crate::storage::{Tx, Urgency, apps, import as imports};

/// Refusals of earlier calls, told again in pages of this size.
const REFUSALS: u64 = 500;

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
}

/// An import under way on one stream.
#[derive(Debug, Clone)]
pub struct Import {
    app: AppId,
    id: String,
    mode: ImportMode,
    no: i64,
    committed_offset: Option<i64>,
}

impl Import {
    /// The last offset that is stored or refused.
    pub const fn committed_offset(&self) -> Option<i64> {
        self.committed_offset
    }
}

impl Domain {
    /// Begins or resumes the import called `id`; tells what earlier calls did.
    pub async fn begin_import(
        &self,
        call: &Call,
        id: String,
        mode: ImportMode,
    ) -> Result<(Import, Ack), Error> {
        let (app, now, name) = (call.app(), self.now(), id.clone());
        let row = self
            .write(call.deadline, move |tx| {
                let id = name.clone();
                async move { find_or_begin(&tx, app, id, mode, now).await }
            })
            .await?;
        if row.mode != mode.as_str() {
            return Err(Error::RequestIdReused);
        }
        let (no, committed_offset) = (row.no, row.committed_offset);
        let ack = Ack { committed_offset, accepted: row.accepted, skipped: row.skipped, refused: Vec::new() };
        Ok((Import { app, id, mode, no, committed_offset }, ack))
    }

    /// What the import refused in earlier calls, after offset `after`, a page at a time.
    pub async fn earlier_refusals(
        &self,
        import: &Import,
        after: Option<i64>,
        deadline: Deadline,
    ) -> Result<Ack, Error> {
        let db = self.read(deadline).await?;
        let rows = imports::list_refusals(&db, import.app, import.no, after, REFUSALS).await?;
        let refused = rows.into_iter().map(|row| {
            let reason = Reason::ALL.iter().find(|reason| reason.as_str() == row.reason);
            let reason = reason.copied().unwrap_or(Reason::Internal);
            (row.item_offset, ItemRefusal { reason, field: row.field, message: row.message })
        });
        Ok(Ack { committed_offset: import.committed_offset, refused: refused.collect(), ..Ack::default() })
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
        let parsed = items.into_iter().map(|item| (item.offset, parse_item(&item.json))).collect::<Vec<_>>();
        let (batch, this, now) = (Arc::new(parsed), import.clone(), self.now());
        // As a batch of a task would: callers who wait for one small write go first.
        let ack = self
            .store
            .write(Urgency::Background, Some(deadline), move |tx| {
                let (batch, import) = (Arc::clone(&batch), this.clone());
                async move {
                    let ack = store_batch(&tx, &import, &batch, now).await?;
                    fail::fail_point!("import_before_commit", |_| std::process::abort());
                    Ok::<_, Error>(ack)
                }
            })
            .await?;
        fail::fail_point!("import_committed", |_| std::process::abort());
        import.committed_offset = ack.committed_offset;
        Ok(ack)
    }
}

async fn find_or_begin(
    tx: &Tx,
    app: AppId,
    id: String,
    mode: ImportMode,
    now: Timestamp,
) -> Result<import::Model, Error> {
    if let Some(row) = imports::lock_import(tx, app, &id).await? {
        return Ok(row);
    }
    let row = import::Model {
        app_id: app.0,
        import_id: id,
        no: apps::next_accepted_seq(tx, app).await?,
        mode: mode.as_str().to_owned(),
        committed_offset: None,
        accepted: 0,
        skipped: 0,
        created_at: now.micros(),
        updated_at: now.micros(),
    };
    imports::insert_import(tx, row.clone()).await?;
    Ok(row)
}

type Parsed = (i64, Result<ImportUser, ItemRefusal>);

async fn store_batch(tx: &Tx, import: &Import, batch: &[Parsed], now: Timestamp) -> Result<Ack, Error> {
    let mut row = imports::lock_import(tx, import.app, &import.id)
        .await?
        .filter(|row| row.committed_offset == import.committed_offset)
        .ok_or(Error::Conflict("another stream works on the same import; end one of them"))?;

    let ids = batch.iter().filter_map(|(_, item)| item.as_ref().ok()).map(|user| user.profile.id.as_str());
    let mut plan = Plan::new(import, lock_users(tx, import.app, ids).await?, now);
    for (offset, item) in batch {
        match item {
            Ok(user) => plan.add(*offset, user),
            Err(refusal) => plan.refused.push((*offset, refusal.clone())),
        }
    }
    plan.refuse_names(tx).await?;
    upsert_users(tx, import.app, &plan.writes).await?;
    for (user, blocked) in &plan.blocks {
        replace_blocks(tx, import.app, user, blocked, now).await?;
    }

    let ack = Ack {
        committed_offset: batch.last().map(|(offset, _)| *offset).or(import.committed_offset),
        accepted: i64::try_from(plan.writes.len()).unwrap_or(i64::MAX),
        skipped: plan.skipped,
        refused: plan.refused,
    };
    row.committed_offset = ack.committed_offset;
    row.accepted += ack.accepted;
    row.skipped += ack.skipped;
    row.updated_at = now.micros();
    imports::update_import(tx, &row).await?;
    imports::insert_refusals(tx, refusal_rows(import, &ack.refused)).await?;
    Ok(ack)
}

/// What a batch will do, decided item by item.
struct Plan<'a> {
    import: &'a Import,
    now: Timestamp,
    stored: HashMap<String, Stored>,
    seen: HashSet<&'a str>,
    writes: Vec<Stored>,
    /// Of each write, the item it comes from.
    offsets: Vec<i64>,
    blocks: Vec<(&'a UserId, &'a [UserId])>,
    skipped: i64,
    refused: Vec<(i64, ItemRefusal)>,
}

impl<'a> Plan<'a> {
    fn new(import: &'a Import, stored: HashMap<String, Stored>, now: Timestamp) -> Self {
        Self {
            import,
            now,
            stored,
            seen: HashSet::new(),
            writes: Vec::new(),
            offsets: Vec::new(),
            blocks: Vec::new(),
            skipped: 0,
            refused: Vec::new(),
        }
    }

    fn add(&mut self, offset: i64, user: &'a ImportUser) {
        let id = &user.profile.id;
        let current = self.stored.get(id.as_str());
        let written_before = current.is_some_and(|stored| stored.marks.import_no == Some(self.import.no));
        if written_before || self.seen.contains(id.as_str()) {
            let refusal = ItemRefusal::new(Reason::InvalidField, "id", "stands twice in this import");
            return self.refused.push((offset, refusal));
        }
        if current.is_some() && self.import.mode == ImportMode::Insert {
            self.skipped += 1;
            return;
        }
        if let Some(refusal) = obstacle(user, current) {
            return self.refused.push((offset, refusal));
        }

        self.seen.insert(id.as_str());
        let mut write = replaced(user.profile.clone(), current, self.now);
        write.user.created_at = user.created_at.unwrap_or(write.user.created_at);
        write.user.deactivated_at = user.deactivated_at;
        write.user.deleted_at = user.deleted_at;
        write.marks.import_no = Some(self.import.no);
        self.writes.push(write);
        self.offsets.push(offset);
        if let Some(blocked) = &user.blocked_user_ids {
            self.blocks.push((id, blocked));
        }
    }

    /// Takes out again what would give a user a name that another one has.
    async fn refuse_names(&mut self, tx: &Tx) -> Result<(), Error> {
        let before = |write: &Stored| self.stored.get(write.user.id().as_str()).map(|stored| &stored.user);
        let renamings: Vec<Renaming> =
            self.writes.iter().map(|write| Renaming::of(before(write), &write.user)).collect();
        // From the last on, so that the places of the others stay.
        for at in names::taken(tx, self.import.app, Manner::InTurn, &renamings).await?.into_iter().rev() {
            let (write, offset) = (self.writes.remove(at), self.offsets.remove(at));
            self.blocks.retain(|(user, _)| *user != write.user.id());
            let refusal = ItemRefusal::new(Reason::NameTaken, "name", "another user has this name");
            self.refused.push((offset, refusal));
        }
        self.refused.sort_by_key(|(offset, _)| *offset);
        Ok(())
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
    match current.and_then(|stored| stored.user.barred())? {
        Reason::UserDeleted if user.deleted_at.is_some() => None,
        Reason::UserDeactivated if user.deactivated_at.is_some() || user.deleted_at.is_some() => None,
        reason @ Reason::UserDeleted => Some(ItemRefusal::new(reason, "id", "the stored user is deleted")),
        reason => Some(ItemRefusal::new(reason, "id", "the stored user is deactivated")),
    }
}

fn refusal_rows(import: &Import, refused: &[(i64, ItemRefusal)]) -> Vec<import_refusal::Model> {
    refused
        .iter()
        .map(|(offset, refusal)| import_refusal::Model {
            app_id: import.app.0,
            import_no: import.no,
            item_offset: *offset,
            reason: refusal.reason.as_str().to_owned(),
            field: refusal.field.clone(),
            message: refusal.message.clone(),
        })
        .collect()
}
