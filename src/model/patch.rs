//! Partial updates of a user: paths to set and paths to unset.
//!
//! A path is a built-in field, or a part of one, or a path into `custom`, whose first segment may be left
//! out. What is wrong with a patch alone is told by [`Patch::parse`]; what only the user it meets can tell,
//! by [`Patch::apply`]. The order of paths does not matter: none lies within another one that is set.

use std::collections::BTreeSet;

use serde_json::Value;

use super::clock::Timestamp;
use super::json::{MAX_DEPTH, Object};
use super::revocation::Revocation;
use super::user::{Profile, UserInput};
use super::user_json::{self, KEPT};
use super::violation::Violations;

/// What changes of a user.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    edits: Vec<Edit>,
    /// Where its tokens are revoked, or are no more.
    pub revocation: Option<Revocation>,
    /// Where it changes; `None` within clears it.
    pub avg_response_time: Option<Option<f64>>,
    /// Where in the request something stands that a user may not change of itself.
    pub privileged: Vec<String>,
}

/// One path to set, or to unset where there is no value.
#[derive(Debug, Clone)]
struct Edit {
    /// Where in the request it stands.
    origin: String,
    path: Vec<String>,
    value: Option<Value>,
}

/// Fields that change by other calls, or never.
const OTHERS: [&str; 5] = ["id", "created_at", "deactivated_at", "deleted_at", "blocked_user_ids"];
/// What a user may not change of itself.
const PRIVILEGED: [&str; 5] = ["role", "teams", "teams_role", REVOCATION, AVERAGE];
const REVOCATION: &str = "revoke_tokens_issued_before";
const AVERAGE: &str = "avg_response_time";
const PRIVACY: &str = "privacy_settings";
const CUSTOM: &str = "custom";

impl Patch {
    /// Reads a patch; violations are noted as `set.KEY` and `unset[AT]`.
    pub fn parse(set: Object, unset: Vec<String>, now: Timestamp, bad: &mut Violations) -> Self {
        let set = set.into_iter().map(|(key, value)| (format!("set.{key}"), key, Some(value)));
        let unset = unset.into_iter().enumerate().map(|(at, key)| (format!("unset[{at}]"), key, None));
        let mut edits = Vec::new();
        for (origin, key, value) in set.chain(unset) {
            if let Some(path) = bad.take(origin.as_str(), parse_path(&key, value.is_some())) {
                edits.extend(Edit { origin, path, value }.parts());
            }
        }
        note_overlaps(&edits, bad);

        let mut patch = Self::default();
        for edit in edits {
            if PRIVILEGED.contains(&edit.field()) {
                patch.privileged.push(edit.origin.clone());
            }
            match edit.field() {
                REVOCATION => patch.revocation = bad.take(&edit.origin, revocation(edit.value, now)),
                AVERAGE => patch.avg_response_time = bad.take(&edit.origin, average(edit.value)),
                _ => {
                    edit.check(bad);
                    patch.edits.push(edit);
                }
            }
        }
        patch
    }

    /// The profile as the patch leaves it, if it keeps to the rules; the id stays.
    pub fn apply(&self, profile: Profile, bad: &mut Violations) -> Option<Profile> {
        let mut document = user_json::write(profile);
        let mut whole = true;
        for edit in &self.edits {
            if !edit.apply(&mut document) {
                whole = false;
                bad.add(&edit.origin, "leads through a value that is not an object");
            }
        }
        if whole { read_back(document, bad) } else { None }
    }
}

impl Edit {
    fn field(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The one object that is merged instead of replaced is set part by part; every other edit is one.
    fn parts(self) -> Vec<Self> {
        match (self.value, self.path.as_slice()) {
            (Some(Value::Object(settings)), [field]) if field == PRIVACY => {
                let part = |(name, setting)| Self {
                    origin: self.origin.clone(),
                    path: vec![field.clone(), name],
                    value: Some(setting),
                };
                settings.into_iter().map(part).collect()
            }
            (value, _) => vec![Self { value, ..self }],
        }
    }

    /// Whether the value fits its place, in whichever user.
    fn check(&self, bad: &mut Violations) {
        if self.value.is_none() {
            return;
        }
        let mut document = Object::new();
        document.insert("id".to_owned(), "any".into());
        let mut found = Violations::new();
        self.apply(&mut document);
        read_back(document, &mut found);
        // Told by the path that the caller wrote.
        let bare = self.field() == CUSTOM && !self.origin.starts_with("set.custom");
        for violation in found.into_result(()).err().unwrap_or_default() {
            let below = violation.field.strip_prefix("custom.").filter(|_| bare);
            let field = match below.unwrap_or(&violation.field) {
                "" => self.origin.clone(),
                field => format!("set.{field}"),
            };
            bad.extend("", vec![violation.at(&field)]);
        }
    }

    /// Makes the change; false where the path leads through something that is no object.
    fn apply(&self, document: &mut Object) -> bool {
        let Some(value) = &self.value else {
            unset(document, &self.path);
            return true;
        };
        set(document, &self.path, value.clone())
    }
}

fn set(object: &mut Object, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [leaf] => {
            object.insert(leaf.clone(), value);
            true
        }
        [parent, rest @ ..] => match object.entry(parent).or_insert_with(|| Object::new().into()) {
            Value::Object(inner) => set(inner, rest, value),
            _ => false,
        },
    }
}

