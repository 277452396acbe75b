//! Kind `restore_users`: undoes a soft deletion.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::deletion::{KIND as DELETE, mode_of};
use super::walk::{self, Verdict, Walk};
use crate::domain::users::names;
use crate::engine::{Batch, Fault, Step, TaskKind};
use crate::model::clock::Timestamp;
use crate::model::deletion::{DeletePlan, Stage};
use crate::model::history::HistoryKind;
use crate::model::reason::Reason;
use crate::model::settings::UniqueNames;
use crate::model::task::{Item, Outcome, Task};
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::User;
use crate::storage::deletion::{self, Later};
use crate::storage::history::NewEntry;
use crate::storage::lifecycle::State;
use crate::storage::upsert::lock_users;
use crate::storage::{StoreError, Tx, settings};

/// Its name.
pub const KIND: &str = "restore_users";

/// Restores the users of a task.
#[derive(Debug)]
pub struct RestoreUsers;

#[async_trait]
impl TaskKind for RestoreUsers {
    fn name(&self) -> &'static str {
        KIND
    }

    async fn step(&self, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault> {
        walk::step(self, tx, batch).await
    }

    fn is_within_item(&self, task: &Task) -> bool {
        walk::is_within_item(task)
    }
}

#[async_trait]
impl Walk for RestoreUsers {
    async fn judge(
        &self,
        tx: &Tx,
        task: &Task,
        items: &[Item],
        stored: &HashMap<String, State>,
        now: Timestamp,
    ) -> Result<Vec<Verdict>, Fault> {
        let later = list_later(tx, task, stored.values()).await?;
        let days = settings::get_settings(tx, task.app).await?.retention_days;
        let window = std::time::Duration::from_hours(24 * u64::from(days));
        let since = (days > 0).then(|| now.minus(window));
        let against = |item: &Item| {
            let Some(state) = stored.get(&item.user_id) else { return Some(Reason::UserNotFound) };
            let waiting = later.get(&item.user_id).map(Vec::as_slice).unwrap_or_default();
            match state.deleted_at.map(Timestamp::from_micros) {
                None => Some(Reason::UserNotDeleted),
                // In the order of operations that deletion is still to come.
                Some(_) if is_hidden_by_one_of(state, waiting) => Some(Reason::UserNotDeleted),
                Some(at) if state.pruned || since.is_some_and(|since| at < since) => {
                    Some(Reason::NotRestorable)
                }
                Some(_) => None,
            }
        };
        let reasons: Vec<Option<Reason>> = items.iter().map(against).collect();
        let returning = items.iter().zip(&reasons).filter(|(_, reason)| reason.is_none());
        let back = |user| User { deleted_at: None, ..user };
        let taken = names_taken(tx, task, returning.map(|(item, _)| item), back).await?;
        let judge = |(item, reason): (&Item, Option<Reason>)| match reason {
            Some(reason) => Verdict::Over(Outcome::Failed, Some(reason)),
            None if taken.contains(&item.index) => Verdict::Over(Outcome::Failed, Some(Reason::NameTaken)),
            None => Verdict::Go,
        };
        Ok(items.iter().zip(reasons).map(judge).collect())
    }

    async fn begin(&self, tx: &Tx, task: &Task, users: &[&State], now: Timestamp) -> Result<u64, Fault> {
        let later = list_later(tx, task, users.iter().copied()).await?;
        let mut groups: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
        for user in users {
            let next = later.get(&user.id).and_then(|waiting| waiting.first());
            groups.entry(next.map(|one| one.id.as_str())).or_default().push(user.id.clone());
        }
        let (id, cause) = (task.id.to_string(), task.cause());
        let entry = NewEntry { kind: HistoryKind::Restored, at: now, cause: &cause, task: Some(&id) };
        let mut rows = 0;
        for ids in groups.into_values() {
            // The same one for all of them.
            let next = ids.first().and_then(|id| later.get(id)?.first());
            let next = next.map(|one| one.deletion(mode_of(&one.params)));
            rows += deletion::restore(tx, task.app, &ids, &entry, next.as_ref()).await?;
        }
        Ok(rows)
    }

    fn stages(&self, _: &Task) -> Result<Vec<Stage>, StoreError> {
        Ok(DeletePlan::undone())
    }

    fn marks(&self, _: &Task, user: &State) -> Option<String> {
        user.deleted_by.clone()
    }
}

/// Deletions that are still to come to those of `users` who look deleted.
pub(super) async fn list_later<'a>(
    tx: &Tx,
    task: &Task,
    users: impl Iterator<Item = &'a State> + Send,
) -> Result<HashMap<String, Vec<Later>>, StoreError> {
    let deleted = users.filter(|state| state.deleted_at.is_some());
    let ids: Vec<String> = deleted.map(|state| state.id.clone()).collect();
    deletion::list_later(tx, task.app, DELETE, &ids, task).await
}

/// Whether a user looks deleted only because a deletion waits for it.
pub(super) fn is_hidden_by_one_of(state: &State, waiting: &[Later]) -> bool {
    waiting.iter().any(|later| state.deleted_by.as_ref() == Some(&later.id))
}

/// Items, by their index, of users who would come back to a name that is taken; `back` makes of a user what it
/// comes back as.
pub(super) async fn names_taken<'a>(
    tx: &Tx,
    task: &Task,
    items: impl Iterator<Item = &'a Item> + Send,
    back: impl Fn(User) -> User + Send + Sync,
) -> Result<HashSet<i32>, StoreError> {
    if settings::get_settings(tx, task.app).await?.unique_names == UniqueNames::None {
        return Ok(HashSet::new());
    }
    let items: Vec<&Item> = items.collect();
    let stored = lock_users(tx, task.app, items.iter().map(|item| item.user_id.as_str())).await?;
    let returning = items.iter().filter_map(|item| {
        let user = &*stored.get(&item.user_id)?.user;
        Some((item.index, Renaming::of(Some(user), &back(user.clone()))))
    });
    let (indexes, renamings): (Vec<i32>, Vec<Renaming>) = returning.unzip();
    let taken = names::taken(tx, task.app, Manner::InTurn, &renamings).await?;
    Ok(taken.into_iter().filter_map(|at| indexes.get(at).copied()).collect())
}
