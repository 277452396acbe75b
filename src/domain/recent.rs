//! What was read from the database, remembered for less than a second.
//!
//! The promise behind it: whatever is revoked, retired or deactivated counts on every replica within a
//! second. So a reading counts for less than that from before it began, on the monotonic clock, and what
//! cannot be read again is not known. Before a reading has grown old one caller is told to have it read anew,
//! beside its call, so that nobody waits for what is asked for all the time.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

/// A reading counts for so long from before it began.
const FRESH: Duration = Duration::from_millis(700);
/// After so long it is read anew.
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

    /// What was read of `key` a moment ago. `ask` is called by the one caller that is to have it read anew.
    pub(super) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q, ask: impl FnOnce()) -> Option<V> {
        let reading = self.0.get(key)?;
        let age = reading.began.elapsed();
        if age >= FRESH {
            return None;
        }
        if age >= RENEW && !reading.renewing.swap(true, Ordering::Relaxed) {
            ask();
        }
        Some(reading.what.clone())
    }

    /// Remembers what a reading that began at `began` has found, unless one that began later is known.
    pub(super) fn insert(&self, key: K, what: V, began: Instant) {
        if self.0.peek(&key).is_some_and(|known| known.began > began) {
            return;
        }
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

    /// What is known, and how many callers were told to have it read anew.
    fn ask(recent: &Recent<u8, &'static str>, times: usize) -> (Option<&'static str>, usize) {
        let mut asked = 0;
        let mut known = None;
        for _ in 0..times {
            known = recent.get(&1, || asked += 1);
        }
        (known, asked)
    }

    #[test]
    fn a_reading_counts_from_when_it_began_and_for_less_than_a_second() {
        assert_eq!(ask(&read_ago(Duration::ZERO), 1), (Some("a"), 0));
        assert_eq!(ask(&read_ago(FRESH), 1), (None, 0));
        assert!(FRESH < Duration::from_secs(1));
    }

    #[test]
    fn one_caller_has_it_read_anew_before_it_has_grown_old() {
        let recent = read_ago(RENEW);
        assert_eq!(ask(&recent, 3), (Some("a"), 1));
        recent.insert(1, "b", Instant::now());
        assert_eq!(ask(&recent, 3), (Some("b"), 0));
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
