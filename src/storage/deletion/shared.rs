//! Channels and calls: marks on them, and removing those of two members.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement};

use super::{Next, Rows, Scope, Stride, any_of, count, delete_some, erase, made, where_is};
use crate::model::call::Cid;
use crate::model::content::Kind;
use crate::model::deletion::{DeletePlan, Made, Mode, Shared};
use crate::model::id::AppId;
use crate::storage::{Db, StoreError, Tx};

/// Channels or calls marked in one statement: each is a part of its condition.
const AT_ONCE: u64 = 200;

/// How channels and calls are stored.
pub(super) struct Place {
    pub(super) table: &'static str,
    pub(super) members: &'static str,
    pub(super) marks: &'static str,
    /// How other tables name one: type and id.
    pub(super) columns: [&'static str; 2],
    pub(super) kind: Kind,
}

pub(super) const fn place(shared: Shared) -> Place {
    match shared {
        Shared::Channels => Place {
            table: "channels",
            members: "channel_members",
            marks: "channel_marks",
            columns: ["channel_type", "channel_id"],
            kind: Kind::Channel,
        },
        Shared::Calls => Place {
            table: "calls",
            members: "call_members",
            marks: "call_marks",
            columns: ["call_type", "call_id"],
            kind: Kind::Call,
        },
    }
}

/// When the channel or call was first marked deleted, of the marks that stand.
pub async fn first_mark(db: &Db, app: AppId, shared: Shared, cid: &Cid) -> Result<Option<i64>, StoreError> {
    let Place { marks, columns: [kind, id], .. } = place(shared);
    let select = Query::select()
        .expr(Expr::cust("MIN(marked_at)"))
        .from(marks)
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col(kind).eq(cid.kind.as_str()))
        .and_where(Expr::col(id).eq(cid.id.as_str()))
        .take();
    let row = db.query_one(&select).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.flatten())
}

/// The targets of the item that are left.
fn targets(scope: &Scope, kind: Kind) -> Condition {
    where_is(scope.app, "task_id", &scope.task)
        .add(Expr::col("idx").eq(scope.item))
        .add(Expr::col("kind").eq(kind.as_str()))
}

async fn next_targets(
    tx: &Tx,
    scope: &Scope,
    kind: Kind,
    limit: u64,
) -> Result<Vec<[String; 2]>, StoreError> {
    let mut select = Query::select();
    select.columns(["type", "id"]).from("deletion_targets").cond_where(targets(scope, kind)).limit(limit);
    select.order_by("type", Order::Asc).order_by("id", Order::Asc);
    pairs(tx, &select).await
}

async fn pairs(tx: &Tx, select: &SelectStatement) -> Result<Vec<[String; 2]>, StoreError> {
    let rows = tx.query_all(select).await?;
    rows.iter().map(|row| Ok([row.try_get_by_index(0)?, row.try_get_by_index(1)?])).collect()
}

/// Marks the next targets, which are targets no longer then.
pub(super) async fn mark_targets(
    tx: &Tx,
    scope: &Scope,
    shared: Shared,
    limit: u64,
) -> Result<Stride, StoreError> {
    let limit = Ord::min(limit, AT_ONCE);
    let kind = place(shared).kind;
    let cids = next_targets(tx, scope, kind, limit).await?;
    if cids.is_empty() {
        return Ok(Stride::nothing());
    }
    let rows = put_marks(tx, scope, shared, &cids).await?;
    let done = targets(scope, kind).add(any_of(["type", "id"], &cids));
    let mut delete = Query::delete();
    delete.from_table("deletion_targets").cond_where(done);
    tx.execute(&delete).await?;
    let next = if (cids.len() as u64) < limit { Next::Over } else { Next::After(String::new()) };
    Ok(Stride { rows, looked: cids.len() as u64, next })
}

/// Marks those that exist still.
async fn put_marks(tx: &Tx, scope: &Scope, shared: Shared, cids: &[[String; 2]]) -> Result<Rows, StoreError> {
    let Place { table, marks, columns: [kind, id], .. } = place(shared);
    let counted = match scope.plan {
        Some(plan) => count(tx, table, unmarked(scope, plan, shared, cids)).await?,
        None => 0,
    };
    let mut existing = Query::select();
    existing
        .columns(["app_id", "type", "id"])
        .exprs([
            Expr::val(scope.user.as_str()),
            Expr::val(scope.task.as_str()),
            Expr::val(scope.now.micros()),
        ])
        .from(table)
        .and_where(Expr::col("app_id").eq(scope.app.0))
        .cond_where(any_of(["type", "id"], cids));
    let mut insert = Query::insert();
    insert
        .into_table(marks)
        .columns(["app_id", kind, id, "user_id", "marked_by", "marked_at"])
        .select_from(existing)
        .map_err(|err| StoreError::Internal(err.to_string()))?
        .on_conflict(OnConflict::new().do_nothing().to_owned());
    Ok(Rows::some_of(table, tx.execute(&insert).await?.rows_affected(), counted))
}

