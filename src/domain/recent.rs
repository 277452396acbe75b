//! What was read from the database, remembered for less than a second.
//!
//! The promise behind it: whatever is revoked, retired or deactivated counts on every replica within a
//! second. So a reading counts for less than that from before it began, on the monotonic clock, and what
//! cannot be read again is not known. Before a reading has grown old one caller is sent to read anew while
//! the others go on with it, so that a busy entry never makes everybody wait.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

/// A reading counts for so long from before it began.
const FRESH: Duration = Duration::from_millis(700);
/// After so long one caller reads anew.
const RENEW: Duration = Duration::from_millis(350);

/// Readings by key; at most so many, the least used ones go first.
pub(super) struct Recent<K, V>(Cache<K, Arc<Reading<V>>>);

struct Reading<V> {
    what: V,
    began: Instant,
    renewing: AtomicBool,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// What was read of `key` a moment ago. `None` also for the one caller that is to read it anew.
    pub(super) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        let reading = self.0.get(key)?;
        let age = reading.began.elapsed();
        let is_mine_to_renew = age >= RENEW && !reading.renewing.swap(true, Ordering::Relaxed);
        (age < FRESH && !is_mine_to_renew).then(|| reading.what.clone())
    }

    /// Remembers what a reading that began at `began` has found.
    pub(super) fn insert(&self, key: K, what: V, began: Instant) {
        self.0.insert(key, Arc::new(Reading { what, began, renewing: AtomicBool::new(false) }));
    }

    /// Forgets what was changed here, so that this replica knows as soon as it can.
    pub(super) fn forget<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_ago(age: Duration) -> Recent<u8, &'static str> {
        let recent = Recent::new(4);
        recent.insert(1, "a", Instant::now().checked_sub(age).unwrap());
        recent
    }

    #[test]
    fn a_reading_counts_from_when_it_began_and_for_less_than_a_second() {
        assert_eq!(read_ago(Duration::ZERO).get(&1), Some("a"));
        assert_eq!(read_ago(FRESH).get(&1), None);
        assert!(FRESH < Duration::from_secs(1));
    }

    #[test]
    fn one_caller_reads_anew_before_the_others_have_to() {
        let recent = read_ago(RENEW);
        assert_eq!([recent.get(&1), recent.get(&1), recent.get(&1)], [None, Some("a"), Some("a")]);
        recent.insert(1, "b", Instant::now());
        assert_eq!(recent.get(&1), Some("b"));
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let recent = Recent::new(100);
        for key in 0..10_000_u32 {
            recent.insert(key, (), Instant::now());
        }
        assert!(recent.0.len() <= 100, "{}", recent.0.len());
    }
}
