//! What a kind of task is to the engine.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::model::clock::Timestamp;
use crate::model::task::{Outcome, Task};
use crate::storage::object_store::ObjectStoreError;
use crate::storage::{Retryable, Store, StoreError, Tx};

/// A kind of task: how to do the next batch of one.
#[async_trait]
pub trait TaskKind: Send + Sync + 'static {
    /// As stored with each task; never changes.
    fn name(&self) -> &'static str;

    /// What the next batch needs and no transaction must wait for: reading much, compressing, the network. The
    /// worker keeps its lease meanwhile. For a batch of about `limit` rows; [`Batch::prepared`] has it.
    async fn prepare(&self, _store: &Store, _task: &Task, _limit: u64) -> Result<Prepared, Fault> {
        Ok(None)
    }

    /// Does one bounded batch in `tx`: the change, the outcomes of the items it finished, and, by way of
    /// `batch`, progress and checkpoint. All of it is committed together or not at all, and may be run
    /// again from the same checkpoint. Locks users in id order.
    /// Where the task is to be cancelled, it begins no item.
    async fn step(&self, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault>;

    /// Whether an item was begun that must be done to its end, also where the task is cancelled.
    fn is_within_item(&self, _task: &Task) -> bool {
        false
    }

    /// Undoes what accepting the task did to the items that are pending; they end as cancelled, in the same
    /// transaction.
    async fn release(&self, _tx: &Tx, _task: &Task, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What was made before a batch.
pub type Prepared = Option<Arc<dyn Any + Send + Sync>>;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// What is left waits for tasks that were accepted earlier.
    Blocked,
    /// Every item is over.
    Done,
}

/// Why a step could not be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// Tried again, with pauses, until the failures are spent.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Where the object store cannot be reached the task rests until it can; otherwise as with the database.
    #[error(transparent)]
    ObjectStore(#[from] ObjectStoreError),
    /// The work itself cannot go on: the task fails with this reason.
    #[error("{reason}: {message}")]
    Fatal {
        /// An error reason, unprefixed.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

impl Retryable for Fault {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(err) if err.is_conflict())
    }
}

/// One batch of a task: what it starts from and what it has done.
#[derive(Debug)]
pub struct Batch {
    task: Task,
    limit: u64,
    now: Timestamp,
    erases: bool,
    prepared: Prepared,
}

impl Batch {
    pub(super) const fn new(task: Task, limit: u64, now: Timestamp, prepared: Prepared) -> Self {
        Self { task, limit, now, erases: false, prepared }
    }

    pub(super) const fn erases(&self) -> bool {
        self.erases
    }

    pub(super) fn into_task(self) -> Task {
        self.task
    }

    /// The task as it stands.
    pub const fn task(&self) -> &Task {
        &self.task
    }

    /// How many items, or rows, the batch may touch.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The time of day of this batch.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Counts items that are over, and the rows it took.
    pub fn count(&mut self, outcome: Outcome, items: usize, rows: u64) {
        self.task.progress.count(outcome, i64::try_from(items).unwrap_or(i64::MAX));
        self.task.progress.rows_done += i64::try_from(rows).unwrap_or(i64::MAX);
    }

    /// What [`TaskKind::prepare`] made for this batch.
    pub fn prepared<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.prepared.clone()?.downcast().ok()
    }

    /// Adds to what the task made, by the name of what it is.
    pub fn add_result(&mut self, name: &str, number: i64) {
        *self.task.result.entry(name.to_owned()).or_default() += number;
    }

    /// Sets where the next batch goes on, for kinds whose items alone do not tell.
    pub fn checkpoint(&mut self, checkpoint: Value) {
        self.task.checkpoint = checkpoint;
    }

    /// Tells that what the batch removes must leave the disk, too.
    pub const fn erase(&mut self) {
        self.erases = true;
    }

    /// Tells what is worked on.
    pub fn phase(&mut self, phase: &str) {
        phase.clone_into(&mut self.task.phase);
    }
}

/// The kinds this process can run.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: Arc<HashMap<&'static str, Arc<dyn TaskKind>>>,
}

impl Registry {
    /// A registry of `kinds`, by their names.
    pub fn new(kinds: impl IntoIterator<Item = Arc<dyn TaskKind>>) -> Self {
        Self { kinds: Arc::new(kinds.into_iter().map(|kind| (kind.name(), kind)).collect()) }
    }

    /// The kind called `name`.
    pub fn find(&self, name: &str) -> Option<Arc<dyn TaskKind>> {
        self.kinds.get(name).cloned()
    }
}
