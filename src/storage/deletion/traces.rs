//! Erasing a user's id from wherever it stands, by the register of columns.

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{Next, Rows, Scope, Stride, any, delete_some, replace_some, where_is};
use crate::model::clock::Timestamp;
use crate::model::content::Naming;
use crate::model::history::Cause;
use crate::model::id::UserId;
use crate::model::import;
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::user::{Profile, User};
use crate::storage::columns::{Trace, traces};
use crate::storage::entity::{import as imports, import_refusal, import_waiting, user};
use crate::storage::import::{delete_waiting, insert_refusals, lock_import, update_import};
use crate::storage::row::UserMarks;
use crate::storage::upsert::{Stored, write_rows};
use crate::storage::{Db, StoreError, Tx, archives};

/// Flags on the user: the one place where a column names a user only now and then.
fn flags_on(scope: &Scope) -> Condition {
    where_is(scope.app, "entity_id", &scope.user).add(Expr::col("entity_type").eq("user"))
}

/// Channels, or calls, that a mark of the user's keeps deleted.
fn marked(marks: &'static str, columns: [&'static str; 2], scope: &Scope) -> Condition {
    let [kind, id] = columns;
    let marked = Query::select()
        .columns([kind, id])
        .from(marks)
        .cond_where(where_is(scope.app, "user_id", &scope.user))
        .take();
    Condition::all()
        .add(Expr::col("app_id").eq(scope.app.0))
        .add(Expr::col("deleted_at").is_null())
        .add(Expr::tuple([Expr::col("type"), Expr::col("id")]).in_subquery(marked))
}

/// Erases up to `limit` traces or a few more; `after` is the number of the column that comes next.
pub(super) async fn erase(tx: &Tx, scope: &Scope, after: &str, limit: u64) -> Result<Stride, StoreError> {
    let first: usize = after.parse().unwrap_or_default();
    let mut rows = Rows::default();
    if first == 0 {
        rows += keep_deleted(tx, scope, limit).await?;
        rows += delete_some(tx, "flags", flags_on(scope), limit).await?;
        if rows.total() >= limit {
            return Ok(Stride { rows, looked: 0, next: Next::After(String::new()) });
        }
    }
    for at in list_traces(tx, scope, first).await? {
        let Some((table, column, trace)) = traces().nth(at) else { continue };
        rows += erase_one(tx, scope, table, column, trace, limit).await?;
        if rows.total() >= limit {
            return Ok(Stride { rows, looked: 0, next: Next::After(at.to_string()) });
        }
    }
    Ok(Stride::over(rows))
}

/// What the user's marks keep deleted stays so, though nobody can undo them any more.
async fn keep_deleted(tx: &Tx, scope: &Scope, limit: u64) -> Result<Rows, StoreError> {
    let now = || Expr::val(scope.now.micros());
    let channels = marked("channel_marks", ["channel_type", "channel_id"], scope);
    let calls = marked("call_marks", ["call_type", "call_id"], scope);
    let mut rows = replace_some(tx, "channels", "deleted_at", now(), channels, limit).await?;
    rows += replace_some(tx, "calls", "deleted_at", now(), calls, limit).await?;
    Ok(rows)
}

async fn erase_one(
    tx: &Tx,
    scope: &Scope,
    table: &'static str,
    column: &'static str,
    trace: Trace,
    limit: u64,
) -> Result<Rows, StoreError> {
    let which = where_is(scope.app, column, &scope.user);
    let stand_in = match trace {
        Trace::Itself | Trace::Cascade => return Ok(Rows::default()),
        Trace::Row => return delete_some(tx, table, which, limit).await,
        Trace::Listed => return erase_listed(tx, scope, table, column, limit).await,
        Trace::Item => return Ok(Rows::uncounted(super::tasks::erase_items(tx, scope, limit).await?)),
        Trace::Archive => return erase_archives(tx, scope, table, limit).await,
        Trace::History => return Ok(Rows::uncounted(super::history::erase(tx, scope, limit).await?)),
        Trace::Asker(words) => {
            let rows = super::history::erase_author(tx, scope, (table, column, words), limit).await?;
            return Ok(Rows::uncounted(rows));
        }
        // Removed by their own stages.
        Trace::Author if !scope.stand_ins.keeps_authors => return Ok(Rows::default()),
        Trace::Author if ["messages", "reactions"].contains(&table) => return Ok(Rows::default()),
        Trace::Author => {
            if any(tx, table, which.clone()).await? {
                insert_ghost(tx, scope).await?;
            }
            &scope.stand_ins.system
        }
        Trace::Channel => &scope.stand_ins.channel_owner,
        Trace::Call => &scope.stand_ins.call_owner,
        Trace::System => &scope.stand_ins.system,
        Trace::Pseudonym => &scope.stand_ins.pseudonym,
    };
    replace_some(tx, table, column, Expr::val(stand_in.as_str()), which, limit).await
}