/// What is not there need not go, so no path is in the way here. The parent stays, if empty.
fn unset(object: &mut Object, path: &[String]) {
    match path {
        [] => {}
        [leaf] => {
            object.remove(leaf);
        }
        [parent, rest @ ..] => {
            if let Some(Value::Object(inner)) = object.get_mut(parent) {
                unset(inner, rest);
            }
        }
    }
}

fn read_back(mut document: Object, bad: &mut Violations) -> Option<Profile> {
    let fields = user_json::read(&mut document, bad);
    let custom = match document.remove(CUSTOM) {
        None | Some(Value::Null) => Object::new(),
        Some(Value::Object(custom)) => custom,
        Some(_) => {
            bad.add(CUSTOM, "must be an object");
            Object::new()
        }
    };
    debug_assert!(document.is_empty(), "every path is one of a field that is read");
    let profile = UserInput { custom, ..fields }.check(bad);
    profile.filter(|_| bad.is_empty())
}

/// The segments of `key`, beginning with a built-in field or `custom`.
fn parse_path(key: &str, set: bool) -> Result<Vec<String>, &'static str> {
    if key.chars().any(char::is_whitespace) {
        return Err("must not contain spaces");
    }
    if key.contains('\0') {
        return Err("must not contain a NUL character");
    }
    let segments: Vec<&str> = key.split('.').take(MAX_DEPTH + 2).collect();
    if key.is_empty() || segments.iter().any(|segment| segment.is_empty()) || key.ends_with('.') {
        return Err("must be names with single dots between them");
    }
    let path: Vec<&str> = match *segments.as_slice() {
        [field, ..] if KEPT.contains(&field) || OTHERS.contains(&field) => {
            return Err("is kept by usher, and no partial update changes it");
        }
        [CUSTOM] => segments,
        [field, ref parts @ ..] if is_built_in(field) => {
            check_parts(field, parts, set)?;
            segments
        }
        [CUSTOM, ..] => segments,
        _ => std::iter::once(CUSTOM).chain(segments).collect(),
    };
    if path.len() > MAX_DEPTH + 1 {
        return Err("must not lead deeper than 16 levels");
    }
    Ok(path.into_iter().map(str::to_owned).collect())
}

fn is_built_in(field: &str) -> bool {
    ["name", "image", "language", "invisible", PRIVACY, "push_notifications"].contains(&field)
        || PRIVILEGED.contains(&field)
}

/// Whether a built-in field has such parts.
fn check_parts(field: &str, parts: &[&str], set: bool) -> Result<(), &'static str> {
    let known = match (field, parts) {
        (_, []) | ("teams_role", [_]) | ("push_notifications", ["disabled" | "disabled_until"]) => true,
        (PRIVACY, ["typing_indicators" | "read_receipts" | "delivery_receipts", rest @ ..]) => match rest {
            [] => true,
            ["enabled"] if set => true,
            ["enabled"] => return Err("cannot be unset by itself; unset the setting, which enables it"),
            _ => false,
        },
        _ => false,
    };
    if known { Ok(()) } else { Err("is no part of this field") }
}

/// Paths within each other would make the order matter; what is only unset may overlap.
fn note_overlaps(edits: &[Edit], bad: &mut Violations) {
    let (mut set, mut unset) = (BTreeSet::new(), BTreeSet::new());
    for edit in edits {
        if edit.value.is_none() {
            unset.insert(edit.path.as_slice());
        } else if !set.insert(edit.path.as_slice()) {
            bad.add(&edit.origin, "is set twice");
        }
    }
    for edit in edits {
        let parents = || (1..edit.path.len()).filter_map(|length| edit.path.get(..length));
        if edit.value.is_none() {
            if parents().chain([edit.path.as_slice()]).any(|path| set.contains(path)) {
                bad.add(&edit.origin, "is set, or lies within what is set");
            }
        } else if parents().any(|path| set.contains(path)) {
            bad.add(&edit.origin, "lies within another path that is set");
        } else if parents().any(|path| unset.contains(path)) {
            bad.add(&edit.origin, "lies within a path that is unset");
        }
    }
}

fn revocation(value: Option<Value>, now: Timestamp) -> Result<Revocation, &'static str> {
    match value {
        None | Some(Value::Null) => Ok(Revocation::Clear),
        Some(Value::String(text)) => {
            let time = Timestamp::parse(&text).ok_or("must be a time as in RFC 3339, or null")?;
            Revocation::issued_before(time, now)
        }
        Some(_) => Err("must be a time as in RFC 3339, or null"),
    }
}

fn average(value: Option<Value>) -> Result<Option<f64>, &'static str> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(seconds)) => {
            let seconds = seconds.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            seconds.map(Some).ok_or("must be a number of seconds, 0 or more")
        }
        Some(_) => Err("must be a number of seconds, or null"),
    }
}

#[cfg(test)]
mod tests;
