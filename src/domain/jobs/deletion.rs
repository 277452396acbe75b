//! Kind `delete_users`.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::walk::{self, Verdict, Walk};
use crate::domain::export::objects;
use crate::domain::users::erased;
use crate::domain::vault::Vault;
use crate::engine::{Batch, Fault, Prepared, Step, TaskKind};
use crate::model::archive::ArchiveObject;
use crate::model::clock::{Clock, Timestamp};
use crate::model::deletion::{Archives, DeletePlan, Mode, Shared, Stage};
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::storage::deletion::{self, Deletion, StandIns};
use crate::storage::lifecycle::State;
use crate::storage::object_store::ObjectStore;
use crate::storage::objects::{self as rows, Doomed};
use crate::storage::{Store, StoreError, Tx};

/// Its name.
pub const KIND: &str = "delete_users";

/// Where it is noted in the parameters of a task, beside the plan.
const UNDISTURBED_AT: &str = "undisturbed_at";

/// Deletes the users of a task, who are hidden already.
pub struct DeleteUsers {
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where archives lie that are removed with their users.
    pub(super) objects: Option<ObjectStore>,
}

/// What a task is to do.
pub fn plan_of(params: &Value) -> Result<DeletePlan, StoreError> {
    serde_json::from_value(params.clone()).map_err(|_| StoreError::corrupt("tasks.params"))
}

/// What becomes of the users themselves. A plan that cannot be read stops its own task; others pass it by.
pub(super) fn mode_of(params: &Value) -> Mode {
    plan_of(params).map_or(Mode::Soft, |plan| plan.user)
}

/// Notes in `params` that a task accepted at this place in the queue has hidden all its users, and has them to
/// itself.
pub fn note_undisturbed(params: &mut Value, place: i64) {
    if let Some(params) = params.as_object_mut() {
        params.insert(UNDISTURBED_AT.to_owned(), place.into());
    }
}

/// Whether it has them to itself still: a task that is tried again takes another place, behind whatever was
/// accepted since.
fn is_undisturbed(task: &Task) -> bool {
    task.params.get(UNDISTURBED_AT).and_then(Value::as_i64) == Some(task.accepted_seq)
}

#[async_trait]
impl TaskKind for DeleteUsers {
    fn name(&self) -> &'static str {
        KIND
    }

    /// Deletes the objects of archives that the batch before doomed: the user is not erased while the object store
    /// has one.
    async fn prepare(&self, store: &Store, task: &Task, _: u64) -> Result<Prepared, Fault> {
        if plan_of(&task.params)?.user != Mode::Hard {
            return Ok(None);
        }
        let Some(user) = walk::user_of(task)? else { return Ok(None) };
        let doomed = Doomed::OfUser(task.app, &user);
        let gone = objects::clear(self.objects.as_ref(), store, &*self.clock, doomed).await?;
        Ok(Some(Arc::new(gone)))
    }

    async fn step(&self, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault> {
        if let Some(gone) = batch.prepared::<Vec<ArchiveObject>>() {
            rows::forget(tx, &gone).await?;
        }
        walk::step(self, tx, batch).await
    }

    fn is_within_item(&self, task: &Task) -> bool {
        walk::is_within_item(task)
    }

    async fn release(&self, tx: &Tx, task: &Task, now: Timestamp) -> Result<(), StoreError> {
        deletion::release(tx, task, mode_of, now).await?;
        deletion::delete_targets(tx, task).await
    }
}

#[async_trait]
impl Walk for DeleteUsers {
    fn locks(&self) -> bool {
        // They are hidden: nobody else changes them.
        false
    }

    async fn judge(
        &self,
        _: &Tx,
        task: &Task,
        items: &[Item],
        stored: &HashMap<String, State>,
        _: Timestamp,
    ) -> Result<Vec<Verdict>, Fault> {
        let (plan, id) = (plan_of(&task.params)?, task.id.to_string());
        let judge = |item: &Item| match stored.get(&item.user_id) {
            None => Verdict::Over(Outcome::Failed, Some(Reason::UserNotFound)),
            Some(state) if is_to_go(state, &id, plan.user) => Verdict::Go,
            Some(_) => Verdict::Over(Outcome::Unchanged, None),
        };
        Ok(items.iter().map(judge).collect())
    }

    async fn begin(&self, tx: &Tx, task: &Task, users: &[&State], now: Timestamp) -> Result<u64, Fault> {
        let id = task.id.to_string();
        let others: Vec<String> = users
            .iter()
            .filter(|state| state.deleted_by.as_ref() != Some(&id))
            .map(|state| state.id.clone())
            .collect();
        if !others.is_empty() {
            let mode = plan_of(&task.params)?.user;
            let deletion = Deletion { task: id, mode, cause: task.cause() };
            deletion::delete_deeper(tx, task.app, &others, &deletion, now).await?;
        }
        Ok(users.len() as u64)
    }

    fn stages(&self, task: &Task) -> Result<Vec<Stage>, StoreError> {
        Ok(plan_of(&task.params)?.stages())
    }

    fn plan(&self, task: &Task) -> Result<Option<DeletePlan>, StoreError> {
        plan_of(&task.params).map(Some)
    }

    async fn end_idle(&self, tx: &Tx, task: &Task, stages: &[Stage], limit: u64) -> Result<u64, StoreError> {
        match plan_of(&task.params)?.user {
            // Hidden is all that they are to be.
            Mode::Soft => deletion::end_idle(tx, task, stages, is_undisturbed(task), limit).await,
            _ => Ok(0),
        }
    }

    fn marks(&self, task: &Task, _: &State) -> Option<String> {
        Some(task.id.to_string())
    }

    async fn stand_ins(&self, tx: &Tx, task: &Task, user: &str) -> Result<StandIns, StoreError> {
        let plan = plan_of(&task.params)?;
        if plan.user != Mode::Hard {
            return Ok(StandIns::default());
        }
        let id = task.id.to_string();
        let system = erased::system_id(&self.vault, task.app, user);
        let heir = async |shared| {
            let heir = deletion::find_heir(tx, task.app, &id, shared).await?;
            Ok::<_, StoreError>(heir.unwrap_or_else(|| system.clone()))
        };
        Ok(StandIns {
            channel_owner: heir(Shared::Channels).await?,
            call_owner: heir(Shared::Calls).await?,
            pseudonym: erased::pseudonym(&self.vault, task.app, user),
            ledger: erased::ledger_hash(&self.vault, task.app, user),
            keeps_authors: plan.activities != Mode::Hard,
            keeps_archives: plan.archives == Archives::AtExpiry,
            system,
        })
    }
}

/// Whether there is anything to do for a user: it is hidden for this task, or was not deleted as far.
fn is_to_go(state: &State, task: &str, mode: Mode) -> bool {
    let done = if state.pruned { Mode::Pruning } else { Mode::Soft };
    let is_hidden = state.deleted_by.as_deref() == Some(task);
    is_hidden || state.deleted_at.is_none() || mode > done
}
