//! `google.protobuf.Timestamp` and `Duration` to our time and back.

use std::time::Duration;

use prost_types::{Duration as PbDuration, Timestamp as PbTimestamp};

use crate::domain::tokens::mint::MAX_VALIDITY;
use crate::model::clock::Timestamp;

/// The message of a time.
pub(super) fn to_timestamp(time: Timestamp) -> PbTimestamp {
    PbTimestamp { seconds: time.seconds(), nanos: time.nanos() }
}

/// Our time, truncated to microseconds.
pub(super) fn from_timestamp(message: PbTimestamp) -> Result<Timestamp, &'static str> {
    const RULE: &str = "must be a time in the years 1 to 9999, with 0 to 999,999,999 nanoseconds";
    let nanos = u32::try_from(message.nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or(RULE)?;
    Timestamp::from_parts(message.seconds, nanos).ok_or(RULE)
}

/// How long a token is to live.
pub(super) fn validity(message: PbDuration) -> Result<Duration, &'static str> {
    let seconds = u64::try_from(message.seconds).ok().filter(|_| message.nanos == 0);
    seconds
        .map(Duration::from_secs)
        .filter(|validity| (Duration::from_secs(1)..=MAX_VALIDITY).contains(validity))
        .ok_or("must be 1 second to 365 days, in whole seconds")
}
