//! The reference: what a filter is of a user, without any database.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{BuiltIn, Check, Field, Filter, Value};
use crate::model::user::User;
use crate::model::words;

/// Whether `filter` holds of `user`.
pub fn matches(filter: &Filter, user: &User) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(part, user)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, user)),
        Filter::Nor(parts) => !parts.iter().any(|part| matches(part, user)),
        Filter::Test(field, check) => passes(&look(field, user), check),
    }
}

/// What a user has in a field.
enum Found<'a> {
    Absent,
    Scalar(Value),
    /// Scalars and whatever else.
    Array(Vec<Option<Value>>),
    Teams(&'a [String]),
    Object,
}

fn look<'a>(field: &Field, user: &'a User) -> Found<'a> {
    let text = |text: &str| Found::Scalar(Value::Text(text.to_owned()));
    let time = |at| Found::Scalar(Value::Time(at));
    match field {
        Field::BuiltIn(BuiltIn::Id) => text(user.id().as_str()),
        Field::BuiltIn(BuiltIn::Role) => text(&user.profile.role),
        Field::BuiltIn(BuiltIn::Name) => user.profile.name.as_deref().map_or(Found::Absent, text),
        Field::BuiltIn(BuiltIn::Language) => user.profile.language.as_deref().map_or(Found::Absent, text),
        // Nobody is, as long as nobody can be banned.
        Field::BuiltIn(BuiltIn::Banned | BuiltIn::ShadowBanned) => Found::Scalar(Value::Bool(false)),
        Field::BuiltIn(BuiltIn::Invisible) => Found::Scalar(Value::Bool(user.profile.invisible)),
        Field::BuiltIn(BuiltIn::CreatedAt) => time(user.created_at),
        Field::BuiltIn(BuiltIn::UpdatedAt) => time(user.updated_at),
        Field::BuiltIn(BuiltIn::LastActive) => user.last_active.map_or(Found::Absent, time),
        Field::BuiltIn(BuiltIn::DeactivatedAt) => user.deactivated_at.map_or(Found::Absent, time),
        Field::BuiltIn(BuiltIn::Teams) if user.profile.teams.is_empty() => Found::Absent,
        Field::BuiltIn(BuiltIn::Teams) => Found::Teams(&user.profile.teams),
        Field::Custom(path) => path.find(&user.profile.custom).map_or(Found::Absent, free),
    }
}

fn free(found: &Json) -> Found<'static> {
    match found {
        Json::Array(members) => Found::Array(members.iter().map(scalar).collect()),
        other => scalar(other).map_or(Found::Object, Found::Scalar),
    }
}

fn scalar(json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Null),
        Json::Bool(bool) => Some(Value::Bool(*bool)),
        Json::Number(number) => number.as_f64().map(Value::Number),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn passes(found: &Found<'_>, check: &Check) -> bool {
    match (found, check) {
        (Found::Absent, Check::AnyOf(values)) => values.contains(&Value::Null),
        (Found::Absent, _) => false,
        (_, Check::Exists) => true,
        (Found::Scalar(found), Check::AnyOf(values)) => values.contains(found),
        (Found::Scalar(found), Check::Compare(comparison, value)) => {
            order(found, value).is_some_and(|found| comparison.holds(found))
        }
        (Found::Scalar(Value::Text(text)), Check::Autocomplete(prefixes)) => words::match_all(text, prefixes),
        (Found::Array(members), Check::Contains(value)) => members.iter().flatten().any(|one| one == value),
        (Found::Teams(teams), Check::AnyOf(values)) => {
            values.iter().any(|value| teams.iter().any(|team| is_text(value, team)))
        }
        (Found::Teams(teams), Check::Contains(value)) => teams.iter().any(|team| is_text(value, team)),
        (Found::Teams(teams), Check::Exactly(names)) => {
            teams.iter().all(|team| names.contains(team)) && names.iter().all(|name| teams.contains(name))
        }
        _ => false,
    }
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Text(found) if found == text)
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
