//! Who calls, and by when the call must be over.

use crate::model::clock::Deadline;
use crate::model::id::{AppId, UserId};

/// One call under way.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// When it must be over.
    pub deadline: Deadline,
}

impl Call {
    /// The app the call is about; nothing crosses apps.
    pub const fn app(&self) -> AppId {
        self.caller.app
    }
}

/// Somebody whose token was found good.
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
    /// A user of the app.
    User(UserId),
}
