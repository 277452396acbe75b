//! What has an author: marking, blanking, removing, and bringing it back, in the order of ids.

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Order, Query, UpdateStatement};
use sea_orm::{ConnectionTrait as _, Value};
use serde_json::json;

use super::{Next, Rows, Scope, Stride, count, delete_some, erase, table_of, targets, texts, where_is};
use crate::model::deletion::{Made, Mode, Reacted};
use crate::storage::columns::TABLES;
use crate::storage::{StoreError, Tx, narrow};

/// Where what was made is stored.
struct Place {
    table: &'static str,
    /// The column of its author.
    author: &'static str,
    /// What names a row beside the app.
    key: &'static [&'static str],
}

const fn place(made: Made) -> Place {
    let (author, key): (_, &'static [&'static str]) = match made {
        Made::Messages | Made::Activities | Made::Comments => ("user_id", &["id"]),
        Made::Feeds => ("created_by_id", &["group_id", "id"]),
    };
    Place { table: table_of(made), author, key }
}

/// Between the parts of a key in a place to go on from: no part holds it.
const SEPARATOR: char = '\n';

/// The next keys of what the user made.
struct Page {
    keys: Vec<Vec<String>>,
    next: Next,
}

impl Page {
    /// The first part of each key, which is all of it but for feeds.
    fn ids(&self) -> Vec<&str> {
        self.keys.iter().filter_map(|key| key.first()).map(String::as_str).collect()
    }
}

async fn page(tx: &Tx, scope: &Scope, made: Made, after: &str, limit: u64) -> Result<Page, StoreError> {
    let Place { table, author, key } = place(made);
    let mut select = Query::select();
    select.columns(key.iter().copied()).from(table);
    select.cond_where(where_is(scope.app, author, &scope.user)).limit(limit);
    if !after.is_empty() {
        let columns = Expr::tuple(key.iter().map(|column| Expr::col(*column)));
        let parts = after.splitn(key.len(), SEPARATOR).map(Expr::val);
        select.and_where(columns.gt(Expr::tuple(parts)));
    }
    for column in key {
        select.order_by(*column, Order::Asc);
    }
    let mut keys: Vec<Vec<String>> = narrow::list(tx, select, key).await?;
    keys.sort_unstable();
    let next = match keys.last() {
        Some(last) if keys.len() as u64 == limit => Next::After(last.join(&SEPARATOR.to_string())),
        _ => Next::Over,
    };
    Ok(Page { keys, next })
}

/// The rows of a page.
fn rows_of(tx: &Tx, scope: &Scope, made: Made, page: &Page) -> Condition {
    let Place { author, key, .. } = place(made);
    let of_user = where_is(scope.app, author, &scope.user);
    if let [id] = key {
        of_user.add(tx.backend().json().is_one_of(Expr::col(*id), &page.ids()))
    } else {
        let columns = Expr::tuple(key.iter().map(|column| Expr::col(*column)));
        let keys = page.keys.iter().map(|key| Expr::tuple(key.iter().map(|part| Expr::val(part.as_str()))));
        of_user.add(columns.is_in(keys))
    }
}

/// A change of what the user made.
struct Change {
    /// Which rows it changes.
    which: Condition,
    /// Which of these count for callers now, where it is not all of them: others are counted by a later change.
    counted: Option<Condition>,
}

impl Change {
    /// A change of the rows that are meant.
    const fn of(which: Condition) -> Self {
        Self { which, counted: None }
    }

    /// Counts those of the rows alone that are meant, too.
    fn counting(mut self, which: Condition) -> Self {
        self.counted = Some(self.counted.unwrap_or_else(Condition::all).add(which));
        self
    }

    /// Makes it, of the rows of a page.
    async fn make(
        self,
        tx: &Tx,
        scope: &Scope,
        made: Made,
        page: &Page,
        change: impl FnOnce(&mut UpdateStatement) + Send,
    ) -> Result<Rows, StoreError> {
        let table = table_of(made);
        let this = match scope.plan {
            // They are counted when the task removes them.
            Some(plan) if made == Made::Messages && plan.conversations == Mode::Hard => {
                self.counting(targets::doomed_messages(scope, plan.user).not())
            }
            _ => self,
        };
        let which = rows_of(tx, scope, made, page).add(this.which);
        let counted = match this.counted {
            Some(counted) => Some(count(tx, table, which.clone().add(counted)).await?),
            None => None,
        };
        let mut update = Query::update();
        update.table(table).cond_where(which);
        change(&mut update);
        let rows = tx.execute(&update).await?.rows_affected();
        Ok(Rows::some_of(table, rows, counted.unwrap_or(rows)))
    }
}

/// Makes a change of the next page of what the user made.
async fn change(
    tx: &Tx,
    scope: &Scope,
    made: Made,
    (after, limit): (&str, u64),
    (this, change): (Change, impl FnOnce(&mut UpdateStatement) + Send),
) -> Result<Stride, StoreError> {
    let page = page(tx, scope, made, after, limit).await?;
    if page.keys.is_empty() {
        return Ok(Stride::nothing());
    }
    let rows = this.make(tx, scope, made, &page, change).await?;
    Ok(Stride { rows, looked: page.keys.len() as u64, next: page.next })
}

