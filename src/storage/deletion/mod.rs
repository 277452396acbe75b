//! Deleting what users made, and users themselves, a bounded batch at a time.
//!
//! Each function does the next piece of a stage and tells where to go on. All can be run again from the
//! place they began at. Which stages there are, and in which order, is `model::deletion`'s to say.

mod distinct;
mod erase;
mod hide;
mod history;
mod made;
mod makers;
mod preview;
mod rows;
mod shared;
mod targets;
mod tasks;
mod traces;
mod users;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement};

pub use self::distinct::{Ending, end_reached, keep, list_all_members, list_endings};
pub use self::hide::{Deletion, Later, hide, list_later, release, undisturbed_place};
pub use self::makers::{end_idle, list_makers};
pub use self::preview::{Preview, preview};
pub use self::rows::Rows;
pub use self::shared::first_mark;
pub(in crate::storage) use self::targets::of_two;
pub use self::targets::{delete_targets, find_heir, insert_heir, insert_targets, list_targeted};
pub use self::users::{delete_deeper, restore};
use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::deletion::{DeletePlan, Made, Stage};
use crate::model::id::AppId;

/// Ids that one statement deals with.
const CHUNK: u64 = 1_000;

/// Whose data is worked on, and for which task.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant.
    pub app: AppId,
    /// The user, by id.
    pub user: String,
    /// The task that puts the marks, or whose marks are undone.
    pub task: String,
    /// The index of the user's item in it.
    pub item: i32,
    /// When marks are put.
    pub now: Timestamp,
    /// What the deletion is to do, whose rows are counted by what they are.
    pub plan: Option<DeletePlan>,
    /// What stands in for the user where it is erased.
    pub stand_ins: StandIns,
}

/// What is written in place of an id that is erased.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StandIns {
    pub channel_owner: String,
    pub call_owner: String,
    pub system: String,
    pub pseudonym: String,
    /// What the ledger of erased users holds of the id.
    pub ledger: Vec<u8>,
    /// What its authors wrote in feeds is kept.
    pub keeps_authors: bool,
    /// Its archives stay until they expire.
    pub keeps_archives: bool,
}

/// What one piece of work came to.
#[derive(Debug)]
pub struct Stride {
    /// Rows that were changed.
    pub rows: Rows,
    /// Rows that were looked at, where these may be more: a batch is as long for them.
    pub looked: u64,
    /// What comes next.
    pub next: Next,
}

/// Where work goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// In the same stage, behind this place; empty is its beginning.
    After(String),
    /// In the next stage.
    Over,
    /// With the first stage: something came in between.
    Anew,
}

/// Does the next piece of `stage`, of about `limit` rows.
pub async fn run(
    tx: &Tx,
    scope: &Scope,
    stage: Stage,
    after: &str,
    limit: u64,
) -> Result<Stride, StoreError> {
    let limit = limit.clamp(1, CHUNK);
    match stage {
        Stage::Files(made) => made::blank_files(tx, scope, made, (after, limit)).await,
        Stage::Mark(made) => made::mark(tx, scope, made, (after, limit)).await,
        Stage::Prune(made) => made::prune(tx, scope, made, after, limit).await,
        Stage::Erase(made) => made::erase(tx, scope, made, after, limit).await,
        Stage::Unmark(made) => made::unmark(tx, scope, made, (after, limit)).await,
        Stage::Reactions(reacted) => made::erase_reactions(tx, scope, reacted, limit).await,
        Stage::MarkTargets(shared) => shared::mark_targets(tx, scope, shared, limit).await,
        Stage::EraseTargets(shared) => shared::erase_target(tx, scope, shared, limit).await,
        Stage::MarkOwned => shared::mark_owned(tx, scope, after, limit).await,
        Stage::UnmarkShared(shared) => shared::unmark(tx, scope, shared, limit).await,
        Stage::PruneUser => users::prune(tx, scope, limit).await,
        Stage::EndDistinct => distinct::end(tx, scope, limit).await,
        Stage::Traces => traces::erase(tx, scope, after, limit).await,
        Stage::Waiting => traces::give_up_waiting(tx, scope, after, limit).await,
        Stage::Remove => users::remove(tx, scope).await,
    }
}

impl Stride {
    const fn over(rows: Rows) -> Self {
        Self { rows, looked: 0, next: Next::Over }
    }

    /// Over, with nothing to do.
    fn nothing() -> Self {
        Self::over(Rows::default())
    }

    /// Over where fewer than `limit` rows were found, or else again from the beginning: the rows are gone.
    fn again(rows: Rows, limit: u64) -> Self {
        let next = if rows.total() < limit { Next::Over } else { Next::After(String::new()) };
        Self { rows, looked: 0, next }
    }
}

/// Where what was made is stored.
const fn table_of(made: Made) -> &'static str {
    match made {
        Made::Messages => "messages",
        Made::Activities => "activities",
        Made::Comments => "comments",
        Made::Feeds => "feeds",
    }
}

/// Rows of `app` whose `column` holds `value`.
fn where_is(app: AppId, column: &'static str, value: &str) -> Condition {
    Condition::all().add(Expr::col("app_id").eq(app.0)).add(Expr::col(column).eq(value))
}

/// Whatever has one of these pairs in `columns`. Each stands by itself: SQLite finds none by an index where they
/// are compared as a list.
fn any_of<K: AsRef<[String]>>(columns: [&'static str; 2], keys: &[K]) -> Condition {
    let one = |key: &K| {
        let equal = |(column, part): (&'static str, &String)| Expr::col(column).eq(part.as_str());
        columns.into_iter().zip(key.as_ref()).map(equal).fold(Condition::all(), Condition::add)
    };
    keys.iter().map(one).fold(Condition::any(), Condition::add)
}

/// Deletes up to `limit` of the rows of `table` that are meant.
async fn delete_some(tx: &Tx, table: &'static str, which: Condition, limit: u64) -> Result<Rows, StoreError> {
    let mut delete = Query::delete();
    delete.from_table(table).and_where(tx.backend().among(some(table, which, limit)));
    Ok(Rows::of(table, tx.execute(&delete).await?.rows_affected()))
}

/// Writes `value` in `column` of up to `limit` of the rows of `table` that are meant: it replaces what they name.
async fn replace_some(
    tx: &Tx,
    table: &'static str,
    column: &'static str,
    value: Expr,
    which: Condition,
    limit: u64,
) -> Result<Rows, StoreError> {
    let mut update = Query::update();
    update.table(table).value(column, value).and_where(tx.backend().among(some(table, which, limit)));
    Ok(Rows::uncounted(tx.execute(&update).await?.rows_affected()))
}

fn some(table: &'static str, which: Condition, limit: u64) -> SelectStatement {
    Query::select().from(table).cond_where(which).limit(limit).take()
}

/// Whether any of the rows of `table` is meant.
async fn any(db: &Db, table: &'static str, which: Condition) -> Result<bool, StoreError> {
    let select = Query::select().expr(Expr::cust("1")).from(table).cond_where(which).limit(1).take();
    Ok(db.query_one(&select).await?.is_some())
}

/// How many rows of `table` are meant.
async fn count(db: &Db, table: &'static str, which: Condition) -> Result<u64, StoreError> {
    let select = Query::select().expr(Expr::cust("COUNT(*)")).from(table).cond_where(which).take();
    let row = db.query_one(&select).await?;
    let number: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    Ok(u64::try_from(number).unwrap_or_default())
}

/// Text in the first column of all rows.
async fn texts(db: &Db, select: &SelectStatement) -> Result<Vec<String>, StoreError> {
    db.query_all(select).await?.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}
