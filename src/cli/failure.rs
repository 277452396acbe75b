//! Why a command did not succeed: the text for people, and the exit code for scripts.
//!
//! [`Failure::of_status`] is the only place that turns a gRPC status into text.

use std::error::Error as _;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};

use crate::server::StartError;

/// Exit codes; see the table at [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Success,
    Failed,
    Usage,
    /// Done, but some items were refused or failed.
    Partly,
    Cancelled,
    Interrupted,
    /// As a shell reports a program that SIGPIPE ended.
    ReaderGone,
}

impl Exit {
    /// Which of two ends counts.
    pub(super) fn worse(self, other: Self) -> Self {
        let order = [Self::Failed, Self::Cancelled, Self::Partly];
        order.into_iter().find(|exit| *exit == self || *exit == other).unwrap_or(Self::Success)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Partly => 3,
            Exit::Cancelled => 4,
            Exit::Interrupted => 130,
            Exit::ReaderGone => 141,
        })
    }
}

/// What every command answers.
pub(super) type Outcome = Result<Exit, Failure>;

/// A command that did not succeed. The text may have several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    /// The caller asked for something that cannot be.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    /// The server, or a command on its database, could not start.
    pub(super) fn start(err: &StartError) -> Self {
        if err.is_setting() { Self::usage(err.to_string()) } else { Self::failed(err.to_string()) }
    }

    /// It was tried and did not work.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }

    /// Standard output cannot be written.
    pub(super) fn of_stdout(err: &std::io::Error) -> Self {
        if err.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::ReaderGone, text: String::new() };
        }
        Self::failed(format!("cannot write to standard output: {err}"))
    }

    /// The server at `server`, or the way to it, answered a call with `status`.
    pub(super) fn of_status(status: &Status, server: &str) -> Self {
        Self::of_status_about(status, server, &[])
    }

    /// As [`Self::of_status`], for a call about the users `ids`: paths such as `user_ids[3]` are shown with the id.
    pub(super) fn of_status_about(status: &Status, server: &str, ids: &[String]) -> Self {
        if is_unreachable(status) {
            let cause = deepest_cause(status);
            return Self::failed(format!(
                "cannot reach {server}: {cause}\nhint: is usher running at {server}? Say otherwise with --server"
            ));
        }
        let message = message(status);
        let mut lines = vec![format!("{} ({})", with_id(&message, ids), reason(status))];

        let details = status.get_error_details();
        let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
        let metadata = |key: &str| details.error_info().and_then(|info| info.metadata.get(key));
        let total: Option<usize> = metadata("violations_total").and_then(|total| total.parse().ok());
        let unlisted = total.unwrap_or_default().saturating_sub(violations.len());
        let is_said = matches!(violations, [only] if unlisted == 0 && repeats(&message, only));
        if !is_said {
            let lists = violations.iter().map(|found| format!("{}: {}", found.field, found.description));
            lines.extend(lists.map(|line| format!("  {}", with_id(&line, ids))));
        }
        if unlisted > 0 {
            lines.push(format!("  ... and {unlisted} more"));
        }
        lines.extend(
            metadata("error_id").map(|id| format!("hint: the server's log explains it under error id {id}")),
        );
        lines.extend(hint(&reason(status)).map(|hint| format!("hint: {hint}")));
        Self::failed(lines.join("\n"))
    }

    /// The same failure, with a line that says what to do now.
    #[must_use]
    pub(super) fn and(mut self, advice: &str) -> Self {
        self.text.push('\n');
        self.text.push_str(advice);
        self
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The reason usher gives, without the prefix; the gRPC code where it gives none.
pub(super) fn reason(status: &Status) -> String {
    match status.get_error_details().error_info() {
        Some(info) if !info.reason.is_empty() => info.reason.clone(),
        _ => code_name(status.code()).to_owned(),
    }
}

/// Whether streams end so in good order, to be taken up again: not worth a word.
pub(super) fn is_routine(status: &Status) -> bool {
    matches!(reason(status).as_str(), "SERVER_DRAINING" | "TOKEN_EXPIRED")
}

/// How long the server asks callers to wait.
pub(super) fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_error_details().retry_info().and_then(|info| info.retry_delay)
}

/// Whether the call broke on its way, rather than being answered.
pub(super) fn is_broken(status: &Status) -> bool {
    // A status that came over the wire has no source.
    status.source().is_some()
        && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
}

fn is_unreachable(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.source().is_some()
}

