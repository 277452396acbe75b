//! Time as usher keeps it, and where it comes from. The only place that reads a wall clock.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds since 1970-01-01T00:00:00Z, truncated from whatever was finer.
///
/// Kept as a number in both databases: they round, compare and print their own time types differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MICROS: i64 = 1_000_000;

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest time protobuf can carry.
    pub const MIN: Self = Self(-62_135_596_800 * MICROS);
    /// The last microsecond of the year 9999, the latest time protobuf can carry.
    pub const MAX: Self = Self(253_402_300_800 * MICROS - 1);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From whole seconds and nanoseconds, truncated to microseconds; `None` outside years 1 to 9999.
    pub fn from_parts(seconds: i64, nanos: u32) -> Option<Self> {
        let micros = seconds.checked_mul(MICROS)?.checked_add(i64::from(nanos / 1_000))?;
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// This time without its fraction of a second.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        Self(self.seconds() * MICROS)
    }

    /// Nanoseconds beyond [`Self::seconds`].
    pub fn nanos(self) -> i32 {
        i32::try_from(self.0.rem_euclid(MICROS) * 1_000).unwrap_or(0)
    }

    /// Parses RFC 3339, truncating to microseconds.
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Self::from_parts(at.unix_timestamp(), at.nanosecond())
    }

    /// This time moved by `by`, within the range that can be carried.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(Self::MAX.0))
    }

    /// How long after `earlier` this is; zero where it is before.
    pub fn after(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }

    /// This time moved back by `by`, within the range that can be carried.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(Self::MIN.0))
    }
}

/// RFC 3339 in UTC.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000);
        match at.map(|at| at.format(&Rfc3339)) {
            Ok(Ok(text)) => f.write_str(&text),
            _ => write!(f, "{}us", self.0),
        }
    }
}

/// Source of the time of day, passed to whoever needs it.
pub trait Clock: Send + Sync {
    /// The time of day now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The database's clock, read now and then, and the monotonic clock in between.
///
/// So all replicas have one time, whatever their machines say.
#[derive(Debug)]
pub struct AnchoredClock(RwLock<(Timestamp, Instant)>);

impl AnchoredClock {
    /// A clock that showed `time` at `read`.
    pub const fn new(time: Timestamp, read: Instant) -> Self {
        Self(RwLock::new((time, read)))
    }

    /// Sets it: it showed `time` at `read`.
    pub fn set(&self, time: Timestamp, read: Instant) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (time, read);
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> Timestamp {
        let (time, read) = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        time.plus(read.elapsed())
    }
}

/// When a call must be over, on the monotonic clock. Handed down to the database.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// `after` from now.
    pub fn after(after: Duration) -> Self {
        Self(Instant::now() + after)
    }

    /// Time left, zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// As the runtime's timers want it.
    pub const fn instant(self) -> Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_truncated_to_microseconds_never_rounded() {
        let at = Timestamp::parse("2024-02-29T23:59:59.999999999Z").unwrap();
        assert_eq!(at.to_string(), "2024-02-29T23:59:59.999999Z");
        assert_eq!(Timestamp::from_parts(-1, 999_999_999).unwrap().micros(), -1);
    }

    #[test]
    fn time_outside_what_protobuf_carries_is_refused() {
        assert_eq!(Timestamp::from_parts(253_402_300_800, 0), None);
        assert_eq!(Timestamp::from_parts(i64::MAX, 0), None);
        assert_eq!(Timestamp::from_parts(-62_135_596_801, 0), None);
    }
}
