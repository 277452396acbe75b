//! Reads filters in their wire form, JSON in the manner of MongoDB.
//!
//! Everything wrong is noted at once, each with its path. Whatever is sent, the work is bounded: nothing is
//! read beyond the allowed depth and number of tests.

use serde_json::Value as Json;

use super::fields::{self, Kind, Resolved};
use super::{Check, Comparison, Filter, Value};
use crate::model::clock::Timestamp;
use crate::model::json::{self, MAX_SAFE_INTEGER, Object};
use crate::model::violation::Violations;
use crate::model::words;

/// How deep `$and`, `$or` and `$nor` may nest.
const MAX_DEPTH: usize = 8;
/// How many tests a filter may have, in tenths: what a member of a list counts.
const MAX_TENTHS: usize = 1_000;
const TEST: usize = 10;

/// Some clients send an empty object where they were given a value they cannot encode. It must not mean
/// everybody.
const EMPTY: &str = "must not be empty: give a test, or leave the filter out to find everybody";
const EMPTY_MEMBER: &str = "must not be empty: give a test, or leave it out";

/// Reads `filter`; `None` where anything is wrong with it, which is then noted below `filter`.
pub fn parse(filter: &Object, bad: &mut Violations) -> Option<Filter> {
    let mut found = Violations::new();
    let mut parser = Parser { bad: &mut found, left: MAX_TENTHS, spent: false };
    if filter.is_empty() {
        parser.refuse("filter", EMPTY);
    }
    let filter = parser.all_of(filter, "filter", 0);
    match found.into_result(filter) {
        Ok(filter) => Some(filter),
        Err(violations) => {
            bad.extend("", violations);
            None
        }
    }
}

struct Parser<'a> {
    bad: &'a mut Violations,
    left: usize,
    spent: bool,
}

