//! `google.protobuf.Timestamp` to our time and back.

use prost_types::Timestamp as PbTimestamp;

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
