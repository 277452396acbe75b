//! `google.protobuf.Struct` to JSON and back.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as PbValue};
use serde_json::{Map, Value};

use crate::model::json::{self, Place};
use crate::model::violation::Violations;

/// The JSON object of `message`. Whole numbers become integers; NaN, infinities and values
/// without a kind are noted below `field`.
pub(super) fn object(message: Struct, field: &str, bad: &mut Violations) -> Map<String, Value> {
    members(message, Place::Field(field), bad)
}

fn members(message: Struct, place: Place<'_>, bad: &mut Violations) -> Map<String, Value> {
    message
        .fields
        .into_iter()
        .map(|(name, member)| {
            let member = value(member, Place::Member(&place, &name), bad);
            (name, member)
        })
        .collect()
}

fn value(message: PbValue, place: Place<'_>, bad: &mut Violations) -> Value {
    match message.kind {
        // What a client sends that could not encode the value it was given.
        None => {
            bad.add(place.path(), "must have a value: the kind of its google.protobuf.Value is not set");
            Value::Null
        }
        Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => json::number(number).map_or_else(
            || {
                bad.add(place.path(), "must be a finite number");
                Value::Null
            },
            Value::Number,
        ),
        Some(Kind::StructValue(inner)) => Value::Object(members(inner, place, bad)),
        Some(Kind::ListValue(list)) => {
            let listed = list.values.into_iter().enumerate();
            listed.map(|(at, member)| value(member, Place::Index(&place, at), bad)).collect()
        }
    }
}

/// The message of a JSON object.
pub(super) fn to_struct(object: Map<String, Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(name, member)| (name, to_value(member))).collect() }
}

fn to_value(value: Value) -> PbValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(members) => {
            Kind::ListValue(ListValue { values: members.into_iter().map(to_value).collect() })
        }
        Value::Object(members) => Kind::StructValue(to_struct(members)),
    };
    PbValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bytes_of_a_message_are_known_before_it_is_made() {
        let long = "x".repeat(20_000);
        for data in [
            json!({}),
            json!({"": "", "a": null, "b": [true, -1, 2.5, "é", [], {}], "c": {"d": {"e": 1}}}),
            json!({"a": long, "b": [long, {"c": long}], "d": "y".repeat(128), "e": "z".repeat(127)}),
            json!({ "n": vec![1; 200] }),
        ] {
            let Value::Object(object) = data else { panic!("an object") };
            assert_eq!(json::struct_bytes(&object), to_struct(object).encoded_len());
        }
    }
}