impl Parser<'_> {
    /// Accounts for `tenths` of a test; false once there are too many, which ends the reading.
    fn spend(&mut self, tenths: usize) -> bool {
        if let Some(left) = self.left.checked_sub(tenths).filter(|_| !self.spent) {
            self.left = left;
            return true;
        }
        if !self.spent {
            self.spent = true;
            self.bad
                .add_filter("filter", "must have at most 100 tests, each member of a list counting a tenth");
        }
        false
    }

    /// Notes what is wrong where a test should be; it counts as one.
    fn refuse(&mut self, path: &str, description: impl Into<String>) {
        if self.spend(TEST) {
            self.bad.add_filter(path, description);
        }
    }

    /// An object: all its keys hold.
    fn all_of(&mut self, object: &Object, path: &str, depth: usize) -> Filter {
        let mut parts = Vec::new();
        for (key, value) in object {
            if self.spent {
                break;
            }
            let path = below(path, key);
            match key.as_str() {
                "$and" => parts.push(Filter::And(self.members(value, &path, depth + 1))),
                "$or" => parts.push(Filter::Or(self.members(value, &path, depth + 1))),
                "$nor" => parts.push(Filter::Nor(self.members(value, &path, depth + 1))),
                name => self.field(name, value, &path, &mut parts),
            }
        }
        match parts.len() {
            1 => parts.pop().unwrap_or(Filter::ALL),
            _ => Filter::And(parts),
        }
    }

    /// What `$and`, `$or` and `$nor` take.
    fn members(&mut self, value: &Json, path: &str, depth: usize) -> Vec<Filter> {
        let wrong = match value {
            _ if depth > MAX_DEPTH => "must not nest deeper than 8 levels of $and, $or and $nor",
            Json::Array(members) if !members.is_empty() => return self.each(members, path, depth),
            Json::Array(_) => "must not be empty",
            _ => "must be an array of filters",
        };
        self.refuse(path, wrong);
        Vec::new()
    }

    fn each(&mut self, members: &[Json], path: &str, depth: usize) -> Vec<Filter> {
        let mut parts = Vec::new();
        for (at, member) in members.iter().enumerate() {
            let path = format!("{path}[{at}]");
            match member {
                Json::Object(object) if object.is_empty() => self.refuse(&path, EMPTY_MEMBER),
                Json::Object(object) => parts.push(self.all_of(object, &path, depth)),
                _ => self.refuse(&path, "must be an object"),
            }
            if self.spent {
                break;
            }
        }
        parts
    }

    fn field(&mut self, name: &str, value: &Json, path: &str, parts: &mut Vec<Filter>) {
        if name.starts_with('$') {
            return self.refuse(path, format!("{} is not known here", shown(name)));
        }
        let resolved = match fields::resolve(name) {
            Ok(resolved) => resolved,
            Err(refusal) => return self.refuse(path, format!("{} {refusal}", shown(name))),
        };
        let Json::Object(tests) = value else {
            parts.extend(self.test(&resolved, "$eq", value, path));
            return;
        };
        if tests.is_empty() {
            self.refuse(path, "must be a value, or an object of at least one operator");
        }
        for (key, value) in tests {
            if self.spent {
                break;
            }
            let path = below(path, key);
            if resolved.takes(key) {
                parts.extend(self.test(&resolved, key, value, &path));
            } else {
                let (field, operator) = (shown(name), shown(key));
                let known = resolved.operators;
                self.refuse(&path, format!("{field} does not take {operator}; it takes {known}"));
            }
        }
    }

    fn test(&mut self, on: &Resolved, operator: &str, value: &Json, path: &str) -> Option<Filter> {
        let (kind, is_in) = (on.kind, matches!(operator, "$in" | "$nin"));
        let members = match value {
            Json::Array(members) if is_in || operator == "$eq" && kind == Kind::Teams => Some(members),
            _ => None,
        };
        // An empty list costs something too: there could be a million.
        if !self.spend(members.map_or(TEST, |members| members.len().max(1))) {
            return None;
        }
        let check = match (operator, members) {
            (_, Some(members)) if is_in => self.list(kind, members, path).map(Check::AnyOf),
            (_, Some(members)) => self.list(kind, members, path).and_then(|teams| self.exactly(teams, path)),
            ("$in" | "$nin", None) => self.wrong(path, "must be an array"),
            ("$gt", _) => self.compare(Comparison::Greater, kind, value, path),
            ("$gte", _) => self.compare(Comparison::GreaterOrEqual, kind, value, path),
            ("$lt", _) => self.compare(Comparison::Less, kind, value, path),
            ("$lte", _) => self.compare(Comparison::LessOrEqual, kind, value, path),
            ("$exists", _) if value.is_boolean() => Some(Check::Exists),
            ("$exists", _) => self.wrong(path, wanted(Kind::Flag)),
            ("$contains", _) => self.contains(kind, value, path),
            ("$autocomplete", _) => self.autocomplete(value, path),
            _ => self.value(kind, value, path).map(|value| Check::AnyOf(vec![value])),
        }?;
        let test = Filter::Test(on.field.clone(), check);
        let is_negated = match operator {
            "$exists" => *value == Json::Bool(false),
            operator => matches!(operator, "$ne" | "$nin"),
        };
        Some(if is_negated { Filter::Nor(vec![test]) } else { test })
    }

    fn list(&mut self, kind: Kind, members: &[Json], path: &str) -> Option<Vec<Value>> {
        let read = |(at, member)| self.value(kind, member, &format!("{path}[{at}]"));
        // All of them are read, so that all that is wrong is noted.
        let values: Vec<Option<Value>> = members.iter().enumerate().map(read).collect();
        values.into_iter().collect()
    }

    /// What `$eq` means with a list, which only teams take.
    fn exactly(&mut self, teams: Vec<Value>, path: &str) -> Option<Check> {
        if teams.is_empty() {
            return Some(Check::AnyOf(vec![Value::Null]));
        }
        let name = |team| if let Value::Text(name) = team { Some(name) } else { None };
        let Some(mut names) = teams.into_iter().map(name).collect::<Option<Vec<String>>>() else {
            return self.wrong(path, "must be a list of names of teams");
        };
        names.sort();
        names.dedup();
        Some(Check::Exactly(names))
    }

    fn compare(&mut self, by: Comparison, kind: Kind, value: &Json, path: &str) -> Option<Check> {
        match self.value(kind, value, path)? {
            Value::Null | Value::Bool(_) if kind == Kind::Free => {
                self.wrong(path, "must be a string or a number")
            }
            Value::Null => self.wrong(path, wanted(kind)),
            value => Some(Check::Compare(by, value)),
        }
    }

    fn contains(&mut self, kind: Kind, value: &Json, path: &str) -> Option<Check> {
        match self.value(kind, value, path)? {
            Value::Null if kind == Kind::Teams => self.wrong(path, wanted(kind)),
            value => Some(Check::Contains(value)),
        }
    }

    fn autocomplete(&mut self, value: &Json, path: &str) -> Option<Check> {
        let Value::Text(text) = self.value(Kind::Text, value, path)? else {
            return self.wrong(path, wanted(Kind::Text));
        };
        let prefixes = match words::parse_prefixes(&text) {
            Ok(prefixes) => prefixes,
            Err(refusal) => return self.wrong(path, refusal),
        };
        // Each word is looked for by itself; one is paid for.
        self.spend(TEST * (prefixes.len() - 1)).then_some(Check::Autocomplete(prefixes))
    }

    fn wrong<T>(&mut self, path: &str, description: &str) -> Option<T> {
        self.bad.add_filter(path, description);
        None
    }

    /// A value that a field of this kind can have.
    fn value(&mut self, kind: Kind, value: &Json, path: &str) -> Option<Value> {
        let read = match (kind, value) {
            (_, Json::String(text)) if text.contains('\0') => Err("must not contain a NUL character"),
            (_, Json::Null) => Ok(Value::Null),
            (Kind::OptionalText, Json::String(text)) if text.is_empty() => Ok(Value::Null),
            (Kind::Teams, Json::String(text)) if text.is_empty() => Err("must not be empty"),
            (Kind::Time, Json::String(text)) => Timestamp::parse(text).map(Value::Time).ok_or(wanted(kind)),
            (Kind::Text | Kind::OptionalText | Kind::Teams | Kind::Free, Json::String(text)) => {
                Ok(Value::Text(text.clone()))
            }
            (Kind::Flag | Kind::Free, Json::Bool(flag)) => Ok(Value::Bool(*flag)),
            (Kind::Free, Json::Number(number)) => finite(number),
            _ => Err(wanted(kind)),
        };
        read.map_err(|wanted| self.bad.add_filter(path, wanted)).ok()
    }
}

fn finite(number: &serde_json::Number) -> Result<Value, &'static str> {
    let whole = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
    if whole.is_some_and(|whole| whole > MAX_SAFE_INTEGER) {
        return Err("must not be an integer beyond 2^53, which would lose digits");
    }
    let number = number.as_f64().and_then(json::number).and_then(|number| number.as_f64());
    number.map(Value::Number).ok_or("must be a finite number")
}

const fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::OptionalText => "must be a string",
        Kind::Flag => "must be true or false",
        Kind::Time => "must be a date as in RFC 3339, such as 2024-02-29T12:00:00Z",
        Kind::Teams => "must be the name of a team",
        Kind::Free => "must be a string, a number, true, false or null",
    }
}

fn below(path: &str, key: &str) -> String {
    format!("{path}.{}", shown(key))
}

/// A key as told back: short, and fit for any log.
fn shown(key: &str) -> String {
    const LONGEST: usize = 64;
    let mut shown: String =
        key.chars().take(LONGEST).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    if key.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
