//! Users as they are written on the command line, in files, and by `usher users get --json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::failure::Failure;
use crate::cli::json;
use crate::model::clock::Timestamp;
use crate::proto::v1;

/// What usher keeps itself: passed over, so that what was read can be changed and written back.
const KEPT: [&str; 12] = [
    "created_at",
    "updated_at",
    "last_active",
    "online",
    "deactivated_at",
    "deactivated_by_id",
    "deactivation_reason",
    "deleted_at",
    "blocked_user_ids",
    "revoke_tokens_issued_before",
    "avg_response_time",
    "version",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    custom: Map<String, Value>,
    #[serde(default)]
    language: String,
    #[serde(default)]
    invisible: bool,
    #[serde(default)]
    teams: Vec<String>,
    #[serde(default)]
    teams_role: BTreeMap<String, String>,
    privacy_settings: Option<Privacy>,
    push_notifications: Option<Push>,
    expected_version: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Privacy {
    typing_indicators: Option<Setting>,
    read_receipts: Option<Setting>,
    delivery_receipts: Option<Setting>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    #[serde(default)]
    disabled: bool,
    disabled_until: Option<String>,
}

/// Reads users: a JSON array of objects, or objects one after the other.
pub(super) fn users(text: &str) -> Result<Vec<v1::UserInput>, Failure> {
    let not_json = |err: &serde_json::Error| Failure::usage(format!("the users are not JSON: {err}"));
    let values: Vec<Value> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|err| not_json(&err))?
    } else {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        values.collect::<Result<_, _>>().map_err(|err| not_json(&err))?
    };
    let numbered = values.into_iter().enumerate();
    numbered.map(|(at, value)| user(value).map_err(|why| of_user(at, &why))).collect()
}

fn of_user(at: usize, why: &str) -> Failure {
    Failure::usage(format!("user {}: {why}", at + 1))
}

fn user(mut value: Value) -> Result<v1::UserInput, String> {
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, value| !KEPT.contains(&name.as_str()) && !value.is_null());
    }
    let input: Input = serde_json::from_value(value).map_err(|err| match err.to_string() {
        why if why.starts_with("unknown field") => format!("{why}; free data belongs into `custom`"),
        why => why,
    })?;
    let setting =
        |setting: Option<Setting>| setting.map(|setting| v1::PrivacySetting { enabled: setting.enabled });
    let custom = json::struct_of("custom", input.custom).map_err(|failure| failure.to_string())?;
    Ok(v1::UserInput {
        id: input.id,
        name: input.name,
        image: input.image,
        role: input.role,
        custom: Some(custom),
        language: input.language,
        invisible: input.invisible,
        teams: input.teams,
        teams_role: input.teams_role.into_iter().collect(),
        privacy_settings: input.privacy_settings.map(|settings| v1::PrivacySettings {
            typing_indicators: setting(settings.typing_indicators),
            read_receipts: setting(settings.read_receipts),
            delivery_receipts: setting(settings.delivery_receipts),
        }),
        push_notifications: input.push_notifications.map(push).transpose()?,
        expected_version: input.expected_version,
    })
}

fn push(settings: Push) -> Result<v1::PushNotifications, String> {
    let parse = |text: String| {
        let at = Timestamp::parse(&text);
        let at = at.ok_or_else(|| "disabled_until must be a time such as 2030-01-01T00:00:00Z".to_owned())?;
        Ok::<_, String>(prost_types::Timestamp { seconds: at.seconds(), nanos: at.nanos() })
    };
    let disabled_until = settings.disabled_until.map(parse).transpose()?;
    Ok(v1::PushNotifications { disabled: settings.disabled, disabled_until })
}

/// Reads `PATH=JSON` pairs, each path once.
pub(super) fn set(pairs: &[String]) -> Result<prost_types::Struct, Failure> {
    let mut members = Map::new();
    for pair in pairs {
        let (path, text) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--set {pair} must be PATH=JSON, such as --set address.city='\"Paris\"'"))
        })?;
        let value = serde_json::from_str(text).map_err(|err| {
            let hint = "text stands in double quotes, as in --set name='\"Ada\"'";
            Failure::usage(format!("--set {path}: the value is not JSON ({err}); {hint}"))
        })?;
        if members.insert(path.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("--set {path} is given twice")));
        }
    }
    json::struct_of("--set", members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::users::view;

    #[test]
    fn an_array_and_lines_are_the_same() {
        let array = users(r#" [{"id": "a"}, {"id": "b", "custom": {"n": 1}}]"#).unwrap();
        assert_eq!(array, users("{\"id\": \"a\"}\n\n{\"id\": \"b\", \"custom\": {\"n\": 1}}\n").unwrap());
        assert_eq!(users("").unwrap(), []);
    }

    #[test]
    fn what_was_read_can_be_written_back() {
        let full = r#"{"id": "ada", "name": "Ada", "image": "i", "role": "admin", "custom": {"a": [1, null]},
            "language": "en", "invisible": true, "teams": ["red"], "teams_role": {"red": "user"},
            "privacy_settings": {"read_receipts": {"enabled": false}},
            "push_notifications": {"disabled": true, "disabled_until": "2030-01-01T00:00:00.5Z"}}"#;
        let input = users(full).unwrap().remove(0);
        let stored = v1::User {
            id: input.id.clone(),
            name: input.name.clone(),
            image: input.image.clone(),
            role: input.role.clone(),
            custom: input.custom.clone(),
            language: input.language.clone(),
            invisible: input.invisible,
            teams: input.teams.clone(),
            teams_role: input.teams_role.clone(),
            privacy_settings: input.privacy_settings,
            push_notifications: input.push_notifications,
            created_at: Some(prost_types::Timestamp::default()),
            version: 7,
            online: true,
            ..Default::default()
        };
        assert_eq!(users(&view::json(&stored).to_string()).unwrap(), [input]);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_number_of_the_user() {
        let cases = [
            ("[{\"id\": \"a\"}, {\"id\": 5}]", "user 2: invalid type"),
            ("{\"name\": \"a\"}", "user 1: missing field `id`"),
            ("{\"id\": \"a\", \"color\": 1}", "free data belongs into `custom`"),
            ("{\"id\": \"a\", \"custom\": {\"n\": 9007199254740993}}", "write it as a string"),
            ("{\"id\": \"a\"", "the users are not JSON"),
            ("5", "user 1: invalid type"),
        ];
        for (text, told) in cases {
            let failure = users(text).unwrap_err().to_string();
            assert!(failure.contains(told), "{text}: {failure}");
        }
    }

    #[test]
    fn pairs_are_paths_and_json() {
        let pairs = |pairs: &[&str]| set(&pairs.iter().map(ToString::to_string).collect::<Vec<_>>());
        let read = json::of_struct(pairs(&["a.b=1", "c=\"x=y\"", "d=null"]).unwrap());
        assert_eq!(read.to_string(), r#"{"a.b":1,"c":"x=y","d":null}"#);
        for (wrong, told) in [("a", "PATH=JSON"), ("name=Ada", "double quotes"), ("a=", "not JSON")] {
            assert!(pairs(&[wrong]).unwrap_err().to_string().contains(told), "{wrong}");
        }
        assert!(pairs(&["a=1", "a=2"]).is_err());
    }
}
