//! Checks of form that several requests share. What is wrong is noted, all of it, with its path.

use std::collections::HashSet;

use tonic::{Request, Status};
use uuid::Uuid;

use super::status;
use crate::domain::{Call, Error};
use crate::model::id::{UserId, parse_request_id};
use crate::model::violation::Violations;
use crate::storage::StoreError;

/// Rows of a page where the caller does not say, and at most.
const DEFAULT_LIMIT: u32 = 30;
const MAX_LIMIT: u32 = 1_000;
const MAX_REASON: usize = 1_024;

/// Takes a request apart: the message, and the call it belongs to, as the gate noted it.
pub(super) fn open<M>(mut request: Request<M>) -> Result<(Call, M), Status> {
    let call = request
        .extensions_mut()
        .remove::<Call>()
        .ok_or_else(|| status::of(StoreError::Internal("a call came past the gate".into())))?;
    Ok((call, request.into_inner()))
}

/// `value` where nothing was noted.
pub(super) fn checked<T>(bad: Violations, value: Option<T>) -> Result<T, Status> {
    match (bad.into_result(()), value) {
        (Ok(()), Some(value)) => Ok(value),
        (Ok(()), None) => {
            Err(status::of(StoreError::Internal("a request broke no rule, yet is unfit".into())))
        }
        (Err(violations), _) => Err(status::of(Error::Invalid(violations))),
    }
}

/// A user's id in `field`.
pub(super) fn user_id(field: &str, text: String, bad: &mut Violations) -> Option<UserId> {
    bad.take(field, UserId::parse(text))
}

/// 1 to `max` ids of users in `user_ids`, each once, in the order they came.
pub(super) fn user_ids(texts: Vec<String>, max: usize, bad: &mut Violations) -> Vec<UserId> {
    if !(1..=max).contains(&texts.len()) {
        bad.add("user_ids", format!("must be 1 to {max} ids"));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut ids = Vec::with_capacity(texts.len());
    for (at, text) in texts.into_iter().enumerate() {
        let id = user_id(&format!("user_ids[{at}]"), text, bad);
        ids.extend(id.filter(|id| seen.insert(id.clone())));
    }
    ids
}

/// Who asks: a user's id, or nobody.
pub(super) fn created_by_id(text: String, bad: &mut Violations) -> String {
    if !text.is_empty() && UserId::parse(text.as_str()).is_err() {
        bad.add("created_by_id", UserId::RULE);
    }
    text
}

/// Why it is asked.
pub(super) fn reason(text: String, bad: &mut Violations) -> String {
    if text.len() > MAX_REASON || text.contains('\0') {
        bad.add("reason", format!("must be at most {MAX_REASON} bytes without NUL characters"));
    }
    text
}

/// The caller's name for a request, if it gave one.
pub(super) fn request_id(text: String, bad: &mut Violations) -> Option<String> {
    if text.is_empty() { None } else { bad.take("request_id", parse_request_id(text)) }
}

/// Rows of a page.
pub(super) fn limit(limit: i32, bad: &mut Violations) -> u32 {
    match u32::try_from(limit) {
        Ok(0) => DEFAULT_LIMIT,
        Ok(limit) if limit <= MAX_LIMIT => limit,
        _ => {
            bad.add("limit", format!("must be 1 to {MAX_LIMIT}, or not set for {DEFAULT_LIMIT}"));
            DEFAULT_LIMIT
        }
    }
}

/// A task's id in `task_id`.
pub(super) fn task_id(text: &str) -> Result<Uuid, Status> {
    let mut bad = Violations::new();
    let id = bad.take("task_id", Uuid::try_parse(text).map_err(|_| "must be a UUID"));
    checked(bad, id)
}
