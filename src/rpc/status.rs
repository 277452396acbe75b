//! The one way out for errors: gRPC code, `ErrorInfo`, `BadRequest`, `RetryInfo`.
//!
//! The text of a database error never leaves the process.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use uuid::Uuid;

use crate::domain::{Error, Subject};
use crate::model::reason::Reason;
use crate::model::violation::{Rule, Violation};
use crate::proto::codec;
use crate::storage::{Outage, StoreError};

/// `ErrorInfo.domain`.
pub const DOMAIN: &str = "usher";
/// Violations listed.
const LISTED: usize = 50;
/// Characters that message and details may take in the trailers. HPACK makes them a tenth shorter at least, so
/// that they fit into the 4 KiB that nginx has for the head of an answer; stock clients drop trailers beyond 8 KiB.
const TRAILER: usize = 4_300;
/// Bytes of the message before it is cut.
const MESSAGE_BYTES: usize = 400;
/// Bytes of the details that are neither message nor violations.
const OTHER_DETAILS: usize = 200;

/// What a caller is told of `err`.
pub fn of(err: impl Into<Error>) -> Status {
    let err = err.into();
    let reason = reason_of(&err);
    let mut metadata = HashMap::new();
    let mut details = ErrorDetails::new();
    if let Some(after) = retry_after(reason) {
        details.set_retry_info(Some(after));
    }
    let violations = match &err {
        Error::Invalid(violations) => violations.iter().map(of_violation).collect(),
        Error::State(subjects) => subjects.iter().map(of_subject).collect(),
        Error::UserToken(refusal) => vec![FieldViolation::new("token", refusal.to_string())],
        _ => Vec::new(),
    };
    let total = violations.len();
    if total > 0 {
        metadata.insert("violations_total".to_owned(), total.to_string());
    }
    if let Error::PermissionMissing { rpc, needs } = &err {
        metadata.insert("rpc".to_owned(), (*rpc).to_owned());
        metadata.insert("needs".to_owned(), (*needs).to_owned());
    }
    if is_unknown(&err) {
        metadata.insert("outcome".to_owned(), "unknown".to_owned());
    }
    let message = match (&err, reason) {
        (_, Reason::Internal) => internal(&err, &mut metadata),
        (Error::Invalid(violations), _) => form_message(violations),
        (Error::State(subjects), _) => state_message(subjects),
        (err, _) if is_unknown(err) => UNKNOWN.to_owned(),
        (Error::Store(_), _) => store_message(reason).to_owned(),
        (err, _) => err.to_string(),
    };
    if total > 0 {
        details.set_bad_request(within_limits(violations, &message));
    }
    details.set_error_info(reason.as_str(), DOMAIN, metadata);
    Status::with_error_details(code_of(reason, &err), message, details)
}

/// For what ends a stream or a call from outside the domain.
pub fn draining() -> Status {
    of(Error::Draining)
}

/// A refusal of tonic in our words: it has no reason, and another code than ours, INTERNAL where the caller's
/// bytes are damaged. `None` for refusals of ours, and for those that need no other words.
pub fn translated(refusal: &Status) -> Option<Status> {
    if !refusal.details().is_empty() {
        return None;
    }
    match refusal.code() {
        // Before and after decompression.
        Code::OutOfRange | Code::ResourceExhausted => {
            Some(of(Error::TooLarge("the message is larger than this server takes; send less at a time")))
        }
        Code::Internal => Some(codec::undecodable()),
        _ => None,
    }
}

