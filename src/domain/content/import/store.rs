//! One batch of an import: its items, those that have waited for them, and the offset it reaches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::plan::{Candidate, Fate, Origin, Plan};
use super::{Ack, Import, MAX_WAITING_BYTES, WINDOW};
use crate::domain::Error;
use crate::domain::users::erased::refuse_old_tokens;
use crate::domain::users::upsert::replaced;
use crate::domain::vault::Vault;
use crate::model::clock::Timestamp;
use crate::model::content::{Key, Kind, Row};
use crate::model::history::Cause;
use crate::model::id::AppId;
use crate::model::import::{ImportUser, Item, ItemRefusal};
use crate::storage::content::{Write, upsert_rows};
use crate::storage::entity::{import, import_refusal, import_waiting};
use crate::storage::import::{self as imports, Waiting};
use crate::storage::upsert::{Stored, replace_blocks, upsert_users};
use crate::storage::{StoreError, Tx, devices};

/// An item of this batch, read.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) offset: i64,
    pub(super) json: Arc<Vec<u8>>,
    pub(super) parsed: Result<Arc<Item>, ItemRefusal>,
}

/// Reads an item that has waited.
pub(super) type Read<'a> = &'a (dyn Fn(&[u8]) -> Result<Item, ItemRefusal> + Sync);

/// Stores a batch; with `is_last`, nothing waits afterwards.
pub(super) async fn store_batch(
    tx: &Tx,
    import: &Import,
    vault: &Vault,
    batch: &[Arrival],
    is_last: bool,
    now: Timestamp,
    read: Read<'_>,
) -> Result<Ack, Error> {
    let mut row = imports::lock_import(tx, import.app, &import.id)
        .await?
        .filter(|row| row.committed_offset == import.committed_offset)
        .ok_or(Error::Conflict("another stream works on the same import; end one of them"))?;

    let mut batch_of = Batch::new(import, row.items, batch, is_last, now);
    let before = batch_of.settle(tx, row.items + count(batch.len()), is_last, read).await?;
    write_users(tx, import, vault, &batch_of.plan, now).await?;
    write_rows(tx, import, &batch_of.plan, now).await?;
    let (joined, left) = batch_of.write_waiting(tx).await?;

    let tally = batch_of.tally();
    let ack = Ack {
        committed_offset: batch.last().map(|item| item.offset).or(import.committed_offset),
        accepted: tally.accepted,
        skipped: tally.skipped,
        refused: tally.refused,
        waiting: before + joined - left,
    };
    imports::insert_refusals(tx, refusal_rows(import, row.refused, &ack.refused)).await?;
    imports::update_import(tx, &advanced(&mut row, &ack, batch.len(), now)).await?;
    Ok(ack)
}

fn advanced(row: &mut import::Model, ack: &Ack, items: usize, now: Timestamp) -> import::Model {
    row.committed_offset = ack.committed_offset;
    row.accepted += ack.accepted;
    row.skipped += ack.skipped;
    row.items += count(items);
    row.refused += count(ack.refused.len());
    row.updated_at = now.micros();
    row.clone()
}

struct Batch<'a> {
    import: &'a Import,
    plan: Plan,
    refused: Vec<(i64, ItemRefusal)>,
    /// Waiting items that can no longer be read.
    spoilt: Vec<i64>,
}

#[derive(Default)]
struct Tally {
    accepted: i64,
    skipped: i64,
    refused: Vec<(i64, ItemRefusal)>,
}

impl<'a> Batch<'a> {
    fn new(import: &'a Import, items: i64, arrivals: &[Arrival], is_last: bool, now: Timestamp) -> Self {
        let plan = Plan::new(import.app, import.no, import.mode, now);
        let mut batch = Self { import, plan, refused: Vec::new(), spoilt: Vec::new() };
        for (item_no, Arrival { offset, json, parsed }) in (items + 1..).zip(arrivals) {
            match parsed {
                Err(refusal) => batch.refused.push((*offset, refusal.clone())),
                Ok(item) => batch.plan.add(Candidate {
                    offset: *offset,
                    item: Arc::clone(item),
                    origin: Origin::Fresh(item_no, Arc::clone(json)),
                    is_due: is_last,
                }),
            }
        }
        batch
    }