fn deepest_cause(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(next) = cause.and_then(std::error::Error::source) {
        cause = Some(next);
    }
    cause.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

fn message(status: &Status) -> String {
    match status.message() {
        _ if is_broken(status) => format!("the connection broke: {}", deepest_cause(status)),
        "" => "the call failed".to_owned(),
        text => text.to_owned(),
    }
}

/// Whether `message` says all that the only violation says.
fn repeats(message: &str, only: &FieldViolation) -> bool {
    let text = only.description.split_once(": ").map_or(only.description.as_str(), |(_, text)| text);
    [text, &only.description]
        .iter()
        .any(|text| message == *text || message == format!("{}: {text}", only.field))
}

/// `line` with the id of the user that the path at its beginning leads to: `users[3] (ada): ...`.
fn with_id(line: &str, ids: &[String]) -> String {
    let Some((path, text)) = line.split_once(": ") else { return line.to_owned() };
    let index = match path.split_once('.').map_or(path, |(user, _)| user) {
        "user_id" => Some(0),
        user => ["users[", "user_ids["]
            .iter()
            .find_map(|list| user.strip_prefix(list)?.strip_suffix(']')?.parse::<usize>().ok()),
    };
    match index.and_then(|index| ids.get(index)) {
        Some(id) => format!("{path} ({id}): {text}"),
        None => line.to_owned(),
    }
}

fn hint(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "CREDENTIALS_MISSING" => "give --key and --secret-file, or a token by --token-file or USHER_TOKEN",
        "API_KEY_UNKNOWN" => "`usher app list` shows the keys there are",
        "TOKEN_INVALID" => "does the secret file belong to the key, and the key to this server?",
        "TOKEN_NOT_YET_VALID" => "do the clocks of this machine and the server agree?",
        "TOKEN_EXPIRED" | "TOKEN_REVOKED" => "get a new token",
        "PERMISSION_MISSING" => "this needs a server token: give --key and --secret-file",
        "TASK_NOT_FOUND" => "`usher task list` shows the tasks there are",
        "TASK_NOT_FAILED" | "TASK_FINISHED" => "`usher task get` shows how it ended",
        "UNIMPLEMENTED" => "is this usher, and as new as this program?",
        _ => return None,
    })
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn fields_are_listed_and_the_rest_counted() {
        let metadata = HashMap::from([("violations_total".to_owned(), "7".to_owned())]);
        let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "usher", metadata);
        details.set_bad_request(vec![FieldViolation::new("users[0].id", "must not be empty")]);
        let status = Status::with_error_details(Code::InvalidArgument, "request has invalid fields", details);

        let failure = Failure::of_status(&status, "http://here");

        assert_eq!(
            failure.to_string(),
            "request has invalid fields (INVALID_FIELD)\n  users[0].id: must not be empty\n  ... and 6 more"
        );
    }

    #[test]
    fn what_the_message_says_is_not_said_again() {
        let mut details = ErrorDetails::with_error_info("USER_NOT_FOUND", "usher", HashMap::new());
        details
            .set_bad_request(vec![FieldViolation::new("users[0]", "USER_NOT_FOUND: there is no such user")]);
        let message = "users[0]: there is no such user";
        let status = Status::with_error_details(Code::NotFound, message, details);

        let text = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            Failure::of_status_about(&status, "http://here", &ids).to_string()
        };

        assert_eq!(text(&[]), "users[0]: there is no such user (USER_NOT_FOUND)");
        assert_eq!(text(&["nobody"]), "users[0] (nobody): there is no such user (USER_NOT_FOUND)");
    }

    #[test]
    fn paths_of_users_are_shown_with_their_ids() {
        let ids = ["ada", "a b"].map(str::to_owned);
        for (line, shown) in [
            ("user_id: wrong", "user_id (ada): wrong"),
            ("user_ids[1]: wrong", "user_ids[1] (a b): wrong"),
            ("users[0].set.a..b: wrong", "users[0].set.a..b (ada): wrong"),
            ("users[2].id: wrong", "users[2].id: wrong"),
            ("users[x].id: wrong", "users[x].id: wrong"),
            ("user_ids: must be 1 to 10 ids", "user_ids: must be 1 to 10 ids"),
            ("the call failed", "the call failed"),
        ] {
            assert_eq!(with_id(line, &ids), shown);
        }
    }

    #[test]
    fn a_status_without_details_shows_its_code() {
        let status = Status::deadline_exceeded("too slow");
        assert_eq!(Failure::of_status(&status, "x").to_string(), "too slow (DEADLINE_EXCEEDED)");
    }

    #[test]
    fn an_unreachable_server_is_named_with_the_cause() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let mut status = Status::unavailable("tcp connect error");
        status.set_source(std::sync::Arc::new(refused));

        let text = Failure::of_status(&status, "http://here").to_string();

        assert!(
            text.starts_with("cannot reach http://here: connection refused\nhint: is usher running"),
            "{text}"
        );
    }

    #[test]
    fn of_several_tasks_the_worst_end_counts() {
        let exits = [Exit::Success, Exit::Partly, Exit::Cancelled, Exit::Failed];
        for (at, one) in exits.into_iter().enumerate() {
            for (rank, other) in exits.into_iter().enumerate() {
                assert_eq!(one.worse(other), exits[at.max(rank)]);
            }
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_cause_for_words() {
        let failure = Failure::of_stdout(&std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit(), failure.to_string().as_str()), (Exit::ReaderGone, ""));
    }
}
