//! What a deletion is to reach beside its users, as it was when it was accepted: channels and calls of two
//! members, and who inherits.

use std::collections::HashSet;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait as _, Query};

use super::shared::{Place, place};
use super::{Scope, texts};
use crate::model::content::Kind;
use crate::model::deletion::{Mode, Shared};
use crate::model::id::AppId;
use crate::model::task::{Outcome, Task};
use crate::storage::{Db, StoreError, Tx};

/// Notes the channels or calls that have exactly two members, one of them a user whose item is pending.
pub async fn insert_targets(tx: &Tx, task: &Task, shared: Shared) -> Result<(), StoreError> {
    let Place { members, columns: [kind, id], kind: what, .. } = place(shared);
    let item = |column| Expr::col(("task_items", column));
    let member = |column: &'static str| Expr::col((members, column));
    let on = Condition::all()
        .add(member("app_id").equals(("task_items", "app_id")))
        .add(member("user_id").equals(("task_items", "user_id")));
    let mut found = Query::select();
    found
        .exprs([item("app_id"), item("task_id"), item("idx")])
        .expr(Expr::val(what.as_str()))
        .exprs([member(kind), member(id)])
        .from("task_items")
        .inner_join(members, on)
        .and_where(item("app_id").eq(task.app.0))
        .and_where(item("task_id").eq(task.id.to_string()))
        .and_where(item("outcome").eq(0))
        .and_where(Expr::cust(of_two(shared)));
    let mut insert = Query::insert();
    insert
        .into_table("deletion_targets")
        .columns(["app_id", "task_id", "idx", "kind", "type", "id"])
        .select_from(found)
        .map_err(|err| StoreError::Internal(err.to_string()))?;
    tx.execute(&insert).await?;
    Ok(())
}

/// That a membership is of a channel or call with exactly two members; counting stops where there are more.
pub(in crate::storage) fn of_two(shared: Shared) -> String {
    in_one_of_two(shared, place(shared).members)
}

/// That a row of `table`, which names a channel or call as memberships do, is in one with exactly two members.
fn in_one_of_two(shared: Shared, table: &str) -> String {
    let Place { members, columns: [kind, id], .. } = place(shared);
    format!(
        "(SELECT COUNT(*) FROM (SELECT 1 FROM {members} AS peer WHERE peer.app_id = {table}.app_id \
         AND peer.{kind} = {table}.{kind} AND peer.{id} = {table}.{id} LIMIT 3) AS peers) = 2"
    )
}

/// Messages that the task is still to remove, with the channel they are in: one of its two members is a user of an
/// item that is pending, and is to be deleted, or deleted further.
pub(super) fn doomed_messages(scope: &Scope, mode: Mode) -> Condition {
    let item = |column| Expr::col(("task_items", column));
    let target = |column| Expr::col(("deletion_targets", column));
    let user = |column| Expr::col(("users", column));
    let to_go = Condition::any()
        .add(user("deleted_at").is_null())
        .add(user("deleted_by").eq(scope.task.as_str()))
        .add_option((mode == Mode::Pruning).then(|| user("pruned").eq(false)));
    let by_target = Query::select()
        .expr(Expr::cust("1"))
        .from("channel_members")
        .inner_join(
            "task_items",
            Condition::all()
                .add(item("app_id").equals(("channel_members", "app_id")))
                .add(item("user_id").equals(("channel_members", "user_id"))),
        )
        .inner_join(
            "deletion_targets",
            Condition::all()
                .add(target("app_id").equals(("task_items", "app_id")))
                .add(target("task_id").equals(("task_items", "task_id")))
                .add(target("idx").equals(("task_items", "idx")))
                .add(target("type").equals(("channel_members", "channel_type")))
                .add(target("id").equals(("channel_members", "channel_id"))),
        )
        .inner_join(
            "users",
            Condition::all()
                .add(user("app_id").equals(("channel_members", "app_id")))
                .add(user("id").equals(("channel_members", "user_id"))),
        )
        .and_where(Expr::col(("channel_members", "app_id")).equals(("messages", "app_id")))
        .and_where(Expr::col(("channel_members", "channel_type")).equals(("messages", "channel_type")))
        .and_where(Expr::col(("channel_members", "channel_id")).equals(("messages", "channel_id")))
        .and_where(item("task_id").eq(scope.task.as_str()))
        .and_where(item("outcome").eq(Outcome::Pending.code()))
        .and_where(target("kind").eq(Kind::Channel.as_str()))
        .cond_where(to_go)
        .take();
    // Cheap, and not true of channels with many members.
    let of_two = Expr::cust(in_one_of_two(Shared::Channels, "messages"));
    Condition::all().add(of_two).add(Expr::exists(by_target))
}

/// Items that have targets, from the first of these to the last.
pub async fn list_targeted(db: &Db, task: &Task, items: &[i32]) -> Result<HashSet<i32>, StoreError> {
    let (Some(first), Some(last)) = (items.iter().min(), items.iter().max()) else {
        return Ok(HashSet::new());
    };
    let select = Query::select()
        .distinct()
        .column("idx")
        .from("deletion_targets")
        .and_where(Expr::col("app_id").eq(task.app.0))
        .and_where(Expr::col("task_id").eq(task.id.to_string()))
        // Those between, too: one range is read faster than a thousand places.
        .and_where(Expr::col("idx").between(*first, *last))
        .take();
    let rows = db.query_all(&select).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// Forgets what is left of a task's targets.
pub async fn delete_targets(tx: &Tx, task: &Task) -> Result<(), StoreError> {
    let mut delete = Query::delete();
    delete
        .from_table("deletion_targets")
        .and_where(Expr::col("app_id").eq(task.app.0))
        .and_where(Expr::col("task_id").eq(task.id.to_string()));
    tx.execute(&delete).await?;
    Ok(())
}

/// Notes who inherits.
pub async fn insert_heir(tx: &Tx, task: &Task, shared: Shared, heir: &str) -> Result<(), StoreError> {
    let mut insert = Query::insert();
    insert.into_table("deletion_heirs").columns(["app_id", "task_id", "kind", "user_id"]).values_panic([
        task.app.0.into(),
        task.id.to_string().into(),
        place(shared).kind.as_str().into(),
        heir.into(),
    ]);
    tx.execute(&insert).await?;
    Ok(())
}

/// Who inherits, where there is somebody still. A heir who is deleted since does not inherit.
pub async fn find_heir(
    db: &Db,
    app: AppId,
    task: &str,
    shared: Shared,
) -> Result<Option<String>, StoreError> {
    let heirs = Alias::new("deletion_heirs");
    let on = Condition::all()
        .add(Expr::col(("users", "app_id")).equals(("deletion_heirs", "app_id")))
        .add(Expr::col(("users", "id")).equals(("deletion_heirs", "user_id")));
    let select = Query::select()
        .column((heirs.clone(), "user_id"))
        .from(heirs)
        .inner_join("users", on)
        .and_where(Expr::col(("deletion_heirs", "app_id")).eq(app.0))
        .and_where(Expr::col(("deletion_heirs", "task_id")).eq(task))
        .and_where(Expr::col(("deletion_heirs", "kind")).eq(place(shared).kind.as_str()))
        .and_where(Expr::col(("users", "deleted_at")).is_null())
        .take();
    Ok(texts(db, &select).await?.pop())
}
