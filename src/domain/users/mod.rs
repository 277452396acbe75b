//! Users: writing, reading, finding them, and their states.

pub mod bulk_lifecycle;
pub mod deletion;
pub(in crate::domain) mod erased;
pub mod export;
pub mod get;
pub mod guests;
pub mod history;
pub mod lifecycle;
pub(in crate::domain) mod names;
pub mod partial;
pub mod presence;
pub mod query;
pub mod restoration;
mod signs;
pub mod stream;
mod sweep;
pub mod terms;
pub mod upsert;

use crate::model::user::User;

pub use self::signs::Signs;

/// A user, and what is not of its row: whom it has blocked, where that was asked for, and its presence.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UserView {
    pub user: User,
    pub blocked_user_ids: Vec<String>,
    pub online: bool,
}

impl UserView {
    /// A user by itself.
    pub const fn basic(user: User) -> Self {
        Self { user, blocked_user_ids: Vec::new(), online: false }
    }
}
