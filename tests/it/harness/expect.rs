//! What tests say about answers and refusals.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// What came back of a call.
pub(crate) trait Answer<T> {
    /// The message, where the call must succeed.
    #[track_caller]
    fn answered(self) -> T;

    /// The refusal, where the call must fail with this code and reason.
    #[track_caller]
    fn refused(self, code: Code, reason: &str) -> Status;
}

impl<T> Answer<T> for Result<Response<T>, Status> {
    #[track_caller]
    fn answered(self) -> T {
        match self {
            Ok(response) => response.into_inner(),
            Err(status) => panic!("the call should succeed, but: {}", told(&status)),
        }
    }

    #[track_caller]
    fn refused(self, code: Code, reason: &str) -> Status {
        let Err(status) = self else {
            panic!("the call should be refused with {code:?}/{reason}, but succeeds");
        };
        assert!(
            status.code() == code && reason_of(&status) == reason,
            "the call should be refused with {code:?}/{reason}, but: {}",
            told(&status)
        );
        assert_discreet(&status);
        assert_begins_with_what_is_wrong(&status);
        status
    }
}

/// The `reason` of a refusal's `ErrorInfo`; empty where it carries none.
pub(crate) fn reason_of(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(String::new, |info| {
        assert_eq!(info.domain, "usher", "the domain of every reason");
        info.reason
    })
}

/// The metadata of a refusal's `ErrorInfo`.
pub(crate) fn metadata_of(status: &Status) -> HashMap<String, String> {
    status.get_details_error_info().map(|info| info.metadata).unwrap_or_default()
}

/// The paths of a refusal's field violations, in their order.
pub(crate) fn fields_of(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// When to try again, where the refusal says so.
pub(crate) fn retry_of(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// Everything about a refusal, for the message of a failed test.
pub(crate) fn told(status: &Status) -> String {
    format!("{:?}/{} {:?} at {:?}", status.code(), reason_of(status), status.message(), fields_of(status))
}

/// The message begins with the first violation where the request breaks a rule of form, and never with a gap.
#[track_caller]
fn assert_begins_with_what_is_wrong(status: &Status) {
    let message = status.message();
    assert!(!message.is_empty() && !message.starts_with([':', ' ']), "no message: {}", told(status));
    let bad = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let Some(first) = bad.first().filter(|_| status.code() == Code::InvalidArgument) else { return };
    let text = if first.field.is_empty() { &first.description } else { &first.field };
    let begin: String = text.chars().take(80).collect();
    assert!(message.starts_with(&begin), "the first violation comes first: {}", told(status));
}

/// No refusal tells how usher is made, or where it lies.
#[track_caller]
fn assert_discreet(status: &Status) {
    let text = format!("{} {:?}", status.message(), status.get_error_details()).to_lowercase();
    for word in
        ["select ", "insert into", "sqlx", "sea_orm", "sqlite", "postgres", "constraint", ".rs:", "panicked"]
    {
        assert!(!text.contains(word), "a refusal must not tell {word:?}: {text}");
    }
}
