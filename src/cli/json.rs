//! Between JSON and the messages of the API.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as ProtoValue};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use crate::model::clock::Timestamp;
use crate::model::json::{MAX_SAFE_INTEGER, number};
use crate::proto::v1;

/// Reads a JSON object for a field that carries free data, `name` on the command line.
pub(super) fn object(name: &str, text: &str) -> Result<Struct, Failure> {
    let value: Value = serde_json::from_str(text)
        .map_err(|err| Failure::usage(format!("{name} is not valid JSON: {err}")))?;
    let Value::Object(members) = value else {
        return Err(Failure::usage(format!(
            "{name} must be a JSON object, such as '{{\"device\": \"phone\"}}'"
        )));
    };
    struct_of(name, members)
}

/// Free data as a message; the failure names `name` if it cannot be one.
pub(super) fn struct_of(name: &str, members: Map<String, Value>) -> Result<Struct, Failure> {
    let fields = members.into_iter().map(|(key, value)| Ok((key, proto_value(name, value)?)));
    Ok(Struct { fields: fields.collect::<Result<_, Failure>>()? })
}

fn proto_value(name: &str, value: Value) -> Result<ProtoValue, Failure> {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(found) => {
            let whole = found.as_i64().map(i64::unsigned_abs).or_else(|| found.as_u64());
            if whole.is_some_and(|whole| whole > MAX_SAFE_INTEGER) {
                return Err(Failure::usage(format!(
                    "{name}: {found} is an integer beyond 2^53, which would lose digits; write it as a string"
                )));
            }
            Kind::NumberValue(found.as_f64().unwrap_or_default())
        }
        Value::String(text) => Kind::StringValue(text),
        Value::Array(members) => {
            let values = members.into_iter().map(|member| proto_value(name, member));
            Kind::ListValue(ListValue { values: values.collect::<Result<_, _>>()? })
        }
        Value::Object(members) => Kind::StructValue(struct_of(name, members)?),
    };
    Ok(ProtoValue { kind: Some(kind) })
}

/// Free data as JSON, whole numbers as integers.
pub(super) fn of_struct(data: Struct) -> Value {
    Value::Object(data.fields.into_iter().map(|(key, value)| (key, of_value(value))).collect::<Map<_, _>>())
}

fn of_value(value: ProtoValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::NumberValue(found)) => number(found).map_or(Value::Null, Value::Number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(of_value).collect()),
        Some(Kind::StructValue(data)) => of_struct(data),
    }
}

/// A time as RFC 3339.
pub(super) fn time(at: Option<prost_types::Timestamp>) -> Option<String> {
    let at = at?;
    Timestamp::from_parts(at.seconds, u32::try_from(at.nanos).ok()?).map(|at| at.to_string())
}

/// A task, with the field names of the API. States and outcomes are in lower case, without prefix.
pub(super) fn task(task: &v1::Task) -> Value {
    let mut object = json!({
        "task_id": task.task_id,
        "kind": task.kind,
        "state": state(task.state()),
        "phase": task.phase,
        "users_total": task.users_total,
        "users_done": task.users_done,
        "users_failed": task.users_failed,
        "users_unchanged": task.users_unchanged,
        "rows_done": task.rows_done,
        "revision": task.revision,
        "failures": task.failures,
        "cancel_requested": task.cancel_requested,
        "created_by_id": task.created_by_id,
        "reason": task.reason,
        "request_id": task.request_id,
        "created_at": time(task.created_at),
        "updated_at": time(task.updated_at),
        "started_at": time(task.started_at),
        "finished_at": time(task.finished_at),
        "error": task.error.as_ref().map(|error| json!({"reason": error.reason, "message": error.message})),
    });
    if let (Value::Object(fields), Some((kind, made))) = (&mut object, result(task)) {
        fields.insert(kind.to_owned(), made);
    }
    object
}

/// What a task has made, or done so far, by the name of its kind; `None` of kinds that say nothing of it.
fn result(task: &v1::Task) -> Option<(&'static str, Value)> {
    Some(match task.result.as_ref()? {
        v1::task::Result::ExportUsers(made) => {
            let v1::ExportUsersResult { files, records, bytes } = made;
            ("export_users", json!({"files": files, "records": records, "bytes": bytes}))
        }
        v1::task::Result::DeleteUsers(_) => {
            let rows: Map<_, _> =
                deleted_rows(task).into_iter().map(|(kind, rows)| (kind, json!(rows))).collect();
            ("delete_users", json!({"rows": rows}))
        }
    })
}

/// Rows that a deletion has marked, blanked or removed, by what they are, in the order of these names.
pub(super) fn deleted_rows(task: &v1::Task) -> Vec<(String, u64)> {
    let Some(v1::task::Result::DeleteUsers(done)) = &task.result else { return Vec::new() };
    let rows = done.rows.iter().map(|(kind, rows)| (kind.clone(), u64::try_from(*rows).unwrap_or(0)));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows
}

/// An item of a task.
pub(super) fn item(item: &v1::TaskItem) -> Value {
    json!({"index": item.index, "user_id": item.user_id, "outcome": outcome(item.outcome()), "reason": item.reason})
}

/// `TASK_STATE_RUNNING` as `running`.
pub(super) fn state(state: v1::TaskState) -> String {
    state.as_str_name().trim_start_matches("TASK_STATE_").to_lowercase()
}

/// `ITEM_OUTCOME_DONE` as `done`.
pub(super) fn outcome(outcome: v1::ItemOutcome) -> String {
    outcome.as_str_name().trim_start_matches("ITEM_OUTCOME_").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_survives_the_way_there_and_back() {
        let text = r#"{"a":[1,2.5,null,true,"x"],"b":{"c":-3}}"#;
        assert_eq!(of_struct(object("--claims", text).unwrap()).to_string(), text);
    }

    #[test]
    fn what_is_no_object_or_would_lose_digits_is_refused() {
        for text in ["[1]", "{", r#"{"n": 9007199254740993}"#] {
            assert!(object("--claims", text).unwrap_err().to_string().starts_with("--claims"), "{text}");
        }
    }

    #[test]
    fn a_task_says_what_it_made_under_the_name_of_its_kind() {
        let rows = [("reactions", 2), ("messages", 5)].map(|(kind, rows)| (kind.to_owned(), rows));
        let result = v1::DeleteUsersResult { rows: rows.into() };
        let deletion = v1::Task { result: Some(v1::task::Result::DeleteUsers(result)), ..Default::default() };
        assert_eq!(task(&deletion)["delete_users"], json!({"rows": {"messages": 5, "reactions": 2}}));
        assert_eq!(deleted_rows(&deletion), [("messages".to_owned(), 5), ("reactions".to_owned(), 2)]);
        let made = v1::ExportUsersResult { files: 1, records: 2, bytes: 3 };
        let export = v1::Task { result: Some(v1::task::Result::ExportUsers(made)), ..Default::default() };
        assert_eq!(task(&export)["export_users"], json!({"files": 1, "records": 2, "bytes": 3}));
        assert_eq!(task(&v1::Task::default()).get("delete_users"), None);
    }

    #[test]
    fn states_are_told_without_their_prefix() {
        assert_eq!(state(v1::TaskState::Cancelled), "cancelled");
        assert_eq!(outcome(v1::ItemOutcome::Unchanged), "unchanged");
    }
}