/// Removes archives of the user, or that name it, in strides of their own: chunks are large.
async fn erase_archives(tx: &Tx, scope: &Scope, table: &'static str, limit: u64) -> Result<Rows, StoreError> {
    if scope.stand_ins.keeps_archives && table == "export_files" {
        // One that is not whole is of no use.
        let whole = where_is(scope.app, "user_id", &scope.user).add(Expr::col("sha256").is_not_null());
        let pseudonym = Expr::val(scope.stand_ins.pseudonym.as_str());
        let kept = replace_some(tx, table, "user_id", pseudonym, whole, limit).await?;
        if kept.total() > 0 {
            return Ok(kept);
        }
    }
    let Some(archive) = archives::find_of_user(tx, scope.app, table, &scope.user).await? else {
        return Ok(Rows::default());
    };
    archives::delete_some(tx, archive).await?;
    // The batch ends here: there may be more.
    Ok(Rows::uncounted(limit))
}

/// Takes the user out of lists. One that names it alone, and means everybody when it is empty, must not
/// become so: there the system id takes its place.
async fn erase_listed(
    tx: &Tx,
    scope: &Scope,
    table: &'static str,
    column: &'static str,
    limit: u64,
) -> Result<Rows, StoreError> {
    let narrowing = Naming::NARROWING.as_str();
    let system = scope.stand_ins.system.as_str();
    let of_user = || where_is(scope.app, column, &scope.user);
    // An earlier user with this id may have left the same system id there.
    let same_list = ["app_id", "owner_kind", "owner_id", "naming"]
        .into_iter()
        .fold(Condition::all(), |all, part| all.add(Expr::col(("other", part)).equals((table, part))));
    let beside_stand_in = Query::select()
        .expr(Expr::cust("1"))
        .from_as(table, "other")
        .cond_where(same_list.add(Expr::col(("other", column)).eq(system)))
        .take();
    let goes = Condition::any().add(Expr::col("naming").ne(narrowing)).add(Expr::exists(beside_stand_in));
    let mut rows = delete_some(tx, table, of_user().add(goes), limit).await?;
    if rows.total() >= limit || !any(tx, table, of_user()).await? {
        return Ok(rows);
    }
    insert_ghost(tx, scope).await?;
    rows += replace_some(tx, table, column, Expr::val(system), of_user(), limit).await?;
    Ok(rows)
}

/// Makes a deleted user with nothing but the system id, so that kept content has an author, and a list a name.
async fn insert_ghost(tx: &Tx, scope: &Scope) -> Result<(), StoreError> {
    let ghost = User {
        profile: Profile::bare(UserId::stored(scope.stand_ins.system.clone()), role::DEFAULT.to_owned()),
        created_at: scope.now,
        updated_at: scope.now,
        deactivated_at: None,
        deactivation: Cause::default(),
        deleted_at: Some(scope.now),
        tokens_revoked_before: None,
        last_active: None,
        avg_response_time: None,
        version: 1,
    };
    let ghost = Stored { user: ghost.into(), marks: UserMarks::default() };
    if write_rows(tx, scope.app, &[&ghost]).await? == 0 {
        return Ok(());
    }
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(user::Column::Pruned, true)
        .and_where(user::Column::AppId.eq(scope.app.0))
        .and_where(user::Column::Id.eq(scope.stand_ins.system.as_str()));
    tx.execute(&update).await?;
    Ok(())
}

