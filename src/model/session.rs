//! Sessions: connections of users, as the edges of a product tell of them.
//!
//! A session's id says by itself whose it is and under which token it began, so that every replica can judge
//! it without having heard of it. The database holds only the last sign of life.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::id::UserId;
use super::revocation::Mint;

/// A session lives for so long after a sign of life.
pub const SILENCE: Duration = Duration::from_mins(1);
/// How late signs of life may reach the database.
pub const LATENESS: Duration = Duration::from_secs(5);

/// What the id of a session says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Names its row.
    pub id: String,
    /// `None` for an anonymous caller.
    pub user: Option<String>,
    began: i64,
    user_mint: Minted,
    app_mint: Minted,
}

/// [`Mint`], to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Minted {
    Here(i64, i64),
    Elsewhere(Option<i64>),
}

impl From<Mint> for Minted {
    fn from(mint: Mint) -> Self {
        match mint {
            Mint::Here { epoch, at } => Self::Here(epoch, at.micros()),
            Mint::Elsewhere(issued_at) => Self::Elsewhere(issued_at),
        }
    }
}

impl From<Minted> for Mint {
    fn from(minted: Minted) -> Self {
        match minted {
            Minted::Here(epoch, at) => Self::Here { epoch, at: Timestamp::from_micros(at) },
            Minted::Elsewhere(issued_at) => Self::Elsewhere(issued_at),
        }
    }
}

/// The last sign of life of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// When it was seen.
    pub seen_at: Timestamp,
    /// It was seen to disconnect.
    pub ended: bool,
}

impl Sign {
    /// Both signs of one session in one: the later one, and once ended it stays so.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { seen_at: self.seen_at.max(other.seen_at), ended: self.ended || other.ended }
    }

    /// Whether the session still lives at `now`, as far as this sign tells.
    pub fn lives(self, now: Timestamp) -> bool {
        !self.ended && self.seen_at > online_since(now)
    }
}

/// Who was seen after this is online at `now`.
pub fn online_since(now: Timestamp) -> Timestamp {
    now.minus(SILENCE + LATENESS)
}

impl Session {
    /// A session of a user that begins now, under a token minted then.
    pub fn of_user(id: String, user: &UserId, now: Timestamp, user_mint: Mint, app_mint: Mint) -> Self {
        let user = Some(user.as_str().to_owned());
        Self { id, user, began: now.micros(), user_mint: user_mint.into(), app_mint: app_mint.into() }
    }

    /// A session of nobody, which no revocation reaches.
    pub fn anonymous(id: String, now: Timestamp) -> Self {
        let mint = Minted::Here(i64::MAX, i64::MAX);
        Self { id, user: None, began: now.micros(), user_mint: mint, app_mint: mint }
    }

    /// When its token was minted, as far as the user's revocations are concerned.
    pub fn user_mint(&self) -> Mint {
        self.user_mint.into()
    }

    /// When its token was minted, as far as the app's revocations are concerned.
    pub fn app_mint(&self) -> Mint {
        self.app_mint.into()
    }

    /// Its beginning, as a sign of life: all there is until the first sign has reached the database.
    pub fn first_sign(&self) -> Sign {
        Sign { seen_at: Timestamp::from_micros(self.began), ended: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_session_lives_for_a_minute_after_its_last_sign_and_signs_may_be_late() {
        let sign = Sign { seen_at: at(1_000), ended: false };
        assert!(sign.lives(at(1_000)) && sign.lives(at(1_060)));
        assert!(!sign.lives(at(1_060 + 15)));
        assert!(SILENCE + LATENESS <= Duration::from_secs(60 + 15));
    }

    #[test]
    fn an_end_holds_whatever_comes_later() {
        let (end, later) = (Sign { seen_at: at(1), ended: true }, Sign { seen_at: at(2), ended: false });
        for merged in [end.merged(later), later.merged(end)] {
            assert_eq!(merged, Sign { seen_at: at(2), ended: true });
        }
        assert!(!end.merged(later).lives(at(2)));
    }
}
