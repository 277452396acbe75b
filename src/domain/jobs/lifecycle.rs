//! Kinds `deactivate_users` and `reactivate_users`: one state change per item, and the marks on content that
//! go with it.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::restoration::{is_hidden_by_one_of, list_later};
use super::walk::{self, Verdict, Walk};
use crate::domain::users::names;
use crate::engine::{Batch, Fault, Step, TaskKind};
use crate::model::clock::Timestamp;
use crate::model::deletion::{Marks, Stage};
use crate::model::id::UserId;
use crate::model::lifecycle::{Move, Refusal};
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::User;
use crate::storage::upsert::Stored;
use crate::storage::{StoreError, Tx, lifecycle};

/// Makes one move of every user of a task.
#[derive(Debug)]
pub struct MoveUsers(pub Move);

/// What a task is to do beside its move.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveParams {
    /// Marks to put, or to undo.
    pub marks: Marks,
    /// The user has made the move already: the call that made the task did so. With a reactivation, whose
    /// marks are to be undone.
    pub moved: Option<String>,
}

/// The kind that makes `how`.
pub const fn kind_of(how: Move) -> &'static str {
    match how {
        Move::Deactivate => "deactivate_users",
        Move::Reactivate => "reactivate_users",
    }
}

fn params_of(task: &Task) -> Result<MoveParams, StoreError> {
    // Tasks of earlier versions have none.
    let params: Option<MoveParams> =
        serde_json::from_value(task.params.clone()).map_err(|_| StoreError::corrupt("tasks.params"))?;
    Ok(params.unwrap_or_default())
}

#[async_trait]
impl TaskKind for MoveUsers {
    fn name(&self) -> &'static str {
        kind_of(self.0)
    }

    async fn step(&self, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault> {
        walk::step(self, tx, batch).await
    }

    fn is_within_item(&self, task: &Task) -> bool {
        walk::is_within_item(task)
    }
}

#[async_trait]
impl Walk for MoveUsers {
    async fn judge(
        &self,
        tx: &Tx,
        task: &Task,
        items: &[Item],
        stored: &HashMap<String, Stored>,
        now: Timestamp,
    ) -> Result<Vec<Verdict>, Fault> {
        if params_of(task)?.moved.is_some() {
            return Ok(vec![Verdict::Go; items.len()]);
        }
        let as_they_stand = self.as_they_stand(tx, task, stored).await?;
        let taken = self.names_taken(tx, task, items, &as_they_stand, now).await?;
        let judge = |item: &Item| match self.judge_one(as_they_stand.get(item.user_id.as_str())) {
            Verdict::Go if taken.contains(&item.index) => {
                Verdict::Over(Outcome::Failed, Some(Reason::NameTaken))
            }
            verdict => verdict,
        };
        Ok(items.iter().map(judge).collect())
    }

    async fn begin(&self, tx: &Tx, task: &Task, users: &[&Stored], now: Timestamp) -> Result<u64, Fault> {
        let params = params_of(task)?;
        if params.moved.is_some() {
            return Ok(0);
        }
        let ids: Vec<UserId> = users.iter().map(|stored| stored.user.id().clone()).collect();
        let by = (self.0 == Move::Deactivate && params.marks.any()).then(|| task.id.to_string());
        let at = self.0.deactivated_at(now);
        Ok(lifecycle::update_deactivated(tx, task.app, &ids, at, by.as_deref(), now).await?)
    }

    fn stages(&self, task: &Task) -> Result<Vec<Stage>, StoreError> {
        let marks = params_of(task)?.marks;
        Ok(match self.0 {
            Move::Deactivate => marks.put(),
            Move::Reactivate => marks.undone(),
        })
    }

    fn marks(&self, task: &Task, user: &Stored) -> Option<String> {
        let moved = params_of(task).ok().and_then(|params| params.moved);
        match self.0 {
            Move::Deactivate => Some(task.id.to_string()),
            Move::Reactivate => moved.or_else(|| user.marks.deactivated_by.clone()),
        }
    }
}

impl MoveUsers {
    /// Users as earlier operations left them: those whom a deletion hides that is still to come are not
    /// deleted yet.
    async fn as_they_stand<'a>(
        &self,
        tx: &Tx,
        task: &Task,
        stored: &'a HashMap<String, Stored>,
    ) -> Result<HashMap<&'a str, User>, StoreError> {
        let later = list_later(tx, task, stored.values()).await?;
        let stands = |(id, stored): (&'a String, &'a Stored)| {
            let mut user = stored.user.clone();
            if later.get(id).is_some_and(|waiting| is_hidden_by_one_of(stored, waiting)) {
                user.deleted_at = None;
            }
            (id.as_str(), user)
        };
        Ok(stored.iter().map(stands).collect())
    }

    /// Items, by their index, of users who would come back to a name that is taken.
    async fn names_taken(
        &self,
        tx: &Tx,
        task: &Task,
        items: &[Item],
        users: &HashMap<&str, User>,
        now: Timestamp,
    ) -> Result<HashSet<i32>, Fault> {
        let moving = items.iter().filter_map(|item| {
            let user = users.get(item.user_id.as_str())?;
            self.0.check(user).ok()?;
            let moved = User { deactivated_at: self.0.deactivated_at(now), ..user.clone() };
            Some((item.index, Renaming::of(Some(user), &moved)))
        });
        let (indexes, renamings): (Vec<i32>, Vec<Renaming>) = moving.unzip();
        let taken = names::taken(tx, task.app, Manner::InTurn, &renamings).await?;
        Ok(taken.into_iter().filter_map(|at| indexes.get(at).copied()).collect())
    }

    fn judge_one(&self, user: Option<&User>) -> Verdict {
        let Some(user) = user else {
            return Verdict::Over(Outcome::Failed, Some(Reason::UserNotFound));
        };
        match self.0.check(user) {
            Ok(()) => Verdict::Go,
            Err(Refusal::Unchanged) => Verdict::Over(Outcome::Unchanged, None),
            Err(Refusal::Deleted) => Verdict::Over(Outcome::Failed, Some(Reason::UserDeleted)),
        }
    }
}