/// Whether anything but its row names the user.
pub(super) async fn is_named(db: &Db, scope: &Scope) -> Result<bool, StoreError> {
    Ok(!list_traces(db, scope, 0).await?.is_empty() || any(db, "flags", flags_on(scope)).await?)
}

/// The numbers of the columns from `first` on that name the user, in order. One statement: most users are named in
/// few of them.
async fn list_traces(db: &Db, scope: &Scope, first: usize) -> Result<Vec<usize>, StoreError> {
    let counts = |trace| !matches!(trace, Trace::Itself | Trace::Cascade);
    let looked: Vec<_> =
        traces().enumerate().skip(first).filter(|(_, (_, _, trace))| counts(*trace)).collect();
    let mut select = Query::select();
    for (_, (table, column, _)) in &looked {
        let named = Query::select()
            .expr(Expr::cust("1"))
            .from(*table)
            .cond_where(where_is(scope.app, column, &scope.user))
            .take();
        select.expr(Expr::exists(named));
    }
    let Some(row) = db.query_one(&select).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (at, (number, _)) in looked.iter().enumerate() {
        if row.try_get_by_index::<bool>(at)? {
            found.push(*number);
        }
    }
    Ok(found)
}

/// Refuses items of imports that wait and name the user.
pub(super) async fn give_up_waiting(
    tx: &Tx,
    scope: &Scope,
    after: &str,
    limit: u64,
) -> Result<Stride, StoreError> {
    use import_waiting::Column;
    let mut select = import_waiting::Entity::find().filter(Column::AppId.eq(scope.app.0));
    if let Some((no, offset)) = place(after) {
        let key = Expr::tuple([Expr::col(Column::ImportNo), Expr::col(Column::ItemOffset)]);
        select = select.filter(key.gt(Expr::tuple([Expr::val(no), Expr::val(offset)])));
    }
    let waiting = select
        .order_by_asc(Column::ImportNo)
        .order_by_asc(Column::ItemOffset)
        .limit(limit)
        .all(&**tx)
        .await?;
    let next = match waiting.last() {
        Some(last) if waiting.len() as u64 == limit => {
            Next::After(format!("{} {}", last.import_no, last.item_offset))
        }
        _ => Next::Over,
    };
    let mut rows = 0;
    for of_one in waiting.chunk_by(|one, other| one.import_no == other.import_no) {
        let named: Vec<&import_waiting::Model> =
            of_one.iter().filter(|item| import::names(&item.json, &scope.user)).collect();
        if let Some(first) = named.first() {
            refuse(tx, scope, first.import_no, &named).await?;
            rows += named.len() as u64;
        }
    }
    Ok(Stride { rows: Rows::uncounted(rows), looked: waiting.len() as u64, next })
}

fn place(after: &str) -> Option<(i64, i64)> {
    let (no, offset) = after.split_once(' ')?;
    Some((no.parse().ok()?, offset.parse().ok()?))
}

async fn refuse(tx: &Tx, scope: &Scope, no: i64, items: &[&import_waiting::Model]) -> Result<(), StoreError> {
    let found = imports::Entity::find()
        .filter(imports::Column::AppId.eq(scope.app.0))
        .filter(imports::Column::No.eq(no))
        .one(&**tx)
        .await?;
    let Some(found) = found else { return Ok(()) };
    let Some(mut import) = lock_import(tx, scope.app, &found.import_id).await? else { return Ok(()) };
    let refusal = |(item, no): (&&import_waiting::Model, i64)| import_refusal::Model {
        app_id: scope.app.0,
        import_no: item.import_no,
        item_offset: item.item_offset,
        reason: Reason::UserDeleted.as_str().to_owned(),
        field: String::new(),
        message: "names a user who is deleted".to_owned(),
        no,
    };
    insert_refusals(tx, items.iter().zip(import.refused + 1..).map(refusal).collect()).await?;
    let offsets: Vec<i64> = items.iter().map(|item| item.item_offset).collect();
    delete_waiting(tx, scope.app, no, &offsets).await?;
    import.refused += i64::try_from(items.len()).unwrap_or(i64::MAX);
    import.updated_at = scope.now.max(Timestamp::from_micros(import.updated_at)).micros();
    update_import(tx, &import).await
}