    /// Decides what becomes of the batch and of what waits for it; tells how many items waited before.
    async fn settle(&mut self, tx: &Tx, items: i64, is_last: bool, read: Read<'_>) -> Result<i64, Error> {
        let (app, no) = (self.import.app, self.import.no);
        let (waiting, bytes) = imports::waiting_total(tx, app, no).await?;
        if waiting > 0 {
            let due = if is_last { Waiting::UpTo(i64::MAX) } else { Waiting::UpTo(items - WINDOW) };
            self.wake(imports::list_waiting(tx, app, no, due).await?, true, read);
            if bytes > MAX_WAITING_BYTES {
                let oldest = Waiting::First(u64::try_from(waiting / 2 + 1).unwrap_or(1));
                self.wake(imports::list_waiting(tx, app, no, oldest).await?, true, read);
            }
        }
        let (mut asked_keys, mut asked_needs) = (HashSet::new(), HashSet::new());
        loop {
            self.plan.settle(tx).await?;
            if waiting == 0 {
                return Ok(waiting);
            }
            let keys = new_ones(self.plan.wanted(), &mut asked_keys);
            let needs = new_ones(self.plan.provided(), &mut asked_needs);
            let which = Waiting::With { keys: &keys, needs: &needs };
            if !self.wake(imports::list_waiting(tx, app, no, which).await?, false, read) {
                return Ok(waiting);
            }
        }
    }

    /// Adds items that have waited; tells whether any is new.
    fn wake(&mut self, rows: Vec<import_waiting::Model>, is_due: bool, read: Read<'_>) -> bool {
        let mut any = false;
        for row in rows {
            let offset = row.item_offset;
            if self.plan.holds(offset) || self.spoilt.contains(&offset) {
                continue;
            }
            any = true;
            match read(&row.json) {
                Ok(item) => {
                    let origin = Origin::Waited(row.needs);
                    self.plan.add(Candidate { offset, item: Arc::new(item), origin, is_due });
                }
                Err(refusal) => {
                    self.refused.push((offset, refusal));
                    self.spoilt.push(offset);
                }
            }
        }
        any
    }

    /// Notes who waits from now on, who waits for something else, and who waits no longer. Tells how many
    /// came and how many went.
    async fn write_waiting(&self, tx: &Tx) -> Result<(i64, i64), StoreError> {
        let (app, no) = (self.import.app, self.import.no);
        let (mut joined, mut left) = (Vec::new(), self.spoilt.clone());
        let mut moved: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (key, Candidate { offset, origin, .. }, fate) in self.plan.outcomes() {
            match (origin, fate) {
                (Origin::Fresh(item_no, json), Fate::Waits(need)) => joined.push(import_waiting::Model {
                    app_id: app.0,
                    import_no: no,
                    item_offset: *offset,
                    item_no: *item_no,
                    item_key: key.text(),
                    needs: need.text(),
                    bytes: i32::try_from(json.len()).unwrap_or(i32::MAX),
                    json: json.to_vec(),
                }),
                (Origin::Fresh(..), _) => {}
                (Origin::Waited(before), Fate::Waits(need)) if need.text() == *before => {}
                (Origin::Waited(_), Fate::Waits(need)) => moved.entry(need.text()).or_default().push(*offset),
                (Origin::Waited(_), _) => left.push(*offset),
            }
        }
        let came = count(joined.len());
        imports::insert_waiting(tx, joined).await?;
        for (needs, offsets) in moved {
            imports::update_needs(tx, app, no, &needs, &offsets).await?;
        }
        imports::delete_waiting(tx, app, no, &left).await?;
        Ok((came, count(left.len())))
    }

