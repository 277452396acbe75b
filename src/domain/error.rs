//! Everything a caller can be told. `rpc::status` is the one way out.

use super::tokens::Refusal;
use crate::engine::{ControlError, Fault};
use crate::model::reason::Reason;
use crate::model::violation::Violation;
use crate::storage::object_store::ObjectStoreError;
use crate::storage::{Retryable, StoreError};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks rules of form.
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<Violation>),
    /// The request is well formed, but conflicts with stored state, place by place.
    #[error("the request conflicts with stored state")]
    State(Vec<Subject>),
    /// Too much at a time.
    #[error("{0}")]
    TooLarge(&'static str),
    /// A page token that is not ours, or not for this query.
    #[error("the page token is damaged, or belongs to another query")]
    PageToken,
    /// No token.
    #[error("no token was sent; send `authorization: Bearer <token>`")]
    CredentialsMissing,
    /// A kid nobody has.
    #[error("`x-api-key` names no key, or is missing beside a token without `kid`")]
    ApiKeyUnknown,
    /// The caller's token is refused.
    #[error("{0}")]
    Token(Refusal),
    /// A token within the request is refused.
    #[error("{0}")]
    UserToken(Refusal),
    /// The caller may not do this.
    #[error("{rpc} needs {needs}")]
    PermissionMissing {
        /// What was called.
        rpc: &'static str,
        /// What the caller lacks.
        needs: &'static str,
    },
    /// The app has no guests.
    #[error("this app does not let anonymous callers make guests")]
    GuestsDisabled,
    /// A request id that was used for something else.
    #[error("this id was used for another request; choose another")]
    RequestIdReused,
    /// An import id that was used for something else.
    #[error("the import was begun {0}; choose another import id")]
    ImportIdReused(&'static str),
    /// No such task.
    #[error("there is no such task in this app")]
    TaskNotFound,
    /// The task has ended.
    #[error("the task has ended")]
    TaskFinished,
    /// The task has not failed.
    #[error("only a failed task can be retried")]
    TaskNotFailed,
    /// The app has as many keys as can verify.
    #[error("the app {app} has as many keys as can verify at a time; retire one first")]
    TooManyKeys {
        /// Its name.
        app: String,
    },
    /// The archive is being written.
    #[error("the archive is not complete yet; wait for its item with WatchTask")]
    ExportNotReady,
    /// There is no such archive.
    #[error("there is no such archive any more; export the user again")]
    ExportGone,
    /// The archive was deleted while it was downloaded.
    #[error("the archive was deleted during the download; export the user again")]
    DownloadGone,
    /// The object store.
    #[error("the object store that holds the archive cannot be used; try again later")]
    ObjectStore(#[source] ObjectStoreError),
    /// Somebody else was in the way, for longer than we try.
    #[error("{0}")]
    Conflict(&'static str),
    /// More calls than the server takes.
    #[error("the server has too much to do; try again shortly")]
    Overloaded,
    /// The server goes down.
    #[error("the server is going down; try again on another connection")]
    Draining,
    /// Over time.
    #[error("the call took longer than allowed")]
    DeadlineExceeded,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One place where the state of the world is against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Path in the request: `users[3]`.
    pub field: String,
    /// Why it conflicts; the first subject's reason is the error's.
    pub reason: Reason,
}

impl Error {
    /// See [`StoreError::log_delayed`].
    pub fn log_delayed(&self, work: &'static str) {
        match self {
            Self::Store(err) => err.log_delayed(work),
            err => tracing::warn!(work, error = %err, "background work failed; it is tried again"),
        }
    }

    /// One field that breaks a rule of form.
    pub fn invalid(field: &str, description: &str) -> Self {
        Self::Invalid(vec![Violation {
            field: field.to_owned(),
            description: description.to_owned(),
            rule: crate::model::violation::Rule::Invalid,
        }])
    }

    /// One place that the state of the world is against.
    pub fn state(field: &str, reason: Reason) -> Self {
        Self::State(vec![Subject { field: field.to_owned(), reason }])
    }
}

impl Retryable for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(err) if err.is_conflict())
    }
}

impl From<Vec<Violation>> for Error {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations)
    }
}

impl From<ObjectStoreError> for Error {
    fn from(err: ObjectStoreError) -> Self {
        tracing::warn!(error = %err, "the object store failed a call");
        Self::ObjectStore(err)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(err) => Self::Store(err),
            Fault::ObjectStore(err) => Self::ObjectStore(err),
            Fault::Fatal { message, .. } => Self::Store(StoreError::Internal(message)),
        }
    }
}

impl From<ControlError> for Error {
    fn from(err: ControlError) -> Self {
        match err {
            ControlError::NotFound => Self::TaskNotFound,
            ControlError::Finished => Self::TaskFinished,
            ControlError::NotFailed => Self::TaskNotFailed,
            ControlError::Store(err) => Self::Store(err),
        }
    }
}
