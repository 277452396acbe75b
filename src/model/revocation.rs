//! Which tokens a revocation hits.
//!
//! A token minted here carries the auth epochs of its user and its app; revoking raises them. So no clock
//! decides, and a token minted right after a revocation is told from one minted right before it. Whoever holds
//! an app's secret can write epochs too: one to come is refused, and none can be guessed, since they rise by
//! steps of chance. Tokens minted elsewhere have only `iat`, in whole seconds by another clock: in doubt they
//! are hit.

use std::time::Duration;

use super::clock::Timestamp;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Every token there is.
    Now,
    /// Tokens issued before a time that has passed.
    IssuedBefore(Timestamp),
    /// None any more.
    Clear,
}

impl Revocation {
    /// Of tokens issued before `time`, of all where that is now. A clock that is a little ahead of ours means
    /// now; what lies further ahead is refused.
    pub fn issued_before(time: Timestamp, now: Timestamp) -> Result<Self, &'static str> {
        if time < now {
            Ok(Self::IssuedBefore(time))
        } else if time <= now.plus(LEEWAY) {
            Ok(Self::Now)
        } else {
            Err("must not lie ahead")
        }
    }
}

/// What was revoked, of a user or of an app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevocationMarks {
    /// The epoch that tokens are minted under.
    pub epoch: i64,
    /// Tokens minted here under an older one are refused.
    pub revoked_epoch: i64,
    /// Tokens minted elsewhere before this are refused.
    pub revoked_before: Option<Timestamp>,
    /// Tokens minted here before this are refused.
    pub minted_before: Option<Timestamp>,
}

/// When a token was minted, as far as it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mint {
    /// Here.
    Here {
        /// The epoch then.
        epoch: i64,
        /// The time then.
        at: Timestamp,
    },
    /// Elsewhere: `iat`, in seconds.
    Elsewhere(Option<i64>),
}

/// By how much a revocation raises an epoch at most, from 1. Two million of them stay within what JSON carries.
pub const MAX_STEP: i64 = 1 << 32;

/// How far the clock of whoever mints elsewhere may be ahead, where the app does not say.
pub const LEEWAY: Duration = Duration::from_secs(5);

impl RevocationMarks {
    /// What stands revoked after `revocation`, made at `now`; never less than before, unless it clears. Where
    /// the epoch rises, it does by `step`.
    #[must_use]
    pub fn after(self, revocation: Revocation, step: i64, now: Timestamp) -> Self {
        match revocation {
            Revocation::Now => {
                let epoch = self.epoch + step;
                Self { epoch, revoked_epoch: epoch, revoked_before: Some(now), ..self }
            }
            Revocation::IssuedBefore(time) => Self {
                revoked_before: self.revoked_before.max(Some(time)),
                minted_before: self.minted_before.max(Some(time)),
                ..self
            },
            Revocation::Clear => Self { epoch: self.epoch, ..Self::default() },
        }
    }

    /// Whether a token is refused. The clock of whoever mints elsewhere may be ahead by `leeway`.
    pub fn hit(&self, mint: Mint, leeway: Duration) -> bool {
        match mint {
            Mint::Here { epoch, at } => {
                !(self.revoked_epoch..=self.epoch).contains(&epoch)
                    || self.minted_before.is_some_and(|before| at < before)
            }
            Mint::Elsewhere(issued_at) => self.revoked_before.is_some_and(|before| {
                issued_at.is_none_or(|issued_at| issued_at <= before.plus(leeway).seconds())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(seconds, 500_000_000).unwrap()
    }

    #[test]
    fn tokens_minted_here_are_told_apart_by_epoch_whatever_their_time() {
        let marks = RevocationMarks {
            epoch: 4,
            revoked_epoch: 4,
            revoked_before: Some(at(100)),
            minted_before: None,
        };
        assert!(marks.hit(Mint::Here { epoch: 3, at: at(5_000) }, LEEWAY));
        assert!(!marks.hit(Mint::Here { epoch: 4, at: at(1) }, LEEWAY));
        assert!(
            marks.hit(Mint::Here { epoch: 5, at: at(1) }, LEEWAY),
            "nothing is minted under an epoch to come"
        );
    }

    #[test]
    fn a_time_in_the_past_hits_what_was_minted_before_it() {
        let marks = RevocationMarks {
            epoch: 1,
            revoked_before: Some(at(100)),
            minted_before: Some(at(100)),
            ..RevocationMarks::default()
        };
        assert!(marks.hit(Mint::Here { epoch: 1, at: at(99) }, LEEWAY));
        assert!(!marks.hit(Mint::Here { epoch: 1, at: at(100) }, LEEWAY));
    }

    #[test]
    fn tokens_minted_elsewhere_are_hit_in_doubt() {
        let marks = RevocationMarks { revoked_before: Some(at(100)), ..RevocationMarks::default() };
        assert!(marks.hit(Mint::Elsewhere(None), LEEWAY));
        assert!(marks.hit(Mint::Elsewhere(Some(105)), LEEWAY));
        assert!(!marks.hit(Mint::Elsewhere(Some(106)), LEEWAY));
        assert!(!RevocationMarks::default().hit(Mint::Elsewhere(None), LEEWAY));
    }
}
