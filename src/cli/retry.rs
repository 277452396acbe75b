//! How often and how long a broken stream is taken up again.

use std::time::{Duration, Instant};

const FIRST_LIMIT: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(5);

/// Counts attempts since something last went forward, and ends when that was too long ago.
///
/// Until there was progress for the first time, it is short: a wrong address must be reported soon.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    first_limit: Option<Duration>,
    since: Instant,
    attempts: u32,
}

impl Patience {
    /// Gives up `limit` after the last progress, the first time earlier, counted from `now`.
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, first_limit: Some(FIRST_LIMIT.min(limit)), since: now, attempts: 0 }
    }

    /// Something went forward.
    pub(super) fn progress(&mut self, now: Instant) {
        self.since = now;
        self.first_limit = None;
        self.attempts = 0;
    }

    /// Whether nothing was tried again since.
    pub(super) const fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// When it ends, unless something goes forward before.
    pub(super) fn end(&self) -> Instant {
        self.since + self.first_limit.unwrap_or(self.limit)
    }

    /// How long to wait before the next attempt, at least `asked`; `None` once it has ended.
    pub(super) fn next(&mut self, now: Instant, asked: Option<Duration>) -> Option<Duration> {
        let left = self.end().saturating_duration_since(now);
        if left.is_zero() {
            return None;
        }
        let delay = FIRST_DELAY.saturating_mul(1 << self.attempts.min(16)).min(LAST_DELAY);
        self.attempts += 1;
        // Many clients of one server must not come back in step.
        let jittered = delay.mul_f64(rand::random_range(0.5..1.0));
        Some(jittered.max(asked.unwrap_or_default()).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(patience: &mut Patience, mut now: Instant) -> (Instant, u32) {
        let mut attempts = 0;
        while let Some(delay) = patience.next(now, None) {
            assert!(delay <= LAST_DELAY);
            now += delay;
            attempts += 1;
        }
        (now, attempts)
    }

    #[test]
    fn delays_grow_and_end_after_the_limit() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_mins(1), start);
        patience.progress(start);
        let (end, attempts) = spend(&mut patience, start);
        assert_eq!(end.duration_since(start).as_secs(), 60);
        assert!((12..60).contains(&attempts), "{attempts}");
    }

    #[test]
    fn before_the_first_contact_it_is_short() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_mins(1), start);
        assert_eq!(spend(&mut patience, start).0.duration_since(start), FIRST_LIMIT);
    }

    #[test]
    fn progress_begins_anew_and_the_server_may_ask_for_more_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Duration::from_secs(10), start);
        patience.progress(after(9));
        assert_eq!(patience.next(after(9), Some(Duration::from_secs(8))), Some(Duration::from_secs(8)));
        assert_eq!(patience.next(after(19), None), None);
    }
}
