//! Who has made anything that a deletion is to deal with: most users have not, and need no more than an
//! outcome.

use std::collections::{BTreeSet, HashSet};

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait as _, Order, Query, SelectStatement};

use super::texts;
use crate::model::deletion::{Made, Reacted, Shared, Stage};
use crate::model::id::AppId;
use crate::model::task::{Outcome, Task};
use crate::storage::items::{by_user_and_pending, pending};
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
        | Stage::Traces
        | Stage::Waiting
        | Stage::Remove => None,
    }
}

/// That the user whom `id` of `of` names has rows that one of `stages`, which are of content, deals with, but
/// for targets; `None` where no stage has any.
fn has_made(db: &Db, stages: &[Stage], of: &'static str, id: &'static str) -> Option<Condition> {
    let tables: BTreeSet<_> = stages.iter().filter_map(|stage| found_in(*stage)).collect();
    let rows = |(table, column): (&'static str, &'static str)| {
        let made = Query::select()
            .expr(Expr::cust("1"))
            .from(table)
            .and_where(Expr::col((table, "app_id")).equals((of, "app_id")))
            .and_where(Expr::col((table, column)).equals((of, id)))
            .take();
        found(db, table, made)
    };
    (!tables.is_empty()).then(|| tables.into_iter().map(rows).fold(Condition::any(), Condition::add))
}

/// That `rows`, of one item or user, are found in the table. One that nobody uses is asked once, not for each.
fn found(db: &Db, table: &'static str, rows: SelectStatement) -> Condition {
    // Not a row of a subquery with LIMIT: PostgreSQL would read tables, sure to find one soon.
    let found = Condition::all().add(Expr::exists(rows));
    if !db.backend().tells_empty_at_once() {
        return found;
    }
    let any = Query::select().expr(Expr::cust("1")).from(table).take();
    Condition::all().add(Expr::exists(any)).add(found)
}

/// Those of `ids` for whom any of these `stages`, which are of content, has something to do, but for targets.
pub async fn list_makers(
    db: &Db,
    app: AppId,
    ids: &[String],
    stages: &[Stage],
) -> Result<HashSet<String>, StoreError> {
    let Some(has_made) = has_made(db, stages, "users", "id") else { return Ok(HashSet::new()) };
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let select = Query::select()
        .column(("users", "id"))
        .from("users")
        .and_where(Expr::col(("users", "app_id")).eq(app.0))
        .and_where(db.backend().json().is_one_of(Expr::col(("users", "id")), &ids))
        .cond_where(has_made)
        .take();
    Ok(texts(db, &select).await?.into_iter().collect())
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
        .and_where(item("app_id").eq(task.app.0))
        .and_where(item("task_id").eq(id.as_str()))
        .and_where(pending())
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
    let target = Query::select()
        .expr(Expr::cust("1"))
        .from("deletion_targets")
        .and_where(Expr::col(("deletion_targets", "app_id")).equals((ITEMS, "app_id")))
        .and_where(Expr::col(("deletion_targets", "task_id")).equals((ITEMS, "task_id")))
        .and_where(Expr::col(("deletion_targets", "idx")).equals((ITEMS, "idx")))
        .take();
    let other = Alias::new("other");
    let of_another_task = Query::select()
        .expr(Expr::cust("1"))
        .from_as(ITEMS, other.clone())
        .and_where(Expr::col((other.clone(), "user_id")).equals((ITEMS, "user_id")))
        .and_where(Expr::col((other.clone(), "app_id")).equals((ITEMS, "app_id")))
        .and_where(Expr::col((other, "task_id")).ne(id.as_str()))
        .and_where(by_user_and_pending())
        .take();
    let busy = Condition::any()
        .add(found(tx, "deletion_targets", target))
        .add_option((!undisturbed).then(|| Expr::exists(of_another_task)))
        .add_option(has_made(tx, stages, ITEMS, "user_id"))
        .not();
    let mut update = Query::update();
    update
        .table(ITEMS)
        .value("outcome", Outcome::Done.code())
        .and_where(tx.backend().among(next))
        .and_where_option((!undisturbed).then(|| Expr::exists(hidden)))
        .cond_where(busy);
    Ok(tx.execute(&update).await?.rows_affected())
}
