//! Users as they are shown: as JSON with the field names of the API, as rows, as lines.

use serde_json::{Value, json};

use crate::cli::{json as pb_json, text};
use crate::proto::v1;

/// A user, as `usher users upsert` takes it.
pub(super) fn json(user: &v1::User) -> Value {
    Value::Object(fields(user).into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What says something of a user, in the order of the API.
fn fields(user: &v1::User) -> Vec<(&'static str, Value)> {
    let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    let flag = |flag: bool| flag.then_some(Value::Bool(true));
    let list = |list: &[String]| (!list.is_empty()).then(|| Value::from(list.to_vec()));
    let time = |at| pb_json::time(at).map(Value::from);
    let teams_role = (!user.teams_role.is_empty()).then(|| json!(user.teams_role));
    let fields = vec![
        ("id", text(&user.id)),
        ("name", text(&user.name)),
        ("image", text(&user.image)),
        ("role", text(&user.role)),
        ("custom", user.custom.clone().map(pb_json::of_struct)),
        ("language", text(&user.language)),
        ("invisible", flag(user.invisible)),
        ("teams", list(&user.teams)),
        ("teams_role", teams_role),
        ("privacy_settings", user.privacy_settings.map(privacy)),
        ("push_notifications", user.push_notifications.as_ref().map(push)),
        ("created_at", time(user.created_at)),
        ("updated_at", time(user.updated_at)),
        ("last_active", time(user.last_active)),
        ("online", flag(user.online)),
        ("deactivated_at", time(user.deactivated_at)),
        ("deactivated_by_id", text(&user.deactivated_by_id)),
        ("deactivation_reason", text(&user.deactivation_reason)),
        ("deleted_at", time(user.deleted_at)),
        ("blocked_user_ids", list(&user.blocked_user_ids)),
        ("revoke_tokens_issued_before", time(user.revoke_tokens_issued_before)),
        ("avg_response_time", user.avg_response_time.map(Value::from)),
        ("version", Some(user.version.into())),
    ];
    said(fields)
}

fn privacy(settings: v1::PrivacySettings) -> Value {
    let setting =
        |setting: Option<v1::PrivacySetting>| setting.map(|setting| json!({"enabled": setting.enabled}));
    let settings = said(vec![
        ("typing_indicators", setting(settings.typing_indicators)),
        ("read_receipts", setting(settings.read_receipts)),
        ("delivery_receipts", setting(settings.delivery_receipts)),
    ]);
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn push(settings: &v1::PushNotifications) -> Value {
    match pb_json::time(settings.disabled_until) {
        Some(until) => json!({"disabled": settings.disabled, "disabled_until": until}),
        None => json!({"disabled": settings.disabled}),
    }
}

fn said(fields: Vec<(&'static str, Option<Value>)>) -> Vec<(&'static str, Value)> {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A header and a row for each user; widths hold from page to page as far as they can.
pub(super) fn table(users: &[v1::User]) -> Vec<String> {
    let header =
        ["ID                      ", "ROLE     ", "STATE      ", "UPDATED                    ", "NAME"];
    text::table(&header, &users.iter().map(row).collect::<Vec<_>>())
}

fn row(user: &v1::User) -> Vec<String> {
    let state = match user {
        v1::User { deleted_at: Some(_), .. } => "deleted",
        v1::User { deactivated_at: Some(_), .. } => "deactivated",
        _ => "active",
    };
    let updated = pb_json::time(user.updated_at).unwrap_or_default();
    // A line break in a name must not look like another user.
    vec![user.id.clone(), user.role.clone(), state.to_owned(), updated, user.name.replace('\n', " ")]
}

/// A line for each field that says something.
pub(super) fn describe(user: &v1::User) -> Vec<String> {
    let line = |(name, value): (&str, Value)| match value {
        Value::String(text) => format!("{name}: {}", text.replace('\n', " ")),
        value => format!("{name}: {value}"),
    };
    fields(user).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_break_is_one_row() {
        let user = v1::User { id: "ada".to_owned(), name: "a\nb".to_owned(), ..Default::default() };
        assert_eq!(table(std::slice::from_ref(&user)).len(), 2);
        assert!(
            table(std::slice::from_ref(&user))
                .iter()
                .chain(&describe(&user))
                .all(|line| !line.contains('\n'))
        );
    }

    #[test]
    fn a_user_is_described_by_what_says_something() {
        let user =
            v1::User { id: "ada".to_owned(), role: "user".to_owned(), version: 3, ..Default::default() };
        assert_eq!(describe(&user), ["id: ada", "role: user", "version: 3"]);
    }

    #[test]
    fn columns_keep_their_width_from_page_to_page() {
        let user = |id: &str| v1::User { id: id.to_owned(), name: "N".to_owned(), ..Default::default() };
        let (one, other) = (table(&[user("a")]), table(&[user("abc")]));
        assert_eq!(one[1].find('N'), other[1].find('N'));
    }
}