/// Marks what is not marked yet.
pub(super) async fn mark(tx: &Tx, scope: &Scope, made: Made, at: (&str, u64)) -> Result<Stride, StoreError> {
    let live = Change::of(Condition::all().add(Expr::col("deleted_at").is_null()));
    let mark = |update: &mut UpdateStatement| {
        update.value("deleted_at", scope.now.micros()).value("deleted_by", scope.task.as_str());
    };
    change(tx, scope, made, at, (live, mark)).await
}

/// Undoes the marks of the scope's task.
pub(super) async fn unmark(
    tx: &Tx,
    scope: &Scope,
    made: Made,
    at: (&str, u64),
) -> Result<Stride, StoreError> {
    let marked = Change::of(Condition::all().add(Expr::col("deleted_by").eq(scope.task.as_str())));
    let unmark = |update: &mut UpdateStatement| {
        update.value("deleted_at", None::<i64>).value("deleted_by", None::<String>);
    };
    change(tx, scope, made, at, (marked, unmark)).await
}

/// That there are attachments.
pub(super) fn has_files() -> Expr {
    Expr::cust("attachments <> '[]'")
}

/// Blanks attachments.
pub(super) async fn blank_files(
    tx: &Tx,
    scope: &Scope,
    made: Made,
    at: (&str, u64),
) -> Result<Stride, StoreError> {
    let mut with_files = Change::of(Condition::all().add(has_files()));
    if scope.plan.is_some_and(|plan| plan.mode_of(made) == Mode::Soft) {
        // Those that are live are marked next, and counted then.
        with_files = with_files.counting(Condition::all().add(Expr::col("deleted_at").is_not_null()));
    }
    let blank = |update: &mut UpdateStatement| {
        update.value("attachments", blank("attachments"));
    };
    change(tx, scope, made, at, (with_files, blank)).await
}

/// Marks, blanks, and removes what hangs on it.
pub(super) async fn prune(
    tx: &Tx,
    scope: &Scope,
    made: Made,
    after: &str,
    limit: u64,
) -> Result<Stride, StoreError> {
    let page = page(tx, scope, made, after, limit).await?;
    if page.keys.is_empty() {
        return Ok(Stride::nothing());
    }
    let mut rows = erase::bare(tx, scope.app, made, &page.keys, limit).await?;
    if rows.total() >= limit {
        return Ok(Stride { rows, looked: 0, next: Next::After(after.to_owned()) });
    }
    let blank_all = |update: &mut UpdateStatement| {
        let was = Expr::col("deleted_at");
        let by = Expr::case(was.clone().is_null(), scope.task.as_str()).finally(Expr::col("deleted_by"));
        let at = Expr::case(was.clone().is_null(), scope.now.micros()).finally(was);
        update.value("deleted_by", by).value("deleted_at", at);
        let personal = TABLES.iter().find(|table| table.name == table_of(made));
        for column in personal.iter().flat_map(|table| table.personal) {
            update.value(*column, blank(column));
        }
    };
    rows += Change::of(Condition::all()).make(tx, scope, made, &page, blank_all).await?;
    Ok(Stride { rows, looked: 0, next: page.next })
}

/// Removes it with what hangs on it.
pub(super) async fn erase(
    tx: &Tx,
    scope: &Scope,
    made: Made,
    after: &str,
    limit: u64,
) -> Result<Stride, StoreError> {
    let page = page(tx, scope, made, after, limit).await?;
    if page.keys.is_empty() {
        return Ok(Stride::nothing());
    }
    let rows = erase::whole(tx, scope.app, made, &page.keys, limit).await?;
    match rows {
        erase::Erased::Some(rows) => Ok(Stride { rows, looked: 0, next: Next::After(after.to_owned()) }),
        erase::Erased::All(rows) => Ok(Stride { rows, looked: 0, next: page.next }),
    }
}

/// Removes reactions that the user made.
pub(super) async fn erase_reactions(
    tx: &Tx,
    scope: &Scope,
    reacted: Reacted,
    limit: u64,
) -> Result<Stride, StoreError> {
    let table = match reacted {
        Reacted::ToMessages => "reactions",
        Reacted::ToActivities => "feed_reactions",
    };
    let rows = delete_some(tx, table, where_is(scope.app, "user_id", &scope.user), limit).await?;
    Ok(Stride::again(rows, limit))
}

/// What a column holds when it holds nothing.
fn blank(column: &str) -> Value {
    match column {
        "attachments" => Value::from(json!([])),
        "custom" => Value::from(json!({})),
        _ => Value::String(None),
    }
}

/// Messages of a channel, in no order.
pub(super) async fn messages_of(
    tx: &Tx,
    channel: Condition,
    limit: u64,
) -> Result<Vec<Vec<String>>, StoreError> {
    let select = Query::select().column("id").from("messages").cond_where(channel).limit(limit).take();
    Ok(texts(tx, &select).await?.into_iter().map(|id| vec![id]).collect())
}
