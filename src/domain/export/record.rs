//! Rows as records.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::names::Names;
use crate::model::call::Cid;
use crate::model::clock::Timestamp;
use crate::model::content::DISTINCT;
use crate::model::history::HistoryKind;
use crate::model::task::Outcome;
use crate::storage::columns::release::{Form, ListOf, Release};
use crate::storage::export::{Attached, Page, Place, PlaceKind, Row};

/// The channels, calls and feeds that a page names.
pub(super) fn places(release: &Release, page: &Page) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    for row in &page.rows {
        for (field, value) in release.fields.iter().zip(&row.values) {
            if let Some(text) = value.as_str() {
                found.extend(place_of(release, &row.values, field.form, text));
            }
        }
        for (list, members) in release.lists.iter().zip(&row.lists) {
            if list.of == ListOf::Feeds {
                found.extend(members.iter().map(|fid| split(PlaceKind::Feed, fid)));
            }
        }
    }
    found
}

/// The users that a page names, in the order of their names.
pub(super) fn persons(release: &Release, page: &Page) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = page.members.values().flatten().cloned().collect();
    for row in &page.rows {
        for (field, value) in release.fields.iter().zip(&row.values) {
            let Some(text) = value.as_str() else { continue };
            let is_person = match field.form {
                Form::Person => true,
                Form::Entity(kind) => column_of(release, &row.values, kind) == "user",
                _ => false,
            };
            if is_person && !found.contains(text) {
                found.insert(text.to_owned());
            }
        }
        for (list, members) in release.lists.iter().zip(&row.lists) {
            if list.of != ListOf::Feeds {
                found.extend(members.iter().cloned());
            }
        }
    }
    found
}

/// What a value of this form names, if it names a channel, call or feed.
fn place_of(release: &Release, values: &[Value], form: Form, text: &str) -> Option<Place> {
    let place = |kind, column| Place { kind, group: column_of(release, values, column), id: text.to_owned() };
    match form {
        Form::Channel(column, _) => Some(place(PlaceKind::Channel, column)),
        Form::Call(column) => Some(place(PlaceKind::Call, column)),
        Form::Feed(column) | Form::Fid(column) => Some(place(PlaceKind::Feed, column)),
        Form::Cid => Some(split(PlaceKind::Channel, text)),
        _ => None,
    }
}

fn split(kind: PlaceKind, text: &str) -> Place {
    let (group, id) = text.split_once(':').unwrap_or(("", text));
    Place { kind, group: group.to_owned(), id: id.to_owned() }
}

/// The text of the column of that name.
fn column_of(release: &Release, values: &[Value], column: &str) -> String {
    let at = release.fields.iter().position(|field| field.column == column);
    at.and_then(|at| values.get(at)?.as_str()).unwrap_or_default().to_owned()
}

