//! The rules for free JSON data, alike for both databases.
//!
//! Numbers are IEEE doubles; whole ones up to 2^53 are kept as integers, so that `3` and `3.0` are one
//! value. NUL is refused everywhere, since PostgreSQL cannot hold it.

use serde_json::{Map, Number, Value};

use super::violation::{MAX_FIELD, Violations};

/// How deep objects and arrays may nest, the outermost object counted.
pub const MAX_DEPTH: usize = 16;

/// Integers beyond this lose digits as doubles: 2^53.
pub const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// An object of free data.
pub type Object = Map<String, Value>;

/// The JSON number for `number`, an integer where it is whole and safe. `None` for NaN and infinities.
pub fn number(number: f64) -> Option<Number> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
    let safe = number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    if safe { Some(Number::from(number as i64)) } else { Number::from_f64(number) }
}

/// Where in free data something stands. Written out only where there is something to tell: the work on
/// hostile data must not grow with the length of its paths.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The field that holds the data.
    Field(&'a str),
    /// A member of an object; straight below an empty field, its name alone.
    Member(&'a Place<'a>, &'a str),
    /// A member of an array.
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// The path, cut to what is told of one.
    pub fn path(&self) -> String {
        match self {
            Self::Field(name) => (*name).to_owned(),
            Self::Member(parent, name) => {
                let parent = parent.path();
                let dot = if parent.is_empty() { "" } else { "." };
                let name: String = name.chars().take(MAX_FIELD).collect();
                cut(format!("{parent}{dot}{name}"))
            }
            Self::Index(parent, at) => cut(format!("{}[{at}]", parent.path())),
        }
    }
}

fn cut(path: String) -> String {
    if path.len() <= MAX_FIELD { path } else { path.chars().take(MAX_FIELD).collect() }
}

/// Checks free data and brings its numbers into their one form; violations are noted below `field`.
pub fn normalise(object: Object, field: &str, bad: &mut Violations) -> Object {
    match value(Value::Object(object), Place::Field(field), 1, bad) {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn value(found: Value, place: Place<'_>, depth: usize, bad: &mut Violations) -> Value {
    match found {
        Value::Object(_) | Value::Array(_) if depth > MAX_DEPTH => {
            bad.add(place.path(), format!("must not nest deeper than {MAX_DEPTH} levels"));
            Value::Null
        }
        Value::Object(members) => members
            .into_iter()
            .map(|(key, member)| {
                let place = Place::Member(&place, &key);
                if key.contains('\0') {
                    bad.add(place.path(), "must not have a NUL character in its name");
                }
                let member = value(member, place, depth + 1, bad);
                (key, member)
            })
            .collect(),
        Value::Array(members) => members
            .into_iter()
            .enumerate()
            .map(|(at, member)| value(member, Place::Index(&place, at), depth + 1, bad))
            .collect(),
        Value::String(text) => {
            if text.contains('\0') {
                bad.add(place.path(), "must not contain a NUL character");
            }
            Value::String(text)
        }
        Value::Number(found) => checked_number(&found, place, bad),
        other => other,
    }
}

/// Whether a number is an integer that loses digits as a double.
pub fn is_unsafe(number: &Number) -> bool {
    let whole = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
    whole.is_some_and(|whole| whole > MAX_SAFE_INTEGER)
}

fn checked_number(found: &Number, place: Place<'_>, bad: &mut Violations) -> Value {
    if is_unsafe(found) {
        bad.add(
            place.path(),
            "must not be an integer beyond 2^53, which would lose digits; send it as a string",
        );
    }
    found.as_f64().and_then(number).map_or(Value::Null, Value::Number)
}

/// The bytes of `object` as a `google.protobuf.Struct`.
pub fn struct_bytes(object: &Object) -> usize {
    let member = |(name, value): (&String, &Value)| {
        let name = if name.is_empty() { 0 } else { field_bytes(name.len()) };
        field_bytes(name + field_bytes(value_bytes(value)))
    };
    object.iter().map(member).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 2,
        Value::Number(_) => 9,
        Value::String(text) => field_bytes(text.len()),
        Value::Array(members) => {
            field_bytes(members.iter().map(|member| field_bytes(value_bytes(member))).sum())
        }
        Value::Object(members) => field_bytes(struct_bytes(members)),
    }
}

/// Tag, length and content.
const fn field_bytes(content: usize) -> usize {
    let length = match content {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 5,
    };
    1 + length + content
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value) -> Result<Object, Vec<String>> {
        let Value::Object(object) = value else { panic!("an object") };
        let mut bad = Violations::new();
        let object = normalise(object, "custom", &mut bad);
        bad.into_result(object).map_err(|found| found.into_iter().map(|one| one.field).collect())
    }

    #[test]
    fn whole_numbers_have_one_form() {
        let got = check(json!({"a": 3.0, "b": -0.0, "c": 1.5, "d": 9_007_199_254_740_992_u64})).unwrap();
        assert_eq!(serde_json::to_string(&got).unwrap(), r#"{"a":3,"b":0,"c":1.5,"d":9007199254740992}"#);
    }

    #[test]
    fn integers_beyond_two_to_the_53_are_refused_with_their_path() {
        let got = check(json!({"a": {"b": [1, 9_007_199_254_740_993_u64]}, "c": -9_007_199_254_740_993_i64}));
        assert_eq!(got.unwrap_err(), ["custom.a.b[1]", "custom.c"]);
    }

    #[test]
    fn nul_is_refused_in_keys_and_text() {
        assert_eq!(check(json!({"a\0": 1, "b": "x\0"})).unwrap_err(), ["custom.a\u{fffd}", "custom.b"]);
    }

    #[test]
    fn sixteen_levels_are_taken_and_seventeen_refused() {
        let nest = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "x": inner }));
        assert!(check(nest(16)).is_ok());
        assert!(check(nest(17)).is_err());
    }
}
