//! How tasks go through users who have any amount of content: many users without any at a time, the others
//! one after another, each in as many batches as it takes.
//!
//! An item's user is begun once, in the batch that first comes to it; the checkpoint says how far the stages
//! of that user are. A batch touches about as many rows as it may, whoever's they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Batch, Fault, Step};
use crate::model::clock::Timestamp;
use crate::model::deletion::{DeletePlan, Stage};
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::storage::deletion::{self, Next, Rows, Scope, StandIns};
use crate::storage::lifecycle::{State, list_states, lock_states};
use crate::storage::{StoreError, Tx, items};

/// How often the last look at a user may find something new before the task gives up.
const MAX_ROUNDS: u32 = 50;

/// What is to become of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is to be done for it, or can be.
    Over(Outcome, Option<Reason>),
    /// Its user is begun.
    Go,
}

/// One kind of work on users and what they made.
#[async_trait]
pub(super) trait Walk: Send + Sync {
    /// Whether users are locked before they are judged: where whoever else changes them must wait.
    fn locks(&self) -> bool {
        true
    }

    /// What is to become of each of `items`.
    async fn judge(
        &self,
        tx: &Tx,
        task: &Task,
        items: &[Item],
        stored: &HashMap<String, State>,
        now: Timestamp,
    ) -> Result<Vec<Verdict>, Fault>;

    /// Changes the users themselves, as far as that comes first; tells how many rows it took.
    async fn begin(&self, tx: &Tx, task: &Task, users: &[&State], now: Timestamp) -> Result<u64, Fault>;

    /// The stages of every user of the task.
    fn stages(&self, task: &Task) -> Result<Vec<Stage>, StoreError>;

    /// What a deletion is to do, whose rows are counted by what they are; `None` of work that is no deletion.
    fn plan(&self, _: &Task) -> Result<Option<DeletePlan>, StoreError> {
        Ok(None)
    }

    /// The task whose marks are put or undone for a user; `None` where there are none.
    fn marks(&self, task: &Task, user: &State) -> Option<String>;

    /// Ends, as done, those of the next `limit` items that [`Self::begin`] and the stages would do nothing for;
    /// tells how many. Any of them may be left.
    async fn end_idle(&self, _: &Tx, _: &Task, _: &[Stage], _limit: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// What stands in for a user who is erased.
    async fn stand_ins(&self, _tx: &Tx, _task: &Task, _user: &str) -> Result<StandIns, StoreError> {
        Ok(StandIns::default())
    }
}

/// How far a user is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    item: i32,
    user: String,
    marks: String,
    stage: usize,
    after: String,
    #[serde(default)]
    rounds: u32,
}

impl Place {
    fn of(task: &Task) -> Result<Option<Self>, StoreError> {
        serde_json::from_value(task.checkpoint.clone()).map_err(|_| StoreError::corrupt("tasks.checkpoint"))
    }

    fn begin(item: &Item, marks: String) -> Self {
        let user = item.user_id.clone();
        Self { item: item.index, user, marks, stage: 0, after: String::new(), rounds: 0 }
    }

    fn store(&self) -> Result<Value, StoreError> {
        serde_json::to_value(self).map_err(|err| StoreError::Internal(err.to_string()))
    }
}

/// Whether a user was begun and is not done.
pub(super) fn is_within_item(task: &Task) -> bool {
    !task.checkpoint.is_null()
}

/// The user that was begun and is not done.
pub(super) fn user_of(task: &Task) -> Result<Option<String>, StoreError> {
    Ok(Place::of(task)?.map(|place| place.user))
}

/// Does one batch.
pub(super) async fn step(walk: &dyn Walk, tx: &Tx, batch: &mut Batch) -> Result<Step, Fault> {
    let stages = walk.stages(batch.task())?;
    let mut left = batch.limit();
    let place = Place::of(batch.task())?;
    let went_on = place.is_some();
    if let Some(place) = place
        && !go_on(walk, tx, batch, &stages, place, &mut left).await?
    {
        return Ok(Step::More);
    }
    if batch.task().cancel_requested || left == 0 {
        return Ok(Step::More);
    }
    let idle = walk.end_idle(tx, batch.task(), &stages, left).await?;
    batch.count(Outcome::Done, usize::try_from(idle).unwrap_or(usize::MAX), idle);
    left = left.saturating_sub(idle);
    if left == 0 {
        return Ok(if is_over(tx, batch.task()).await? { Step::Done } else { Step::More });
    }
    let items = items::list_runnable(tx, batch.task(), left).await?;
    if items.is_empty() {
        let pending = items::count_pending(tx, batch.task()).await?;
        return Ok(match (pending, went_on || idle > 0) {
            (0, _) => Step::Done,
            (_, true) => Step::More,
            (_, false) => Step::Blocked,
        });
    }
    let ids = items.iter().map(|item| item.user_id.as_str());
    let stored = if walk.locks() {
        lock_states(tx, batch.task().app, ids).await?
    } else {
        list_states(tx, batch.task().app, ids).await?
    };
    let verdicts = walk.judge(tx, batch.task(), &items, &stored, batch.now()).await?;
    let judged = items.iter().zip(verdicts).map(|(item, verdict)| (item, verdict, stored.get(&item.user_id)));
    let (to_go, over): (Vec<_>, Vec<_>) = judged.partition(|(_, verdict, _)| *verdict == Verdict::Go);
    end(tx, batch, over.into_iter().map(|(item, verdict, _)| (item, verdict)), 0).await?;

    let to_go: Vec<(&Item, &State)> =
        to_go.into_iter().filter_map(|(item, _, stored)| Some((item, stored?))).collect();
    let makers = list_makers(walk, tx, batch.task(), &stages, &to_go).await?;
    let (heavy, light): (Vec<_>, Vec<_>) =
        to_go.into_iter().partition(|(item, _)| makers.contains(&item.index));
    if !light.is_empty() {
        let users: Vec<&State> = light.iter().map(|(_, user)| *user).collect();
        let rows = walk.begin(tx, batch.task(), &users, batch.now()).await?;
        let done = Verdict::Over(Outcome::Done, None);
        end(tx, batch, light.iter().map(|(item, _)| (*item, done)), rows).await?;
        left = left.saturating_sub(light.len() as u64);
    }
    for (item, user) in heavy {
        if left == 0 {
            break;
        }
        let rows = walk.begin(tx, batch.task(), &[user], batch.now()).await?;
        batch.count(Outcome::Pending, 0, rows);
        let place = Place::begin(item, walk.marks(batch.task(), user).unwrap_or_default());
        if !go_on(walk, tx, batch, &stages, place, &mut left).await? {
            break;
        }
    }
    Ok(if is_over(tx, batch.task()).await? { Step::Done } else { Step::More })
}

