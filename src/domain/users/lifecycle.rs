//! Deactivating and reactivating one user, before the answer.

use std::sync::Arc;
use std::time::Duration;

use super::presence::set_presence;
use super::upsert::with_blocks;
use super::{UserView, names};
use crate::domain::{Call, Domain, Error};
use crate::model::clock::{Deadline, Timestamp};
use crate::model::id::{AppId, UserId};
use crate::model::lifecycle::{Move, Refusal};
use crate::model::reason::Reason;
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::User;
use crate::storage::upsert::Stored;
use crate::storage::{Tx, items, lifecycle, upsert};

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
    /// Who asks for it, and why: for the log.
    pub created_by_id: String,
    /// See `created_by_id`.
    pub reason: String,
}

impl Domain {
    /// Makes the move, after every operation on the user that was accepted before.
    pub async fn move_user(&self, call: &Call, command: MoveUser) -> Result<UserView, Error> {
        let command = Arc::new(command);
        let patience = Deadline::after(PATIENCE.min(call.deadline.left()));
        loop {
            let (app, now, this) = (call.app(), self.now(), Arc::clone(&command));
            let moved = self
                .write(call.deadline, move |tx| {
                    let command = Arc::clone(&this);
                    async move { move_in_turn(&tx, app, &command, now).await }
                })
                .await?;
            if let Some(view) = moved {
                self.standings.forget_users(app, [&command.user]);
                tracing::info!(user.id = %command.user, to = ?command.how, by = %command.created_by_id.escape_debug(), "moved a user");
                return Ok(view);
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
    app: AppId,
    command: &MoveUser,
    now: Timestamp,
) -> Result<Option<UserView>, Error> {
    let id = &command.user;
    let mut stored = upsert::lock_users(tx, app, [id.as_str()]).await?;
    if items::has_pending_work(tx, app, id.as_str()).await? {
        return Ok(None);
    }
    let stored = stored.remove(id.as_str()).ok_or_else(|| Error::state("user_id", Reason::UserNotFound))?;
    check(command, &stored.user)?;

    let moved = Stored { user: moved(&stored.user, command, now), marks: stored.marks };
    let renaming = Renaming::of(Some(&stored.user), &moved.user);
    if !names::taken(tx, app, Manner::Together, &[renaming]).await?.is_empty() {
        return Err(Error::state("name", Reason::NameTaken));
    }
    if command.name.is_some() {
        upsert::upsert_users(tx, app, std::slice::from_ref(&moved)).await?;
    } else {
        let deactivated_at = command.how.deactivated_at(now);
        lifecycle::update_deactivated(tx, app, std::slice::from_ref(id), deactivated_at, now).await?;
    }
    let mut views = with_blocks(tx, app, vec![moved.user]).await?;
    set_presence(tx, app, &mut views, now).await?;
    Ok(views.pop())
}

fn check(command: &MoveUser, user: &User) -> Result<(), Error> {
    if command.expected_version.is_some_and(|expected| expected != user.version) {
        return Err(Error::state("expected_version", Reason::VersionMismatch));
    }
    command.how.check(user).map_err(|refusal| {
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
    moved.updated_at = now.max(user.updated_at);
    moved.version += 1;
    if command.name.is_some() {
        moved.profile.name.clone_from(&command.name);
    }
    moved
}
