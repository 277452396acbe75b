//! Deactivating and reactivating many users, as a task.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::erased;
use crate::domain::jobs::lifecycle::{MoveParams, kind_of};
use crate::domain::{Call, Domain, Error};
use crate::engine::NewTask;
use crate::model::deletion::Marks;
use crate::model::id::UserId;
use crate::model::lifecycle::Move;
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::storage::queue::RequestMark;
use crate::storage::{StoreError, tasks};

/// Characters kept of an unfit id.
const MAX_KEPT: usize = 255;

/// A move of many users.
#[derive(Debug, Clone)]
pub struct MoveUsers {
    /// Which move.
    pub how: Move,
    /// As the caller wrote them.
    pub user_ids: Vec<String>,
    /// Who asks for it.
    pub created_by_id: String,
    /// Why.
    pub reason: String,
    /// Content to be marked, or given back.
    pub marks: Marks,
    /// The caller's name for the request.
    pub request_id: Option<String>,
}

impl Domain {
    /// Accepts the move as a task; a repeat of the same request returns the same task.
    pub async fn move_users(&self, call: &Call, command: MoveUsers) -> Result<Task, Error> {
        let kind = kind_of(command.how);
        let params = to_params(&MoveParams { marks: command.marks, moved: None })?;
        let marks = params.to_string();
        let body = [command.created_by_id.as_bytes(), command.reason.as_bytes()];
        // As earlier versions had it, where there is nothing that they did not know of.
        let body = body.into_iter().chain(command.marks.any().then_some(marks.as_bytes()));
        let ids = command.user_ids.iter().map(String::as_bytes);
        let hash = self.vault.hash(std::iter::once(kind.as_bytes()).chain(body).chain(ids));
        let new = NewTask {
            due_at: None,
            id: Uuid::now_v7(),
            app: call.app(),
            kind,
            phase: "users",
            params,
            items: to_items(command.user_ids),
            created_by_id: command.created_by_id,
            reason: command.reason,
            request: command.request_id.map(|id| RequestMark { id, hash: hash.to_vec() }),
        };
        self.accept(call, new).await
    }

    /// Stores a task with its items, once per request.
    pub(super) async fn accept(&self, call: &Call, new: NewTask) -> Result<Task, Error> {
        if let Some(task) = self.repeated(call, &new).await? {
            return Ok(task);
        }
        let (engine, new) = (self.engine.clone(), Arc::new(new));
        let shared = Arc::clone(&new);
        let accepted = self
            .write(call.deadline, move |tx| {
                let (engine, new) = (engine.clone(), Arc::clone(&shared));
                async move { Ok(engine.enqueue(&tx, &new).await?) }
            })
            .await;
        self.accepted(call, &new, accepted).await
    }

    /// Tells of a task that was stored; or finds the one that the same request made meanwhile.
    pub(super) async fn accepted(
        &self,
        call: &Call,
        new: &NewTask,
        accepted: Result<Task, Error>,
    ) -> Result<Task, Error> {
        match accepted {
            Ok(task) => {
                self.engine.announce(&task);
                Ok(task)
            }
            // The same request was faster on another connection.
            Err(Error::Store(StoreError::Unique)) => {
                let task = self.repeated(call, new).await?;
                task.ok_or(Error::Conflict("the same request is under way; try again"))
            }
            Err(err) => Err(err),
        }
    }

    /// The task that the same request made before, whose name may have been kept without the ids of those whom it
    /// has erased.
    pub(super) async fn repeated(&self, call: &Call, new: &NewTask) -> Result<Option<Task>, Error> {
        let Some(request) = &new.request else { return Ok(None) };
        let db = self.read(call.deadline).await?;
        let users = new.items.iter().map(|item| item.user_id.as_str());
        let without_erased = erased::replace_ids(&self.vault, call.app(), &request.id, users);
        let ids: Vec<&str> =
            std::iter::once(&request.id).chain(&without_erased).map(String::as_str).collect();
        let mut found = tasks::list_by_request(&db, call.app(), &ids).await?;
        match found.iter().position(|(_, hash)| hash.as_ref() == Some(&request.hash)) {
            Some(at) => Ok(Some(found.swap_remove(at).0)),
            None if found.is_empty() => Ok(None),
            None => Err(Error::RequestIdReused),
        }
    }
}

/// What a task is told of its move; nothing where there is nothing to tell.
pub(super) fn to_params(params: &MoveParams) -> Result<Value, StoreError> {
    if !params.marks.any() {
        return Ok(Value::Null);
    }
    serde_json::to_value(params).map_err(|err| StoreError::Internal(err.to_string()))
}

/// One item per id, duplicates dropped; ids that nobody can have are over from the start.
pub(super) fn to_items(ids: Vec<String>) -> Vec<Item> {
    let mut seen = std::collections::HashSet::new();
    ids.into_iter()
        .filter(|id| seen.insert(id.clone()))
        .zip(0..)
        .map(|(id, index)| match UserId::parse(id.as_str()) {
            Ok(id) => Item { index, user_id: id.into(), outcome: Outcome::Pending, reason: None },
            Err(_) => Item {
                index,
                user_id: recognisable(&id),
                outcome: Outcome::Failed,
                reason: Some(Reason::InvalidField.as_str().to_owned()),
            },
        })
        .collect()
}

/// What of an unfit id is kept, so that its item can be told: no more than an id's length, nothing that a
/// database cannot hold.
fn recognisable(id: &str) -> String {
    id.chars().take(MAX_KEPT).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