fn reason_of(err: &Error) -> Reason {
    match err {
        Error::Invalid(violations) => reason_of_form(violations),
        Error::State(subjects) => subjects.first().map_or(Reason::Internal, |subject| subject.reason),
        Error::TooLarge(_) => Reason::TooLarge,
        Error::PageToken => Reason::PageTokenInvalid,
        Error::CredentialsMissing => Reason::CredentialsMissing,
        Error::ApiKeyUnknown => Reason::ApiKeyUnknown,
        Error::Token(refusal) | Error::UserToken(refusal) => refusal.reason,
        Error::PermissionMissing { .. } => Reason::PermissionMissing,
        Error::GuestsDisabled => Reason::GuestsDisabled,
        Error::RequestIdReused | Error::ImportIdReused(_) => Reason::RequestIdReused,
        Error::TaskNotFound => Reason::TaskNotFound,
        Error::TaskFinished => Reason::TaskFinished,
        Error::TaskNotFailed => Reason::TaskNotFailed,
        Error::TooManyKeys { .. } => Reason::TooManyKeys,
        Error::ExportNotReady => Reason::ExportNotReady,
        Error::ExportGone | Error::DownloadGone => Reason::ExportGone,
        Error::ObjectStore(_) => Reason::ObjectStoreUnavailable,
        Error::Conflict(_) | Error::Store(StoreError::Conflict) => Reason::Conflict,
        Error::Overloaded => Reason::Overloaded,
        Error::Draining => Reason::ServerDraining,
        Error::DeadlineExceeded | Error::Store(StoreError::Timeout) => Reason::DeadlineExceeded,
        Error::Store(StoreError::Unavailable(_)) => Reason::DatabaseUnavailable,
        Error::Store(StoreError::Unique | StoreError::Internal(_)) => Reason::Internal,
    }
}

fn reason_of_form(violations: &[Violation]) -> Reason {
    let all = |rule| violations.iter().all(|violation| violation.rule == rule);
    if all(Rule::TooLarge) {
        Reason::TooLarge
    } else if all(Rule::Filter) {
        Reason::FilterInvalid
    } else {
        Reason::InvalidField
    }
}

/// No wildcard arm: a new reason does not compile until it has a code.
fn code_of(reason: Reason, err: &Error) -> Code {
    match reason {
        Reason::TooLarge if matches!(err, Error::TooLarge(_)) => Code::ResourceExhausted,
        Reason::ExportGone if matches!(err, Error::DownloadGone) => Code::Aborted,
        Reason::InvalidField
        | Reason::TooLarge
        | Reason::FilterInvalid
        | Reason::PageTokenInvalid
        | Reason::KindUnsupported
        | Reason::ImmutableField => Code::InvalidArgument,
        // A caller whose own user cannot act any more has no valid credentials.
        Reason::UserNotFound | Reason::UserDeleted | Reason::UserDeactivated
            if matches!(err, Error::Token(_) | Error::UserToken(_)) =>
        {
            Code::Unauthenticated
        }
        Reason::CredentialsMissing
        | Reason::ApiKeyUnknown
        | Reason::TokenInvalid
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenRevoked => Code::Unauthenticated,
        Reason::PermissionMissing | Reason::GuestsDisabled => Code::PermissionDenied,
        Reason::UserNotFound
        | Reason::RoleNotFound
        | Reason::TaskNotFound
        | Reason::ChannelNotFound
        | Reason::CallNotFound
        | Reason::MessageNotFound
        | Reason::FeedNotFound
        | Reason::ActivityNotFound
        | Reason::CommentNotFound
        | Reason::MemberNotFound
        | Reason::KeyNotFound
        | Reason::ExportGone => Code::NotFound,
        Reason::RequestIdReused | Reason::NameTaken => Code::AlreadyExists,
        Reason::UserDeleted
        | Reason::UserDeactivated
        | Reason::UserNotDeactivated
        | Reason::UserNotDeleted
        | Reason::NotRestorable
        | Reason::TeamMismatch
        | Reason::TaskFinished
        | Reason::TaskNotFailed
        | Reason::SessionEnded
        | Reason::KeyLast
        | Reason::ExportNotReady
        | Reason::TooManyKeys => Code::FailedPrecondition,
        Reason::VersionMismatch | Reason::Conflict => Code::Aborted,
        Reason::Overloaded => Code::ResourceExhausted,
        Reason::DatabaseUnavailable | Reason::ObjectStoreUnavailable | Reason::ServerDraining => {
            Code::Unavailable
        }
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::Internal => Code::Internal,
    }
}

const fn retry_after(reason: Reason) -> Option<Duration> {
    match reason {
        Reason::Conflict => Some(Duration::from_millis(50)),
        Reason::Overloaded => Some(Duration::from_millis(500)),
        Reason::DatabaseUnavailable | Reason::ObjectStoreUnavailable => Some(Duration::from_secs(1)),
        Reason::ServerDraining => Some(Duration::ZERO),
        _ => None,
    }
}

fn of_violation(violation: &Violation) -> FieldViolation {
    FieldViolation::new(violation.field.clone(), violation.description.clone())
}

fn of_subject(subject: &Subject) -> FieldViolation {
    let description = format!("{}: {}", subject.reason.as_str(), sentence(subject.reason));
    FieldViolation::new(subject.field.clone(), description)
}

