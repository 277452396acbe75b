//! Kinds `deactivate_users` and `reactivate_users`: one state change per item, and the marks on content that
//! go with it.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::restoration::{is_hidden_by_one_of, list_later, names_taken};
use super::walk::{self, Verdict, Walk};
use crate::engine::{Batch, Fault, Step, TaskKind};
use crate::model::clock::Timestamp;
use crate::model::deletion::{Marks, Stage};
use crate::model::lifecycle::{Move, Refusal};
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::model::user::User;
use crate::storage::history::{self, NewEntry};
use crate::storage::lifecycle::{self, Deactivation, State};
use crate::storage::{StoreError, Tx};

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
        stored: &HashMap<String, State>,
        now: Timestamp,
    ) -> Result<Vec<Verdict>, Fault> {
        if params_of(task)?.moved.is_some() {
            return Ok(vec![Verdict::Go; items.len()]);
        }
        let later = list_later(tx, task, stored.values()).await?;
        let judge = |item: &Item| {
            let state = stored.get(&item.user_id);
            let waiting = later.get(&item.user_id).map(Vec::as_slice).unwrap_or_default();
            self.judge_one(state, state.is_some_and(|state| is_hidden_by_one_of(state, waiting)))
        };
        let mut verdicts: Vec<Verdict> = items.iter().map(judge).collect();
        let moving = items.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Go);
        let back = |user| User { deactivated_at: self.0.deactivated_at(now), ..user };
        let taken = names_taken(tx, task, moving.map(|(item, _)| item), back).await?;
        for (item, verdict) in items.iter().zip(&mut verdicts) {
            if taken.contains(&item.index) {
                *verdict = Verdict::Over(Outcome::Failed, Some(Reason::NameTaken));
            }
        }
        Ok(verdicts)
    }

    async fn begin(&self, tx: &Tx, task: &Task, users: &[&State], now: Timestamp) -> Result<u64, Fault> {
        let params = params_of(task)?;
        if params.moved.is_some() {
            return Ok(0);
        }
        let ids: Vec<&str> = users.iter().map(|state| state.id.as_str()).collect();
        let (id, cause) = (task.id.to_string(), task.cause());
        let deactivation = Deactivation {
            at: self.0.deactivated_at(now),
            cause: self.0.deactivation(&cause),
            task: (self.0 == Move::Deactivate && params.marks.any()).then_some(&id),
        };
        let rows = lifecycle::update_deactivated(tx, task.app, &ids, deactivation, now).await?;
        let entry = NewEntry { kind: self.0.history(), at: now, cause: &cause, task: Some(&id) };
        history::append(tx, task.app, &ids, &entry).await?;
        Ok(rows)
    }

    fn stages(&self, task: &Task) -> Result<Vec<Stage>, StoreError> {
        let marks = params_of(task)?.marks;
        Ok(match self.0 {
            Move::Deactivate => marks.put(),
            Move::Reactivate => marks.undone(),
        })
    }

    fn marks(&self, task: &Task, user: &State) -> Option<String> {
        let moved = params_of(task).ok().and_then(|params| params.moved);
        match self.0 {
            Move::Deactivate => Some(task.id.to_string()),
            Move::Reactivate => moved.or_else(|| user.deactivated_by.clone()),
        }
    }
}

impl MoveUsers {
    /// What is to become of a user in this state, and whether a deletion that is still to come hides it: then
    /// it is not deleted yet.
    fn judge_one(&self, state: Option<&State>, is_hidden: bool) -> Verdict {
        let Some(state) = state else {
            return Verdict::Over(Outcome::Failed, Some(Reason::UserNotFound));
        };
        match self.0.check(state.deleted_at.is_some() && !is_hidden, state.deactivated_at.is_some()) {
            Ok(()) => Verdict::Go,
            Err(Refusal::Unchanged) => Verdict::Over(Outcome::Unchanged, None),
            Err(Refusal::Deleted) => Verdict::Over(Outcome::Failed, Some(Reason::UserDeleted)),
        }
    }
}