/// Whether no item is left, so that it takes no further batch to find out.
async fn is_over(tx: &Tx, task: &Task) -> Result<bool, StoreError> {
    let progress = task.progress;
    Ok(progress.users_done >= progress.users_total && items::count_pending(tx, task).await? == 0)
}

/// Items, by their index, whose users take more than [`Walk::begin`].
async fn list_makers(
    walk: &dyn Walk,
    tx: &Tx,
    task: &Task,
    stages: &[Stage],
    to_go: &[(&Item, &State)],
) -> Result<HashSet<i32>, StoreError> {
    let with_marks = to_go.iter().filter(|(_, user)| walk.marks(task, user).is_some());
    let candidates: Vec<(&Item, &str)> = with_marks.map(|(item, user)| (*item, user.id.as_str())).collect();
    if stages.is_empty() || candidates.is_empty() {
        return Ok(HashSet::new());
    }
    if !stages.iter().all(|stage| stage.is_of_content()) {
        return Ok(candidates.iter().map(|(item, _)| item.index).collect());
    }
    let ids: Vec<String> = candidates.iter().map(|(_, id)| (*id).to_owned()).collect();
    let indexes: Vec<i32> = candidates.iter().map(|(item, _)| item.index).collect();
    let makers = deletion::list_makers(tx, task.app, &ids, stages).await?;
    let mut found = deletion::list_targeted(tx, task, &indexes).await?;
    found.extend(candidates.iter().filter(|(_, id)| makers.contains(*id)).map(|(item, _)| item.index));
    Ok(found)
}

/// Goes through the stages of a user; true where it came to the end.
async fn go_on(
    walk: &dyn Walk,
    tx: &Tx,
    batch: &mut Batch,
    stages: &[Stage],
    mut place: Place,
    left: &mut u64,
) -> Result<bool, Fault> {
    let scope = Scope {
        app: batch.task().app,
        user: place.user.clone(),
        task: place.marks.clone(),
        item: place.item,
        now: batch.now(),
        plan: walk.plan(batch.task())?,
        stand_ins: walk.stand_ins(tx, batch.task(), &place.user).await?,
    };
    while let Some(stage) = stages.get(place.stage) {
        if *left == 0 {
            batch.phase(stage.phase());
            batch.checkpoint(place.store()?);
            return Ok(false);
        }
        let stride = deletion::run(tx, &scope, *stage, &place.after, *left).await?;
        if stage.erases() && stride.rows.total() > 0 {
            batch.erase();
        }
        count_rows(batch, &scope, &stride.rows);
        *left = left.saturating_sub(stride.rows.total().max(stride.looked));
        match stride.next {
            Next::After(after) => place.after = after,
            Next::Over => {
                place.stage += 1;
                place.after.clear();
            }
            Next::Anew => {
                place.rounds += 1;
                if place.rounds > MAX_ROUNDS {
                    return Err(unending());
                }
                // Committed first: what was found is seen by all then.
                (place.stage, *left) = (0, 0);
                place.after.clear();
            }
        }
    }
    batch.phase("users");
    batch.checkpoint(Value::Null);
    let (indexes, app_task) = ([place.item], batch.task().clone());
    items::update_outcomes(tx, &app_task, &indexes, Outcome::Done, None).await?;
    batch.count(Outcome::Done, 1, 0);
    Ok(true)
}

/// Counts rows of a batch: all of them, and those of a deletion by what they are.
fn count_rows(batch: &mut Batch, scope: &Scope, rows: &Rows) {
    batch.count(Outcome::Pending, 0, rows.total());
    for (kind, rows) in rows.by_kind().filter(|_| scope.plan.is_some()) {
        batch.add_result(kind, i64::try_from(rows).unwrap_or(i64::MAX));
    }
}

fn unending() -> Fault {
    Fault::Fatal {
        reason: Reason::Conflict.as_str(),
        message: "new content came for a user again and again".into(),
    }
}

/// Stores what became of items.
async fn end<'a>(
    tx: &Tx,
    batch: &mut Batch,
    items: impl Iterator<Item = (&'a Item, Verdict)> + Send,
    rows: u64,
) -> Result<(), StoreError> {
    let mut outcomes: BTreeMap<(Outcome, Option<Reason>), Vec<i32>> = BTreeMap::new();
    for (item, verdict) in items {
        if let Verdict::Over(outcome, reason) = verdict {
            outcomes.entry((outcome, reason)).or_default().push(item.index);
        }
    }
    for ((outcome, reason), indexes) in outcomes {
        items::update_outcomes(tx, batch.task(), &indexes, outcome, reason.map(Reason::as_str)).await?;
        batch.count(outcome, indexes.len(), 0);
    }
    batch.count(Outcome::Pending, 0, rows);
    Ok(())
}
