//! How fast something goes, over the last few seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(500);

/// Samples of a count that rises.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// Notes that the count is `count` at `now`.
    pub(super) fn note(&mut self, now: Instant, count: u64) {
        if self.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= STEP) {
            self.samples.push_back((now, count));
        }
        // The oldest one kept lies just beyond the span.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN) {
            self.samples.pop_front();
        }
    }

    /// A second, as of `now`; `None` while too little is known.
    pub(super) fn per_second(&self, now: Instant, count: u64) -> Option<f64> {
        let (at, before) = self.samples.front()?;
        let seconds = now.duration_since(*at).as_secs_f64();
        (seconds >= STEP.as_secs_f64()).then(|| of(count.saturating_sub(*before), seconds))
    }

    /// How long `left` more will take at this pace.
    pub(super) fn time_for(&self, now: Instant, count: u64, left: u64) -> Option<Duration> {
        let rate = self.per_second(now, count).filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(of(left, rate)).ok()
    }
}

/// `count` divided by `by`, 0 for nothing at all.
pub(super) fn of(count: u64, by: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    let count = count as f64;
    if by > 0.0 { count / by } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let (start, mut meter) = (Instant::now(), Meter::default());
        let at = |second: u64| start + Duration::from_secs(second);
        for second in 0..20 {
            meter.note(at(second), 1_000);
        }
        for second in 20..40 {
            meter.note(at(second), 1_000 + (second - 20) * 50);
        }
        let rate = meter.per_second(at(40), 2_000).unwrap();
        assert!((49.0..=51.0).contains(&rate), "{rate}");
        assert_eq!(meter.time_for(at(40), 2_000, 500).unwrap().as_secs(), 10);
    }

    #[test]
    fn at_first_nothing_is_known() {
        let (now, mut meter) = (Instant::now(), Meter::default());
        meter.note(now, 0);
        assert_eq!(meter.per_second(now, 100), None);
        assert_eq!(meter.time_for(now, 100, 5), None);
    }
}
