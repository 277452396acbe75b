//! The newest state of every task that is watched in this process.
//!
//! Any number of watchers share one slot per task: no database read per watcher, and memory that does not
//! grow with what a slow one has not read. Free of clock and I/O.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::id::{AppId, TaskId};
use crate::model::task::Task;

type Key = (AppId, TaskId);
type Slot = watch::Sender<Option<Arc<Task>>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Hub {
    slots: Mutex<HashMap<Key, Slot>>,
}

/// A place among the watchers of one task.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) states: watch::Receiver<Option<Arc<Task>>>,
    hub: Arc<Hub>,
    key: Key,
}

impl Hub {
    /// Watches a task from now on.
    pub(super) fn subscribe(self: &Arc<Self>, key: Key) -> Subscription {
        let states = self.slots().entry(key).or_insert_with(|| watch::Sender::new(None)).subscribe();
        Subscription { states, hub: Arc::clone(self), key }
    }

    /// Passes on a committed state, unless a newer one was passed on already.
    pub(super) fn publish(&self, task: Task) {
        let slots = self.slots();
        if let Some(slot) = slots.get(&(task.app, task.id)) {
            slot.send_if_modified(|current| {
                let newer = current.as_ref().is_none_or(|current| current.revision < task.revision);
                if newer {
                    *current = Some(Arc::new(task));
                }
                newer
            });
        }
    }

    /// Whether a watcher of `key` lacks `revision`.
    pub(super) fn lacks(&self, key: Key, revision: i64) -> bool {
        self.slots()
            .get(&key)
            .is_some_and(|slot| slot.borrow().as_ref().is_none_or(|current| current.revision < revision))
    }

    /// Tasks that are watched and not known to have ended.
    pub(super) fn watched(&self) -> Vec<Key> {
        let ended = |slot: &Slot| slot.borrow().as_ref().is_some_and(|task| task.state.is_terminal());
        self.slots().iter().filter(|(_, slot)| !ended(slot)).map(|(key, _)| *key).collect()
    }

    /// The first `count` of them, in their order, after `after`.
    pub(super) fn watched_after(&self, after: Option<Key>, count: usize) -> Vec<Key> {
        let mut watched = self.watched();
        watched.retain(|key| after.is_none_or(|after| *key > after));
        watched.sort_unstable();
        watched.truncate(count);
        watched
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut slots = self.hub.slots();
        // This receiver still counts.
        if slots.get(&self.key).is_some_and(|slot| slot.receiver_count() <= 1) {
            slots.remove(&self.key);
        }
    }
}