/// The violations that have room beside `message`, which the details repeat. Details travel as base64.
fn within_limits(violations: Vec<FieldViolation>, message: &str) -> Vec<FieldViolation> {
    let details = TRAILER.saturating_sub(percent_encoded(message)) / 4 * 3;
    let room = details.saturating_sub(message.len() + OTHER_DETAILS);
    let mut bytes = 0;
    violations
        .into_iter()
        .take(LISTED)
        .take_while(|violation| {
            bytes += violation.field.len() + violation.description.len() + 8;
            bytes <= room
        })
        .collect()
}

/// Characters of a `grpc-message` in the trailers.
fn percent_encoded(message: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(&byte);
    message.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum()
}

/// What is wrong, and what to do. No wildcard arm: a new reason does not compile until it has a sentence.
const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidField => "the value breaks a rule; correct the request",
        Reason::TooLarge => "the value is too large; send less at a time",
        Reason::FilterInvalid => "the filter is not understood; correct it",
        Reason::PageTokenInvalid => "the page token is damaged, or belongs to another query",
        Reason::CredentialsMissing => "no token was sent; send `authorization: Bearer <token>`",
        Reason::ApiKeyUnknown => "no app has this key",
        Reason::TokenInvalid => "the token is not valid",
        Reason::TokenExpired => "the token has expired; get a new one",
        Reason::TokenNotYetValid => "the token is not valid yet",
        Reason::TokenRevoked => "the token was revoked; get a new one",
        Reason::PermissionMissing => "only a server token may change this",
        Reason::SessionEnded => "the session has ended; connect again",
        Reason::UserNotFound => "there is no such user in this app",
        Reason::UserDeleted => "the user is deleted; restore it first",
        Reason::UserDeactivated => "the user is deactivated; reactivate it first",
        Reason::UserNotDeactivated => "the user is not deactivated",
        Reason::UserNotDeleted => "the user is not deleted",
        Reason::NotRestorable => "the user cannot be restored",
        Reason::RoleNotFound => "the role does not exist in this app",
        Reason::NameTaken => "another user has this name; choose another",
        Reason::GuestsDisabled => "this app does not let anonymous callers make guests",
        Reason::VersionMismatch => "the user has another version; read it and decide anew",
        Reason::RequestIdReused => "this id was used for another request; choose another",
        Reason::TaskNotFound => "there is no such task in this app",
        Reason::TaskFinished => "the task has ended",
        Reason::TaskNotFailed => "only a failed task can be retried",
        Reason::KindUnsupported => "items of this kind cannot be imported",
        Reason::ChannelNotFound => "there is no such channel in this app",
        Reason::CallNotFound => "there is no such call in this app",
        Reason::MessageNotFound => "there is no such message in this app",
        Reason::FeedNotFound => "there is no such feed in this app",
        Reason::ActivityNotFound => "there is no such activity in this app",
        Reason::CommentNotFound => "there is no such comment in this app",
        Reason::MemberNotFound => "the channel comes without an item for one of its members",
        Reason::TeamMismatch => "the user is not in the team of the channel",
        Reason::ImmutableField => "the field of an existing row cannot be changed",
        Reason::ExportNotReady => "the archive is not complete yet; wait for its item with WatchTask",
        Reason::ExportGone => "there is no such archive any more; export the user again",
        Reason::ObjectStoreUnavailable => "the object store cannot be used; try again later",
        Reason::KeyNotFound => "there is no such key in this app",
        Reason::KeyLast => "it is the last key that verifies; make another one first",
        Reason::TooManyKeys => "the app has as many keys as can verify at a time; retire one first",
        Reason::Conflict => "another call changed the same thing at the same time; try again",
        Reason::Overloaded => "the server has too much to do; try again shortly",
        Reason::DatabaseUnavailable => "the database cannot be reached; try again shortly",
        Reason::ServerDraining => "the server is going down; try again on another connection",
        Reason::DeadlineExceeded => "the call took longer than allowed",
        Reason::Internal => "a fault of usher",
    }
}

/// The message where `field` is the first of `total` places that something is wrong with.
fn lead(field: &str, text: &str, total: usize) -> String {
    let mut message = if field.is_empty() { text.to_owned() } else { format!("{field}: {text}") };
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        message.push_str("...");
    }
    match total {
        0 | 1 => message,
        total => format!("{message} (and {} more)", total - 1),
    }
}

