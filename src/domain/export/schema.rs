//! The JSON Schema of a record, made from the register of personal data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::envelope::SCHEMA;
use super::register::{own_field_of, releases};
use crate::model::export::{FORMAT, References, Scope};
use crate::model::history::HistoryKind;
use crate::storage::columns::release::{Field, Form, Found, Release};

/// The schema (draft 2020-12) that every record of an export meets, the first and the last ones too.
pub fn schema() -> Value {
    let mut kinds: BTreeMap<&str, Vec<&Release>> = BTreeMap::new();
    for release in releases() {
        kinds.entry(release.record).or_default().push(release);
    }
    let mut records = envelope();
    records.extend(kinds.iter().map(|(kind, releases)| ((*kind).to_owned(), record(kind, releases))));
    let all: Vec<Value> = records.keys().map(|kind| json!({"$ref": format!("#/$defs/{kind}")})).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "A record of the export of a user",
        "oneOf": all,
        "$defs": records,
    })
}

/// An object of these fields and no others.
fn object(properties: &Map<String, Value>, required: impl IntoIterator<Item = &'static str>) -> Value {
    let required: BTreeSet<&str> = required.into_iter().collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn fields(of: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

fn counts() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}})
}

/// The records in which an export speaks of itself.
fn envelope() -> Map<String, Value> {
    let export = fields([
        ("format", json!({"const": FORMAT})),
        ("schema", json!({"const": SCHEMA})),
        ("user_id", text()),
        ("app", text()),
        ("task_id", json!({"type": ["string", "null"]})),
        ("scope", json!({"enum": [Scope::Access.as_str(), Scope::Portability.as_str()]})),
        ("references", json!({"enum": [References::Pseudonym.as_str(), References::Keep.as_str()]})),
        ("include_received", json!({"type": "boolean"})),
        ("read_from", time()),
    ]);
    let purpose = fields([("purpose", text()), ("records", texts())]);
    let about = fields([
        ("purposes", json!({"type": "array", "items": object(&purpose, ["purpose", "records"])})),
        ("categories", texts()),
        ("retention", text()),
        ("recipients", texts()),
        ("source", text()),
        ("rights", texts()),
        ("controller", text()),
    ]);
    let end = fields([("records", counts()), ("read_to", time())]);
    let all = [
        (
            "export",
            object(&export, ["format", "user_id", "scope", "references", "include_received", "read_from"]),
        ),
        ("about", object(&about, ["purposes", "categories", "retention", "recipients", "source", "rights"])),
        ("end", object(&end, ["records", "read_to"])),
    ];
    let of_type =
        |kind, item| object(&fields([("type", json!({"const": kind})), ("item", item)]), ["type", "item"]);
    fields(all.map(|(kind, item)| (kind, of_type(kind, item))))
}

/// A record of the user. Some come from several tables, which need not have the same fields.
fn record(kind: &str, releases: &[&Release]) -> Value {
    let (mut properties, mut bases, mut about) = (Map::new(), BTreeSet::new(), BTreeSet::new());
    for release in releases {
        bases.insert(release.basis.as_str());
        about.insert(format!(
            "relation: {}; purpose: {}",
            release.relation.as_str(),
            release.purpose.as_str()
        ));
        for (name, value) in release.fields.iter().flat_map(properties_of) {
            merge(&mut properties, name, value);
        }
        properties.extend(fields(release.lists.iter().map(|list| (list.name, texts()))));
        if matches!(release.found, Found::CountedOn(_)) {
            properties.insert("counts".to_owned(), counts());
        }
    }
    let mut required = releases.iter().map(|release| always(release));
    let first = required.next().unwrap_or_default();
    let item = object(&properties, required.fold(first, |all, some| &all & &some));
    let top = fields([("type", json!({"const": kind})), ("basis", json!({"enum": bases})), ("item", item)]);
    let Value::Object(mut record) = object(&top, ["type", "basis", "item"]) else { return Value::Null };
    let about: Vec<String> = about.into_iter().collect();
    record.insert("description".to_owned(), about.join(". ").into());
    Value::Object(record)
}

/// Adds a property. Where records of two tables say another constant in it, it is one of both.
fn merge(properties: &mut Map<String, Value>, name: &str, value: Value) {
    let Some(there) = properties.get_mut(name).filter(|there| **there != value) else {
        properties.insert(name.to_owned(), value);
        return;
    };
    if let (Some(known), Some(new)) = (there.get_mut("enum").and_then(Value::as_array_mut), value.get("enum"))
    {
        known.extend(new.as_array().into_iter().flatten().cloned());
    } else {
        // Any value: what two tables say differently, only their own records could tell apart.
        *there = json!({});
    }
}

/// The fields that no record of the release is without.
fn always(release: &Release) -> BTreeSet<&'static str> {
    let is_there = |field: &&Field| match field.form {
        Form::Always(_) => true,
        // With ids kept, the members of a distinct channel take the place of its id.
        Form::Part | Form::Channel(..) => false,
        _ => field.sql.is_empty() && release.order.contains(&field.column),
    };
    let names = release.fields.iter().filter(is_there).map(|field| field.name);
    let counts = matches!(release.found, Found::CountedOn(_)).then_some("counts");
    names.chain(own_field_of(release)).chain(counts).collect()
}

/// What a field becomes in a record.
fn properties_of(field: &Field) -> Vec<(&'static str, Value)> {
    let value = match field.form {
        Form::Part => return Vec::new(),
        Form::Channel(_, members) if !members.is_empty() => {
            return vec![(field.name, text()), (members, texts())];
        }
        Form::Always(value) => json!({"enum": [value]}),
        Form::Unnamed => json!({"enum": ["~"]}),
        Form::Time => time(),
        Form::Flag => json!({"type": "boolean"}),
        Form::Number => json!({"type": "number"}),
        Form::Json => json!({"type": ["object", "array"]}),
        Form::Push => json!({"type": "object"}),
        Form::HistoryKind => {
            let kinds = HistoryKind::ALL.map(HistoryKind::as_str);
            json!({"enum": kinds.into_iter().chain(["unknown"]).collect::<Vec<_>>()})
        }
        Form::Text
        | Form::Person
        | Form::Channel(..)
        | Form::Call(_)
        | Form::Feed(_)
        | Form::Fid(_)
        | Form::Cid
        | Form::Entity(_)
        | Form::MessageType
        | Form::Outcome => text(),
    };
    vec![(field.name, value)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_several_tables_have_the_constants_of_all() {
        let bans = &schema()["$defs"]["ban_received"]["properties"]["item"];
        assert_eq!(bans["properties"]["entity_type"]["enum"], json!(["future_channels", "channel"]));
        assert_eq!(bans["properties"]["banned_by_id"]["enum"], json!(["~"]));
    }

    #[test]
    fn every_property_says_what_it_is() {
        for (kind, record) in schema()["$defs"].as_object().unwrap() {
            for (name, property) in record["properties"]["item"]["properties"].as_object().unwrap() {
                assert_ne!(*property, json!({}), "{kind}.{name}");
            }
        }
    }
}
