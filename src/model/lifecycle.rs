//! The states of a user and the moves between them.

use super::clock::Timestamp;
use super::user::User;

/// A move of a user's state that callers can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The user can no longer connect or act; data stays.
    Deactivate,
    /// Undoes a deactivation.
    Reactivate,
}

/// Why a move is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The user is deleted.
    Deleted,
    /// The user is already in the state asked for.
    Unchanged,
}

impl Move {
    /// Whether `user` can make this move.
    pub const fn check(self, user: &User) -> Result<(), Refusal> {
        match (self, user.deleted_at, user.deactivated_at) {
            (_, Some(_), _) => Err(Refusal::Deleted),
            (Self::Deactivate, None, Some(_)) | (Self::Reactivate, None, None) => Err(Refusal::Unchanged),
            (Self::Deactivate, None, None) | (Self::Reactivate, None, Some(_)) => Ok(()),
        }
    }

    /// `deactivated_at` after this move, made at `now`.
    pub const fn deactivated_at(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Deactivate => Some(now),
            Self::Reactivate => None,
        }
    }
}