    fn tally(self) -> Tally {
        let mut tally = Tally { refused: self.refused, ..Tally::default() };
        for (_, candidate, fate) in self.plan.outcomes() {
            match fate {
                Fate::Stored => tally.accepted += 1,
                Fate::Skipped => tally.skipped += 1,
                Fate::Refused(refusal) => tally.refused.push((candidate.offset, refusal.clone())),
                Fate::Waits(_) => {}
            }
        }
        tally.refused.sort_by_key(|(offset, _)| *offset);
        tally
    }
}

async fn write_users(
    tx: &Tx,
    import: &Import,
    vault: &Vault,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), Error> {
    let (mut writes, mut blocks) = (Vec::new(), Vec::new());
    for (key, candidate, fate) in plan.outcomes() {
        if let (Item::User(user), Fate::Stored) = (&*candidate.item, fate) {
            writes.push(written(user, plan.world.user(key), import.no, now));
            blocks.extend(user.blocked_user_ids.as_ref().map(|blocked| (&user.profile.id, blocked)));
        }
    }
    refuse_old_tokens(tx, vault, import.app, &mut writes).await?;
    upsert_users(tx, import.app, &writes).await?;
    for (user, blocked) in blocks {
        replace_blocks(tx, import.app, user, blocked, now).await?;
    }
    Ok(())
}

/// The user that an item makes of what is stored, or of nothing.
pub(super) fn written(user: &ImportUser, current: Option<&Stored>, import_no: i64, now: Timestamp) -> Stored {
    let mut write = replaced(user.profile.clone(), current, now);
    let told = Arc::make_mut(&mut write.user);
    told.created_at = user.created_at.unwrap_or(told.created_at);
    if told.deactivated_at != user.deactivated_at {
        (told.deactivated_at, told.deactivation) = (user.deactivated_at, Cause::default());
    }
    told.deleted_at = user.deleted_at;
    write.marks.import_no = Some(import_no);
    write
}

async fn write_rows(tx: &Tx, import: &Import, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    let mut writes: HashMap<Kind, Vec<Write<'_>>> = HashMap::new();
    for (key, candidate, fate) in plan.outcomes() {
        if let (Item::Content(row), Fate::Stored) = (&*candidate.item, fate) {
            writes.entry(key.kind).or_default().push(write_of(row, plan, key, import.no, now));
        }
    }
    let app: AppId = import.app;
    for kind in Kind::ALL {
        if let Some(writes) = writes.get_mut(&kind) {
            upsert_rows(tx, app, kind, writes).await?;
        }
    }
    let written = writes.get(&Kind::Device).into_iter().flatten();
    let users: BTreeSet<&str> =
        written.filter_map(|write| write.row.key.parts.first()).map(String::as_str).collect();
    if !users.is_empty() {
        devices::evict(tx, app, &users).await?;
    }
    Ok(())
}

/// What the source does not say stays as it is stored; and what is deleted stays deleted, since an import
/// does not restore by leaving something out.
fn write_of<'a>(row: &'a Row, plan: &Plan, key: &Key, import_no: i64, now: Timestamp) -> Write<'a> {
    let stored = plan.world.row(key);
    Write {
        row,
        created_at: row.created_at.or(stored.map(|stored| stored.created_at)).unwrap_or(now),
        deleted_at: row.deleted_at.or(stored.and_then(|stored| stored.deleted_at)),
        import_no,
        replaces: stored.is_some(),
    }
}

fn refusal_rows(import: &Import, told: i64, refused: &[(i64, ItemRefusal)]) -> Vec<import_refusal::Model> {
    let numbered = refused.iter().zip(told + 1..);
    numbered
        .map(|((offset, refusal), no)| import_refusal::Model {
            app_id: import.app.0,
            import_no: import.no,
            item_offset: *offset,
            reason: refusal.reason.as_str().to_owned(),
            field: refusal.field.clone(),
            message: refusal.message.clone(),
            no,
        })
        .collect()
}

/// Those that were not asked for yet, each once.
fn new_ones(texts: impl Iterator<Item = String>, asked: &mut HashSet<String>) -> Vec<String> {
    texts.filter(|text| asked.insert(text.clone())).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
