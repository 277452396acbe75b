//! Erasing a user from tasks: from their items, and from the words of whoever asked for them.

use sea_orm::sea_query::{ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use super::{Scope, any, where_is};
use crate::model::pseudonym::replace_id;
use crate::storage::entity::{task, task_item};
use crate::storage::{StoreError, Tx};

#[derive(sea_orm::FromQueryResult)]
struct Words {
    id: String,
    reason: String,
    request_id: Option<String>,
    users_total: i64,
    finished_at: Option<i64>,
}

/// Writes the pseudonym in up to `limit` items that name the user, and in the words of their tasks.
///
/// Both in one transaction: by its items alone can a task be told to be about the user.
pub(super) async fn erase_items(tx: &Tx, scope: &Scope, limit: u64) -> Result<u64, StoreError> {
    let of_user = || {
        Condition::all()
            .add(task_item::Column::AppId.eq(scope.app.0))
            .add(task_item::Column::UserId.eq(scope.user.as_str()))
    };
    let ids: Vec<String> = task_item::Entity::find()
        .filter(of_user())
        .limit(limit)
        .select_only()
        .column(task_item::Column::TaskId)
        .into_tuple()
        .all(&**tx)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let rows = erase_words(tx, scope, &ids).await?;
    let mut update = Query::update();
    update
        .table(task_item::Entity)
        .value(task_item::Column::UserId, scope.stand_ins.pseudonym.as_str())
        .cond_where(of_user())
        .and_where(task_item::Column::TaskId.is_in(&ids));
    Ok(rows + tx.execute(&update).await?.rows_affected())
}

/// What was said of a task that has ended and was about nobody else goes. Other tasks keep their words, with
/// the pseudonym for the id: what erases the user is to be accounted for, and the others are about others, too.
async fn erase_words(tx: &Tx, scope: &Scope, ids: &[String]) -> Result<u64, StoreError> {
    use task::Column::{AppId, FinishedAt, Id, Reason, RequestHash, RequestId, UsersTotal};
    let those = task::Entity::find()
        .filter(AppId.eq(scope.app.0))
        .filter(Id.is_in(ids))
        .filter(Reason.ne("").or(RequestId.is_not_null()))
        .select_only()
        .columns([Id, Reason, RequestId, UsersTotal, FinishedAt])
        .into_model::<Words>()
        .all(&**tx)
        .await?;
    let mut rows = 0;
    for task in those {
        let mut update = Query::update();
        if task.users_total == 1 && task.finished_at.is_some() {
            update.value(Reason, "").value(RequestId, None::<String>).value(RequestHash, None::<Vec<u8>>);
        } else {
            let replaced = |words: &str| replace_id(words, &scope.user, &scope.stand_ins.pseudonym);
            let (reason, request_id) =
                (replaced(&task.reason), task.request_id.as_deref().and_then(replaced));
            if reason.is_none() && request_id.is_none() {
                continue;
            }
            update.value(Reason, reason.unwrap_or(task.reason));
            match request_id {
                // Kept for somebody who had the id before; the older one stays, and nothing hinders the erasure.
                Some(id) if is_taken(tx, scope, &id).await? => {
                    update.value(RequestId, None::<String>).value(RequestHash, None::<Vec<u8>>);
                }
                Some(id) => {
                    update.value(RequestId, id);
                }
                None => {}
            }
        }
        update.table(task::Entity).and_where(AppId.eq(scope.app.0)).and_where(Id.eq(task.id));
        rows += tx.execute(&update).await?.rows_affected();
    }
    Ok(rows)
}

/// Whether a request of that name is remembered.
async fn is_taken(tx: &Tx, scope: &Scope, request_id: &str) -> Result<bool, StoreError> {
    any(tx, "tasks", where_is(scope.app, "request_id", request_id)).await
}
