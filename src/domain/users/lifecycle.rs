//! Deactivating and reactivating one user, before the answer.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::bulk_lifecycle::{to_items, to_params};
use super::presence::set_presence;
use super::upsert::with_blocks;
use super::{UserView, names};
use crate::domain::jobs::lifecycle::{MoveParams, kind_of};
use crate::domain::{Call, Domain, Error};
use crate::engine::{Engine, NewTask};
use crate::model::clock::{Deadline, Timestamp};
use crate::model::deletion::Marks;
use crate::model::history::Cause;
use crate::model::id::{AppId, UserId};
use crate::model::lifecycle::{Move, Refusal};
use crate::model::reason::Reason;
use crate::model::task::Task;
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::User;
use crate::storage::history::{self, NewEntry};
use crate::storage::lifecycle::{self, Deactivation};
use crate::storage::upsert::{self, Stored};
use crate::storage::{Tx, items};

/// How long a call waits for tasks that were accepted before it and have its user still to come.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A move of one user.
#[derive(Debug, Clone)]
pub struct MoveUser {
    /// Which move.
    pub how: Move,
    /// Whose.
    pub user: UserId,
    /// A new name, with a reactivation.
    pub name: Option<String>,
    /// The version the user must have.
    pub expected_version: Option<i64>,
    /// Content to be marked, or given back: as a task.
    pub marks: Marks,
    /// Who asks for it, and why.
    pub cause: Cause,
}

/// A user that has made a move.
#[derive(Debug)]
pub struct Moved {
    /// As it is now.
    pub view: UserView,
    /// What is done about its content.
    pub task: Option<Task>,
}

impl Domain {
    /// Makes the move, after every operation on the user that was accepted before.
    pub async fn move_user(&self, call: &Call, command: MoveUser) -> Result<Moved, Error> {
        let command = Arc::new(command);
        let patience = Deadline::after(PATIENCE.min(call.deadline.left()));
        loop {
            let (app, now, this) = (call.app(), self.now(), Arc::clone(&command));
            let engine = self.engine.clone();
            let moved = self
                .write(call.deadline, move |tx| {
                    let (command, engine) = (Arc::clone(&this), engine.clone());
                    async move { move_in_turn(&tx, &engine, app, &command, now).await }
                })
                .await?;
            if let Some(moved) = moved {
                self.standings.forget_users(app, [&command.user]);
                if let Some(task) = &moved.task {
                    self.engine.announce(task);
                }
                // Not whom: who is erased later must not be found in logs.
                tracing::info!(app.id = app.0, to = ?command.how, "moved a user");
                return Ok(moved);
            }
            if patience.left().is_zero() {
                return Err(Error::Conflict(
                    "a task accepted earlier has not come to this user yet; try again",
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// `None` where earlier work on the user is still to be done.
async fn move_in_turn(
    tx: &Tx,
    engine: &Engine,
    app: AppId,
    command: &MoveUser,
    now: Timestamp,
) -> Result<Option<Moved>, Error> {
    let id = &command.user;
    let mut stored = upsert::lock_users(tx, app, [id.as_str()]).await?;
    if items::has_pending_work(tx, app, id.as_str()).await? {
        return Ok(None);
    }
    let stored = stored.remove(id.as_str()).ok_or_else(|| Error::state("user_id", Reason::UserNotFound))?;
    check(command, &stored.user)?;

    let new = of_content(app, command, stored.marks.deactivated_by.as_deref())?;
    let moved = Stored { user: moved(&stored.user, command, now).into(), marks: stored.marks };
    let renaming = Renaming::of(Some(&stored.user), &moved.user);
    if !names::taken(tx, app, Manner::Together, &[renaming]).await?.is_empty() {
        return Err(Error::state("name", Reason::NameTaken));
    }
    let task = new.as_ref().map(|new| new.id.to_string());
    let by = task.as_deref().filter(|_| command.how == Move::Deactivate);
    if command.name.is_some() {
        upsert::upsert_users(tx, app, std::slice::from_ref(&moved)).await?;
        lifecycle::update_deactivated_by(tx, app, id, by).await?;
    } else {
        let User { deactivated_at: at, deactivation: cause, .. } = &*moved.user;
        let deactivation = Deactivation { at: *at, cause: cause.clone(), task: by };
        lifecycle::update_deactivated(tx, app, &[id.as_str()], deactivation, now).await?;
    }
    let kind = command.how.history();
    let entry = NewEntry { kind, at: now, cause: &command.cause, task: task.as_deref() };
    history::append(tx, app, &[id.as_str()], &entry).await?;
    let mut views = with_blocks(tx, app, vec![Arc::unwrap_or_clone(moved.user)]).await?;
    set_presence(tx, app, &mut views, now).await?;
    let task = match new {
        Some(new) => Some(engine.enqueue(tx, &new).await?),
        None => None,
    };
    Ok(views.pop().map(|view| Moved { view, task }))
}

/// The task that marks content, or undoes the marks that the task `marked_by` put; `None` where there is
/// nothing to do.
fn of_content(app: AppId, command: &MoveUser, marked_by: Option<&str>) -> Result<Option<NewTask>, Error> {
    let moved = match command.how {
        Move::Deactivate => Some(String::new()),
        Move::Reactivate => marked_by.map(str::to_owned),
    };
    let Some(moved) = moved.filter(|_| command.marks.any()) else { return Ok(None) };
    Ok(Some(NewTask {
        due_at: None,
        id: Uuid::now_v7(),
        app,
        kind: kind_of(command.how),
        phase: "users",
        params: to_params(&MoveParams { marks: command.marks, moved: Some(moved) })?,
        items: to_items(vec![command.user.as_str().to_owned()]),
        created_by_id: command.cause.by_id.clone().unwrap_or_default(),
        reason: command.cause.reason.clone().unwrap_or_default(),
        request: None,
    }))
}

fn check(command: &MoveUser, user: &User) -> Result<(), Error> {
    if command.expected_version.is_some_and(|expected| expected != user.version) {
        return Err(Error::state("expected_version", Reason::VersionMismatch));
    }
    command.how.check(user.deleted_at.is_some(), user.deactivated_at.is_some()).map_err(|refusal| {
        let reason = match (refusal, command.how) {
            (Refusal::Deleted, _) => Reason::UserDeleted,
            (Refusal::Unchanged, Move::Deactivate) => Reason::UserDeactivated,
            (Refusal::Unchanged, Move::Reactivate) => Reason::UserNotDeactivated,
        };
        Error::state("user_id", reason)
    })
}

fn moved(user: &User, command: &MoveUser, now: Timestamp) -> User {
    let mut moved = user.clone();
    moved.deactivated_at = command.how.deactivated_at(now);
    moved.deactivation = command.how.deactivation(&command.cause);
    moved.updated_at = now.max(user.updated_at);
    moved.version += 1;
    if command.name.is_some() {
        moved.profile.name.clone_from(&command.name);
    }
    moved
}
