//! The states of a user and the moves between them.

use super::clock::Timestamp;
use super::history::{Cause, HistoryKind};

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
    /// Whether a user can make this move who is deleted, or deactivated, as said.
    pub const fn check(self, is_deleted: bool, is_deactivated: bool) -> Result<(), Refusal> {
        match (self, is_deleted, is_deactivated) {
            (_, true, _) => Err(Refusal::Deleted),
            (Self::Deactivate, false, true) | (Self::Reactivate, false, false) => Err(Refusal::Unchanged),
            (Self::Deactivate, false, false) | (Self::Reactivate, false, true) => Ok(()),
        }
    }

    /// `deactivated_at` after this move, made at `now`.
    pub const fn deactivated_at(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Deactivate => Some(now),
            Self::Reactivate => None,
        }
    }

    /// What a user in the state after this move says of who asked for it: nothing of a reactivation.
    pub fn deactivation(self, cause: &Cause) -> Cause {
        match self {
            Self::Deactivate => cause.clone(),
            Self::Reactivate => Cause::default(),
        }
    }

    /// What the history of the user calls it.
    pub const fn history(self) -> HistoryKind {
        match self {
            Self::Deactivate => HistoryKind::Deactivated,
            Self::Reactivate => HistoryKind::Reactivated,
        }
    }
}
