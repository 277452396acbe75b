//! Who calls, and by when the call must be over.

use std::sync::Arc;

use super::Error;
use crate::model::clock::Deadline;
use crate::model::id::{AppId, UserId};

/// One call under way.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// What is called, for whoever must say that it may not be.
    pub rpc: &'static str,
    /// When it must be over.
    pub deadline: Deadline,
}

impl Call {
    /// The app the call is about; nothing crosses apps.
    pub const fn app(&self) -> AppId {
        self.caller.app
    }

    /// Refuses a user who names anybody but itself.
    pub fn only_about<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) -> Result<(), Error> {
        let allowed = match &self.caller.identity {
            Identity::Server => true,
            Identity::User { id, .. } => users.into_iter().all(|user| user == id),
            Identity::Anonymous => false,
        };
        let needs = "a server token, for others than oneself";
        if allowed { Ok(()) } else { Err(Error::PermissionMissing { rpc: self.rpc, needs }) }
    }
}

/// Somebody whose token was found good, or who needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The app whose key signed the token.
    pub app: AppId,
    /// Who in it.
    pub identity: Identity,
}

/// Who a caller is within its app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A service of the app's owner: may do everything in its app.
    Server,
    /// A user of the app: may do what its role permits.
    User {
        /// Which.
        id: UserId,
        /// As stored, a moment ago at most.
        role: Arc<str>,
    },
    /// Nobody in particular.
    Anonymous,
}
