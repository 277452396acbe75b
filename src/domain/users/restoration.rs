//! Restoring users who were deleted softly, as a task; see `domain::jobs::restoration`.

use serde_json::Value;
use uuid::Uuid;

use super::bulk_lifecycle::to_items;
use crate::domain::jobs::restoration::KIND;
use crate::domain::{Call, Domain, Error};
use crate::engine::NewTask;
use crate::model::task::Task;
use crate::storage::queue::RequestMark;

/// A restoration of many users.
#[derive(Debug, Clone)]
pub struct RestoreUsers {
    /// As the caller wrote them.
    pub user_ids: Vec<String>,
    /// Who asks for it.
    pub created_by_id: String,
    /// Why.
    pub reason: String,
    /// The caller's name for the request.
    pub request_id: Option<String>,
}

impl Domain {
    /// Accepts the restoration as a task; a repeat of the same request returns the same task.
    pub async fn restore_users(&self, call: &Call, command: RestoreUsers) -> Result<Task, Error> {
        let body = [KIND.as_bytes(), command.created_by_id.as_bytes(), command.reason.as_bytes()];
        let ids = command.user_ids.iter().map(String::as_bytes);
        let hash = self.vault.hash(body.into_iter().chain(ids));
        let new = NewTask {
            due_at: None,
            id: Uuid::now_v7(),
            app: call.app(),
            kind: KIND,
            phase: "users",
            params: Value::Null,
            items: to_items(command.user_ids),
            created_by_id: command.created_by_id,
            reason: command.reason,
            request: command.request_id.map(|id| RequestMark { id, hash: hash.to_vec() }),
        };
        self.accept(call, new).await
    }
}