fn form_message(violations: &[Violation]) -> String {
    violations.first().map_or_else(
        || "the request is not valid".to_owned(),
        |first| lead(&first.field, &first.description, violations.len()),
    )
}

fn state_message(subjects: &[Subject]) -> String {
    subjects.first().map_or_else(
        || sentence(Reason::Internal).to_owned(),
        |first| lead(&first.field, sentence(first.reason), subjects.len()),
    )
}

/// What a caller whose COMMIT was not answered has to do.
const UNKNOWN: &str = "the database was lost while the change was being stored, and it is not known whether it \
                       was: read it, and repeat the call where it is not there";

/// Whether the change may have been stored although the call failed.
const fn is_unknown(err: &Error) -> bool {
    matches!(err, Error::Store(StoreError::Unavailable(Outage::CommitUnknown)))
}

const fn store_message(reason: Reason) -> &'static str {
    match reason {
        Reason::DeadlineExceeded => "the call took longer than allowed",
        Reason::Conflict => "other changes were always faster; try again",
        _ => "the database cannot be reached; try again shortly",
    }
}

/// Logs a fault of ours in full, once, under an id that the caller is told instead.
fn internal(err: &Error, metadata: &mut HashMap<String, String>) -> String {
    let id = Uuid::new_v4().to_string();
    tracing::error!(error.id = %id, error = %err, "a call failed by a fault of usher");
    metadata.insert("error_id".to_owned(), id.clone());
    format!("a fault of usher; its log has more under {id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::ErrorReason;

    #[test]
    fn every_reason_is_in_the_proto_and_back() {
        let ours: std::collections::BTreeSet<_> =
            Reason::ALL.iter().map(|reason| format!("ERROR_REASON_{}", reason.as_str())).collect();
        let theirs: std::collections::BTreeSet<_> = (1..100)
            .filter_map(|number| ErrorReason::try_from(number).ok())
            .map(|reason| reason.as_str_name().to_owned())
            .collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn every_reason_has_a_sentence_that_stands_alone_and_behind_a_path() {
        for reason in Reason::ALL.iter().copied() {
            let text = sentence(reason);
            assert!(text.len() > 10 && !text.starts_with(':') && !text.ends_with('.'), "{reason:?}: {text}");
            let alone = of(Error::state("", reason));
            let placed = of(Error::state("users[3]", reason));
            if reason != Reason::Internal {
                assert_eq!(alone.message(), text);
                assert_eq!(placed.message(), format!("users[3]: {text}"));
            }
            for status in
                [alone, placed, of(Error::Token(reason.into())), of(Error::UserToken(reason.into()))]
            {
                assert!(!status.message().starts_with([':', ' ']), "{reason:?}: {}", status.message());
                assert!(!status.message().is_empty(), "{reason:?}");
            }
        }
    }

    #[test]
    fn the_message_of_a_form_error_begins_with_the_first_violation() {
        let found = |field: &str, rule| Violation {
            field: field.to_owned(),
            description: "must not be empty".to_owned(),
            rule,
        };
        let message = |violations| of(Error::Invalid(violations)).message().to_owned();
        for rule in [Rule::Invalid, Rule::TooLarge, Rule::Filter] {
            assert_eq!(message(vec![found("users[0].id", rule)]), "users[0].id: must not be empty");
            assert_eq!(message(vec![found("", rule)]), "must not be empty");
            let several = ["users[0].id", "users[1].id", "users[7].name"].map(|field| found(field, rule));
            assert_eq!(message(several.to_vec()), "users[0].id: must not be empty (and 2 more)");
        }
    }

    #[test]
    fn long_lists_stay_below_what_proxies_and_stock_clients_read() {
        let field = "users[499].custom.".to_owned() + &"\u{10400}".repeat(180);
        let violations = (0..500).map(|_| Violation {
            field: field.clone(),
            description: "y".repeat(90),
            rule: Rule::Invalid,
        });
        let status = of(Error::Invalid(violations.collect()));
        let trailer = percent_encoded(status.message()) + status.details().len().div_ceil(3) * 4;
        assert!((TRAILER / 2..=TRAILER).contains(&trailer), "{trailer}");
        assert!(status.message().ends_with("... (and 499 more)"), "{}", status.message());
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["violations_total"], "500");
    }
}
