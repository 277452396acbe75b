//! Who has made anything that a deletion is to deal with: most users have not, and need no more than an
//! outcome.

use std::collections::{BTreeSet, HashSet};

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Order, Query};

use super::texts;
use crate::model::deletion::{Made, Reacted, Shared, Stage};
use crate::model::id::AppId;
use crate::model::task::{Outcome, Task};
use crate::storage::backend::{FOUND, Lookup};
use crate::storage::items::{by_user_and_pending, pending_of};
use crate::storage::{Db, StoreError, Tx};

/// Where a stage of content finds what it has to do for a user: tables, by the column that names it. Targets
/// are found by [`super::list_targeted`].
const fn found_in(stage: Stage) -> Option<(&'static str, &'static str)> {
    match stage {
        Stage::Files(made)
        | Stage::Mark(made)
        | Stage::Prune(made)
        | Stage::Erase(made)
        | Stage::Unmark(made) => Some(match made {
            Made::Messages => ("messages", "user_id"),
            Made::Activities => ("activities", "user_id"),
            Made::Comments => ("comments", "user_id"),
            Made::Feeds => ("feeds", "created_by_id"),
        }),
        Stage::Reactions(Reacted::ToMessages) => Some(("reactions", "user_id")),
        Stage::Reactions(Reacted::ToActivities) => Some(("feed_reactions", "user_id")),
        Stage::MarkOwned => Some(("channels", "created_by_id")),
        Stage::UnmarkShared(Shared::Channels) => Some(("channel_marks", "user_id")),
        Stage::UnmarkShared(Shared::Calls) => Some(("call_marks", "user_id")),
        Stage::MarkTargets(_)
        | Stage::EraseTargets(_)
        | Stage::PruneUser
        | Stage::EndDistinct
        | Stage::Traces
        | Stage::Waiting
        | Stage::Remove => None,
    }
}

/// That the user whom `id` of `of` names has rows that one of `stages`, which are of content, deals with, but
/// for targets; `None` where no stage has any.
fn has_made(db: &Db, stages: &[Stage], of: &'static str, id: &'static str) -> Option<Condition> {
    let tables: BTreeSet<_> = stages.iter().filter_map(|stage| found_in(*stage)).collect();
    let made = |(table, column): (&'static str, &'static str)| {
        let fixed = vec![("app_id", Expr::col((of, "app_id")))];
        db.backend().has_row(Lookup { table, fixed, last: (column, Expr::col((of, id))), rest: None })
    };
    (!tables.is_empty()).then(|| tables.into_iter().map(made).fold(Condition::any(), Condition::add))
}

/// Runs a statement that asks for rows with `Backend::has_row`.
async fn by_lookups<T>(
    tx: &Tx,
    statement: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let Some([before, after]) = tx.backend().around_lookups() else { return statement.await };
    tx.execute_unprepared(before).await?;
    let done = statement.await?;
    tx.execute_unprepared(after).await?;
    Ok(done)
}

/// Those of `ids` for whom any of these `stages`, which are of content, has something to do, but for targets.
pub async fn list_makers(
    tx: &Tx,
    app: AppId,
    ids: &[String],
    stages: &[Stage],
) -> Result<HashSet<String>, StoreError> {
    let Some(has_made) = has_made(tx, stages, "users", "id") else { return Ok(HashSet::new()) };
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let select = Query::select()
        .column(("users", "id"))
        .from("users")
        .and_where(Expr::col(("users", "app_id")).eq(app.0))
        .and_where(tx.backend().json().is_one_of(Expr::col(("users", "id")), &ids))
        .cond_where(has_made)
        .take();
    Ok(by_lookups(tx, texts(tx, &select)).await?.into_iter().collect())
}

/// Ends, as done, those of the next `limit` pending items of a deletion whose users it has hidden and who have
/// nothing that its `stages`, which are of content, deal with; tells how many. An `undisturbed` one has hidden
/// all, and waits for no other task.
///
/// In one statement: an item takes longer to be read than to be ended. Whatever is less simple is left: users
/// of other tasks, too.
pub async fn end_idle(
    tx: &Tx,
    task: &Task,
    stages: &[Stage],
    undisturbed: bool,
    limit: u64,
) -> Result<u64, StoreError> {
    const ITEMS: &str = "task_items";
    let id = task.id.to_string();
    let item = |column: &'static str| Expr::col((ITEMS, column));
    let next = Query::select()
        .from(ITEMS)
        .and_where(pending_of(task.app, task.id))
        .order_by((ITEMS, "idx"), Order::Asc)
        .limit(limit)
        .take();
    let hidden = Query::select()
        .expr(Expr::cust("1"))
        .from("users")
        .and_where(Expr::col(("users", "app_id")).equals((ITEMS, "app_id")))
        .and_where(Expr::col(("users", "id")).equals((ITEMS, "user_id")))
        .and_where(Expr::col(("users", "deleted_by")).eq(id.as_str()))
        .take();
    let of = |column| (column, item(column));
    let target = Lookup {
        table: "deletion_targets",
        fixed: vec![of("app_id"), of("task_id")],
        last: of("idx"),
        rest: None,
    };
    let of_another_task = Lookup {
        table: ITEMS,
        fixed: vec![of("app_id")],
        last: of("user_id"),
        rest: Some(Expr::col((FOUND, "task_id")).ne(id.as_str()).and(by_user_and_pending())),
    };
    let backend = tx.backend();
    let busy = Condition::any()
        .add(backend.has_row(target))
        .add_option((!undisturbed).then(|| backend.has_row(of_another_task)))
        .add_option(has_made(tx, stages, ITEMS, "user_id"))
        .not();
    let mut update = Query::update();
    update
        .table(ITEMS)
        .value("outcome", Outcome::Done.code())
        .and_where(backend.among(next))
        .and_where_option((!undisturbed).then(|| Expr::exists(hidden)))
        .cond_where(busy);
    by_lookups(tx, async { Ok(tx.execute(&update).await?.rows_affected()) }).await
}
