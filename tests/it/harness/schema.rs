//! Whether a value is as a JSON Schema says: what the schema of exports needs of draft 2020-12, and no more.

use serde_json::{Map, Value};

/// Checks that each record is as the schema of exports says.
#[track_caller]
pub(crate) fn check(records: &[Value]) {
    let schema = usher::domain::export::schema();
    for record in records {
        // The definition of its type says more of what is wrong than the whole, which says that none fits.
        let kind = record["type"].as_str().unwrap();
        let fault =
            fault(&schema, &schema["$defs"][kind], record).or_else(|| fault(&schema, &schema, record));
        assert_eq!(fault, None, "{record}");
    }
}

/// Why `value` is not as `schema` says, which is a part of `root`.
fn fault(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = schema.as_object().expect("a schema");
    schema.iter().find_map(|(keyword, rule)| {
        let fault = broken(root, schema, keyword, rule, value)?;
        Some(format!("{keyword}: {fault}"))
    })
}

fn broken(
    root: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    rule: &Value,
    value: &Value,
) -> Option<String> {
    let unless = |holds: bool| (!holds).then(|| format!("{value} is not as {rule}"));
    match keyword {
        "$ref" => fault(root, root.pointer(rule.as_str()?.strip_prefix('#')?).expect("a definition"), value),
        "oneOf" => {
            let faults: Vec<_> = rule.as_array()?.iter().map(|one| fault(root, one, value)).collect();
            let fitting = faults.iter().filter(|fault| fault.is_none()).count();
            (fitting != 1).then(|| format!("{fitting} fit {value}"))
        }
        "type" => {
            let types = rule.as_array().map_or(vec![rule], |types| types.iter().collect());
            unless(types.into_iter().any(|kind| is_a(kind.as_str().unwrap(), value)))
        }
        "const" => unless(value == rule),
        "enum" => unless(rule.as_array()?.contains(value)),
        "minimum" => unless(value.as_f64()? >= rule.as_f64()?),
        "required" => {
            let object = value.as_object()?;
            unless(rule.as_array()?.iter().all(|name| object.contains_key(name.as_str().unwrap())))
        }
        "items" => value.as_array()?.iter().find_map(|one| fault(root, rule, one)),
        "properties" => value.as_object()?.iter().find_map(|(name, one)| {
            let fault = fault(root, rule.get(name)?, one)?;
            Some(format!("{name}: {fault}"))
        }),
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            let mut others = value
                .as_object()?
                .iter()
                .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            others.find_map(|(name, one)| match rule {
                Value::Bool(allowed) => (!allowed).then(|| format!("{name} is unknown")),
                rule => fault(root, rule, one),
            })
        }
        "format" => unless(rule == "date-time" && is_time(value.as_str()?)),
        "$schema" | "$id" | "$defs" | "title" | "description" => None,
        other => panic!("the keyword {other} is not checked"),
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("the type {other} is unknown"),
    }
}

/// RFC 3339 in UTC, as usher writes times.
fn is_time(text: &str) -> bool {
    let shape = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect::<Vec<_>>();
    shape.starts_with(b"0000-00-00T00:00:00") && shape.ends_with(b"Z")
}