/// Those of the channels or calls that the task has not marked yet for another user: each counts once.
fn unmarked(scope: &Scope, plan: DeletePlan, shared: Shared, cids: &[[String; 2]]) -> Condition {
    let Place { table, members, marks, columns: [kind, id], .. } = place(shared);
    let inside = |of: &'static str| {
        Condition::all()
            .add(Expr::col((of, "app_id")).equals((table, "app_id")))
            .add(Expr::col((of, kind)).equals((table, "type")))
            .add(Expr::col((of, id)).equals((table, "id")))
    };
    let marked = Query::select()
        .expr(Expr::cust("1"))
        .from(marks)
        .cond_where(inside(marks).add(Expr::col((marks, "marked_by")).eq(scope.task.as_str())))
        .take();
    let unmarked = Condition::all()
        .add(Expr::col("app_id").eq(scope.app.0))
        .add(any_of(["type", "id"], cids))
        .add(Expr::exists(marked).not());
    // The mark of a user who is erased goes with it, as its membership does.
    let another = Query::select()
        .expr(Expr::cust("1"))
        .from(members)
        .cond_where(inside(members).add(Expr::col((members, "user_id")).ne(scope.user.as_str())))
        .take();
    unmarked.add_option((plan.user == Mode::Hard).then(|| Expr::exists(another)))
}

/// Marks channels that the user owns and that the task has not marked yet.
pub(super) async fn mark_owned(
    tx: &Tx,
    scope: &Scope,
    after: &str,
    limit: u64,
) -> Result<Stride, StoreError> {
    let limit = Ord::min(limit, AT_ONCE);
    let mut select = Query::select();
    select
        .columns(["type", "id"])
        .from("channels")
        .cond_where(where_is(scope.app, "created_by_id", &scope.user))
        .order_by("type", Order::Asc)
        .order_by("id", Order::Asc)
        .limit(limit);
    if let Some((kind, id)) = after.split_once('\n') {
        let key = Expr::tuple([Expr::col("type"), Expr::col("id")]);
        select.and_where(key.gt(Expr::tuple([Expr::val(kind), Expr::val(id)])));
    }
    select.and_where(Expr::exists(own_mark(scope)).not());
    let cids = pairs(tx, &select).await?;
    let rows =
        if cids.is_empty() { Rows::default() } else { put_marks(tx, scope, Shared::Channels, &cids).await? };
    let next = match cids.last() {
        Some([kind, id]) if cids.len() as u64 == limit => Next::After(format!("{kind}\n{id}")),
        // A channel that got another id on the way may lie before.
        _ if !after.is_empty() => Next::After(String::new()),
        _ => Next::Over,
    };
    Ok(Stride { rows, looked: cids.len() as u64, next })
}

/// The mark of the scope's task and user on a channel.
fn own_mark(scope: &Scope) -> SelectStatement {
    let mark = |column| Expr::col(("channel_marks", column));
    Query::select()
        .expr(Expr::cust("1"))
        .from("channel_marks")
        .and_where(mark("app_id").equals(("channels", "app_id")))
        .and_where(mark("channel_type").equals(("channels", "type")))
        .and_where(mark("channel_id").equals(("channels", "id")))
        .and_where(mark("user_id").eq(scope.user.as_str()))
        .and_where(mark("marked_by").eq(scope.task.as_str()))
        .take()
}

/// Undoes the marks that the task put for this user.
pub(super) async fn unmark(tx: &Tx, scope: &Scope, shared: Shared, limit: u64) -> Result<Stride, StoreError> {
    let which =
        where_is(scope.app, "user_id", &scope.user).add(Expr::col("marked_by").eq(scope.task.as_str()));
    let rows = delete_some(tx, place(shared).marks, which, limit).await?;
    Ok(Stride::again(rows, limit))
}

/// Removes the next target, with all that is in it.
pub(super) async fn erase_target(
    tx: &Tx,
    scope: &Scope,
    shared: Shared,
    limit: u64,
) -> Result<Stride, StoreError> {
    let Place { table, members, columns, kind, .. } = place(shared);
    let Some(cid) = next_targets(tx, scope, kind, 1).await?.pop() else { return Ok(Stride::nothing()) };
    let within = |columns| any_of(columns, std::slice::from_ref(&cid));
    let in_app = || Condition::all().add(Expr::col("app_id").eq(scope.app.0));
    let more = |rows| Ok(Stride { rows, looked: 0, next: Next::After(String::new()) });

    if shared == Shared::Channels {
        let messages = made::messages_of(tx, in_app().add(within(columns)), limit).await?;
        if !messages.is_empty() {
            let erased = erase::whole(tx, scope.app, Made::Messages, &messages, limit).await?;
            let (erase::Erased::Some(rows) | erase::Erased::All(rows)) = erased;
            return more(rows);
        }
    }
    let mut rows = delete_some(tx, members, in_app().add(within(columns)), limit).await?;
    if rows.total() >= limit {
        return more(rows);
    }
    let [kind_of, id] = &cid;
    let named = in_app()
        .add(Expr::col("owner_kind").eq(kind.as_str()))
        .add(Expr::col("owner_id").eq(format!("{kind_of}:{id}")));
    rows += delete_some(tx, "named_users", named, limit).await?;
    // Its marks go with it.
    rows += delete_some(tx, table, in_app().add(within(["type", "id"])), 1).await?;
    let done = targets(scope, kind).add(within(["type", "id"]));
    delete_some(tx, "deletion_targets", done, 1).await?;
    more(rows)
}
