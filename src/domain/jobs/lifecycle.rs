//! Kinds `deactivate_users` and `reactivate_users`: one state change per item.
//!
//! Items that are over tell where to go on, so there is no checkpoint beside them.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use crate::domain::users::names;
use crate::engine::{Batch, Fault, Step, TaskKind};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::lifecycle::{Move, Refusal};
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome};
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::User;
use crate::storage::upsert::{Stored, lock_users};
use crate::storage::{Tx, items, lifecycle};

/// Makes one move of every user of a task.
#[derive(Debug)]
pub struct MoveUsers(pub Move);

/// The kind that makes `how`.
pub const fn kind_of(how: Move) -> &'static str {
    match how {
        Move::Deactivate => "deactivate_users",
        Move::Reactivate => "reactivate_users",
    }
}

#[async_trait]
impl TaskKind for MoveUsers {
    fn name(&self) -> &'static str {
        kind_of(self.0)
    }

    async fn step(&self, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault> {
        let (app, now) = (batch.task().app, batch.now());
        let items = items::list_runnable(tx, batch.task(), batch.limit()).await?;
        if items.is_empty() {
            let left = items::count_pending(tx, batch.task()).await?;
            return Ok(if left == 0 { Step::Done } else { Step::Blocked });
        }

        let stored = lock_users(tx, app, items.iter().map(|item| item.user_id.as_str())).await?;
        let taken = self.names_taken(tx, app, &items, &stored, now).await?;
        let mut outcomes: BTreeMap<(Outcome, Option<Reason>), Vec<&Item>> = BTreeMap::new();
        for item in &items {
            let outcome = match self.judge(stored.get(&item.user_id)) {
                (Outcome::Done, _) if taken.contains(&item.index) => {
                    (Outcome::Failed, Some(Reason::NameTaken))
                }
                outcome => outcome,
            };
            outcomes.entry(outcome).or_default().push(item);
        }
        for ((outcome, reason), items) in outcomes {
            let mut rows = 0;
            if outcome == Outcome::Done {
                let ids: Vec<UserId> =
                    items.iter().map(|item| UserId::stored(item.user_id.clone())).collect();
                rows = lifecycle::update_deactivated(tx, app, &ids, self.0.deactivated_at(now), now).await?;
            }
            let indexes: Vec<i32> = items.iter().map(|item| item.index).collect();
            items::update_outcomes(tx, batch.task(), &indexes, outcome, reason.map(Reason::as_str)).await?;
            batch.count(outcome, indexes.len(), rows);
        }
        Ok(Step::More)
    }
}

impl MoveUsers {
    /// Items, by their index, of users who would come back to a name that is taken.
    async fn names_taken(
        &self,
        tx: &Tx,
        app: AppId,
        items: &[Item],
        stored: &HashMap<String, Stored>,
        now: Timestamp,
    ) -> Result<HashSet<i32>, Fault> {
        let moving = items.iter().filter_map(|item| {
            let user = &stored.get(&item.user_id)?.user;
            self.0.check(user).ok()?;
            let moved = User { deactivated_at: self.0.deactivated_at(now), ..user.clone() };
            Some((item.index, Renaming::of(Some(user), &moved)))
        });
        let (indexes, renamings): (Vec<i32>, Vec<Renaming>) = moving.unzip();
        let taken = names::taken(tx, app, Manner::InTurn, &renamings).await?;
        Ok(taken.into_iter().filter_map(|at| indexes.get(at).copied()).collect())
    }

    fn judge(&self, stored: Option<&Stored>) -> (Outcome, Option<Reason>) {
        let Some(stored) = stored else { return (Outcome::Failed, Some(Reason::UserNotFound)) };
        match self.0.check(&stored.user) {
            Ok(()) => (Outcome::Done, None),
            Err(Refusal::Unchanged) => (Outcome::Unchanged, None),
            Err(Refusal::Deleted) => (Outcome::Failed, Some(Reason::UserDeleted)),
        }
    }
}
