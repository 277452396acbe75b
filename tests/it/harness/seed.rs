//! What tests begin with: users, and free data.

use prost_types::value::Kind as Wire;
use prost_types::{FieldMask, ListValue, Struct, Value as WireValue};
use serde_json::Value;

use super::{Answer, Caller, pb};

/// A user with nothing but an id.
pub(crate) fn user(id: &str) -> pb::UserInput {
    pb::UserInput { id: id.to_owned(), ..pb::UserInput::default() }
}

/// `prefix-0000` and on, which sort as they are counted.
pub(crate) fn user_ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number:05}")).collect()
}

/// JSON as the API carries it. Panics unless `json` is an object.
pub(crate) fn struct_of(json: Value) -> Struct {
    match wire(json).kind {
        Some(Wire::StructValue(object)) => object,
        other => panic!("an object, not {other:?}"),
    }
}

fn wire(json: Value) -> WireValue {
    let kind = match json {
        Value::Null => Wire::NullValue(0),
        Value::Bool(value) => Wire::BoolValue(value),
        Value::Number(value) => Wire::NumberValue(value.as_f64().unwrap()),
        Value::String(value) => Wire::StringValue(value),
        Value::Array(values) => Wire::ListValue(ListValue { values: values.into_iter().map(wire).collect() }),
        Value::Object(members) => Wire::StructValue(Struct {
            fields: members.into_iter().map(|(name, value)| (name, wire(value))).collect(),
        }),
    };
    WireValue { kind: Some(kind) }
}

impl Caller {
    /// Stores these users.
    pub(crate) async fn upsert(&self, users: Vec<pb::UserInput>) -> Vec<pb::User> {
        self.users().upsert_users(pb::UpsertUsersRequest { users }).await.answered().users
    }

    /// Stores users with nothing but ids, any number.
    pub(crate) async fn seed(&self, ids: &[String]) {
        for some in ids.chunks(500) {
            self.upsert(some.iter().map(|id| user(id)).collect()).await;
        }
    }

    /// Reads one user that exists, deleted or not.
    pub(crate) async fn user(&self, id: &str) -> pb::User {
        let found = self.read(&[id.to_owned()]).await;
        found.into_iter().next().unwrap_or_else(|| panic!("there is no user {id}"))
    }

    /// Reads users that exist, any number, deleted ones too.
    pub(crate) async fn read(&self, ids: &[String]) -> Vec<pb::User> {
        let mut users = Vec::new();
        for some in ids.chunks(500) {
            let request = pb::GetUsersRequest { user_ids: some.to_vec(), include_deleted: true };
            users.extend(self.users().get_users(request).await.answered().users);
        }
        users
    }

    /// Deactivates one user.
    pub(crate) async fn deactivate(&self, id: &str) -> pb::User {
        let request = pb::DeactivateUserRequest { user_id: id.to_owned(), ..Default::default() };
        self.users().deactivate_user(request).await.answered().user.unwrap()
    }

    /// Begins to deactivate users.
    pub(crate) async fn deactivate_all(&self, ids: &[String]) -> pb::Task {
        let request = pb::DeactivateUsersRequest { user_ids: ids.to_vec(), ..Default::default() };
        self.users().deactivate_users(request).await.answered().task.unwrap()
    }

    /// Begins to reactivate users.
    pub(crate) async fn reactivate_all(&self, ids: &[String]) -> pb::Task {
        let request = pb::ReactivateUsersRequest { user_ids: ids.to_vec(), ..Default::default() };
        self.users().reactivate_users(request).await.answered().task.unwrap()
    }

    /// Reads a task.
    pub(crate) async fn task(&self, task_id: &str) -> pb::Task {
        let request = pb::GetTaskRequest { task_id: task_id.to_owned() };
        self.tasks().get_task(request).await.answered().task.unwrap()
    }

    /// Reads every item of a task, in order.
    pub(crate) async fn items(&self, task_id: &str) -> Vec<pb::TaskItem> {
        let mut items = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListTaskItemsRequest {
                task_id: task_id.to_owned(),
                limit: 1000,
                page_token,
                ..Default::default()
            };
            let page = self.tasks().list_task_items(request).await.answered();
            items.extend(page.items);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return items;
            }
        }
    }

    /// Changes settings of the app.
    pub(crate) async fn set_up(&self, settings: pb::AppSettings, fields: &[&str]) -> pb::AppSettings {
        let update_mask = Some(FieldMask { paths: fields.iter().map(ToString::to_string).collect() });
        let request = pb::UpdateAppRequest { settings: Some(settings), update_mask };
        self.apps().update_app(request).await.answered().app.unwrap().settings.unwrap()
    }

    /// Says among whom a name may stand once.
    pub(crate) async fn keep_names_unique(&self, among: pb::UniqueNames) {
        let settings = pb::AppSettings { unique_names: among.into(), ..Default::default() };
        self.set_up(settings, &["unique_names"]).await;
    }

    /// A token of a user that exists.
    pub(crate) async fn user_token(&self, id: &str) -> String {
        let request = pb::CreateUserTokenRequest { user_id: id.to_owned(), ..Default::default() };
        self.tokens().create_user_token(request).await.answered().token
    }
}
