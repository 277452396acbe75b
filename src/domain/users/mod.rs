//! Users: writing, reading, finding them, and their states.

pub mod bulk_lifecycle;
pub mod get;
pub mod lifecycle;
pub mod query;
pub mod upsert;

use crate::model::user::User;

/// A user, and whom it has blocked where that was asked for.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UserView {
    pub user: User,
    pub blocked_user_ids: Vec<String>,
}

impl UserView {
    /// A user without its blocks.
    pub const fn basic(user: User) -> Self {
        Self { user, blocked_user_ids: Vec::new() }
    }
}