/// The records of a row: its own, and what is read together with it.
pub(super) fn records(
    release: &Release,
    row: &Row,
    page: &Page,
    names: &mut Names,
    mut put: impl FnMut(&'static str, String),
) {
    let mut item = Item::new(release);
    for (field, value) in release.fields.iter().zip(&row.values) {
        item.field(release, &row.values, (field.name, field.form), value, page, names);
    }
    for (list, members) in release.lists.iter().zip(&row.lists) {
        if !members.is_empty() {
            let member = |one: &String| match list.of {
                ListOf::Feeds => fid(&split(PlaceKind::Feed, one), names),
                ListOf::Named(_) | ListOf::Blocked => names.person(one),
            };
            item.texts(list.name, members.iter().map(member));
        }
    }
    put(release.record, item.end());
    for attached in &row.attached {
        put(attached.release.record, attached_record(attached, page, names));
    }
}

fn attached_record(attached: &Attached, page: &Page, names: &mut Names) -> String {
    let mut item = Item::new(attached.release);
    for (field, value) in attached.release.fields.iter().zip(&attached.values) {
        item.field(attached.release, &attached.values, (field.name, field.form), value, page, names);
    }
    if !attached.counts.is_empty() {
        let counts = attached.counts.iter().map(|(kind, count)| (kind.clone(), Value::from(*count)));
        item.raw("counts", &Value::Object(counts.collect()).to_string());
    }
    item.end()
}

fn fid(place: &Place, names: &Names) -> String {
    format!("{}:{}", place.group, names.place(place))
}

/// A record that is being written.
struct Item {
    json: String,
    is_empty: bool,
}

impl Item {
    fn new(release: &Release) -> Self {
        let (record, basis) = (release.record, release.basis.as_str());
        let json = format!(r#"{{"type":"{record}","basis":"{basis}","item":{{"#);
        Self { json, is_empty: true }
    }

    fn field(
        &mut self,
        release: &Release,
        values: &[Value],
        (name, form): (&str, Form),
        value: &Value,
        page: &Page,
        names: &mut Names,
    ) {
        if let Form::Always(value) = form {
            return self.text(name, value);
        }
        match (form, value) {
            (Form::Part, _) | (_, Value::Null) => {}
            (Form::Unnamed, _) => self.text(name, "~"),
            (Form::Time, value) => self.time(name, value),
            (Form::Flag, Value::Bool(_)) => self.raw(name, &value.to_string()),
            (Form::Flag, value) => self.raw(name, if value.as_i64() == Some(0) { "false" } else { "true" }),
            // Numbers that came as text.
            (Form::Number, Value::String(text)) => self.raw(name, text),
            // SQLite keeps JSON as text.
            (Form::Json, Value::String(text)) => self.json(name, text),
            (Form::Json, value) => self.json(name, &value.to_string()),
            (Form::Push, value) => self.push(name, value),
            (Form::HistoryKind, value) => self.text(name, history_kind(value)),
            (Form::Outcome, value) => self.text(name, outcome(value)),
            (form, Value::String(text)) => {
                self.text_of(release, values, (name, form), text, page, names);
            }
            (_, value) => self.raw(name, &value.to_string()),
        }
    }

    fn text_of(
        &mut self,
        release: &Release,
        values: &[Value],
        (name, form): (&str, Form),
        text: &str,
        page: &Page,
        names: &mut Names,
    ) {
        let column = |column| column_of(release, values, column);
        let place = place_of(release, values, form, text);
        match (form, place) {
            (Form::Channel(_, by_members), Some(place)) if place.id.starts_with(DISTINCT) => {
                self.distinct(name, by_members, &place, page, names);
            }
            (Form::Fid(_) | Form::Cid, Some(place)) => self.text(name, &fid(&place, names)),
            (_, Some(place)) => self.text(name, &names.place(&place)),
            (Form::Person, _) => self.text(name, &names.person(text)),
            (Form::Entity(kind), _) if column(kind) == "user" => self.text(name, &names.person(text)),
            (Form::MessageType, _) if !column_is_null(release, values, "deleted_at") => {
                self.text(name, "deleted");
            }
            _ => self.text(name, text),
        }
    }

    /// A distinct channel: its members say which one it is. Its id is made of theirs.
    fn distinct(&mut self, name: &str, by_members: &str, place: &Place, page: &Page, names: &mut Names) {
        let cid = Cid { kind: place.group.clone(), id: place.id.clone() };
        if !names.keeps() || by_members.is_empty() {
            self.text(name, &names.place(place));
        }
        if let Some(members) = page.members.get(&cid).filter(|_| !by_members.is_empty()) {
            self.texts(by_members, members.iter().map(|member| names.person(member)));
        }
    }

    fn time(&mut self, name: &str, value: &Value) {
        if let Some(micros) = value.as_i64() {
            self.name(name);
            _ = write!(self.json, "\"{}\"", Timestamp::from_micros(micros));
        }
    }

    fn push(&mut self, name: &str, value: &Value) {
        let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let mut settings = parsed.unwrap_or_else(|| value.clone());
        if let Some(until) = settings.get_mut("disabled_until")
            && let Some(micros) = until.as_i64()
        {
            *until = Timestamp::from_micros(micros).to_string().into();
        }
        self.raw(name, &settings.to_string());
    }

    fn texts(&mut self, name: &str, texts: impl Iterator<Item = String>) {
        let list: Value = texts.map(Value::from).collect();
        self.raw(name, &list.to_string());
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        match serde_json::to_string(text) {
            Ok(json) => self.json.push_str(&json),
            // Text is always JSON.
            Err(_) => self.json.push_str("null"),
        }
    }

    /// JSON that holds something.
    fn json(&mut self, name: &str, json: &str) {
        if !["{}", "[]", "null"].contains(&json) {
            self.raw(name, json);
        }
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.json.push_str(json);
    }

    fn name(&mut self, name: &str) {
        let comma = if std::mem::take(&mut self.is_empty) { "" } else { "," };
        _ = write!(self.json, "{comma}\"{name}\":");
    }

    fn end(mut self) -> String {
        self.json.push_str("}}");
        self.json
    }
}

fn column_is_null(release: &Release, values: &[Value], column: &str) -> bool {
    let at = release.fields.iter().position(|field| field.column == column);
    at.and_then(|at| values.get(at)).is_none_or(Value::is_null)
}

fn history_kind(value: &Value) -> &'static str {
    let code = value.as_i64().and_then(|code| i16::try_from(code).ok());
    code.and_then(HistoryKind::from_code).map_or("unknown", HistoryKind::as_str)
}

fn outcome(value: &Value) -> &'static str {
    let code = value.as_i64().and_then(|code| i16::try_from(code).ok());
    code.and_then(Outcome::from_code).map_or("unknown", Outcome::as_str)
}
