//! How far imports got, what they refused, and what waits.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
};

use super::entity::{import, import_refusal, import_waiting};
use super::{Db, StoreError, Tx};
use crate::model::id::AppId;

/// Rows per statement.
const CHUNK: usize = 1_000;

/// Locks the import `import_id` and reads it.
pub async fn lock_import(tx: &Tx, app: AppId, import_id: &str) -> Result<Option<import::Model>, StoreError> {
    let mut select = import::Entity::find_by_id((app.0, import_id.to_owned()));
    tx.backend().lock(QueryTrait::query(&mut select));
    Ok(select.one(&**tx).await?)
}

/// Stores a new import; `Conflict` where somebody else began it just now.
pub async fn insert_import(tx: &Tx, import: import::Model) -> Result<(), StoreError> {
    let inserted = import::Entity::insert(import.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    if inserted == 0 { Err(StoreError::Conflict) } else { Ok(()) }
}

/// Stores what changed of a locked import.
pub async fn update_import(tx: &Tx, import: &import::Model) -> Result<(), StoreError> {
    let mut row = import.clone().into_active_model();
    row.committed_offset = Set(import.committed_offset);
    row.accepted = Set(import.accepted);
    row.skipped = Set(import.skipped);
    row.updated_at = Set(import.updated_at);
    row.items = Set(import.items);
    row.refused = Set(import.refused);
    row.content_sha256 = Set(import.content_sha256.clone());
    row.update(&**tx).await?;
    Ok(())
}

/// Stores what was refused.
pub async fn insert_refusals(tx: &Tx, refusals: Vec<import_refusal::Model>) -> Result<(), StoreError> {
    for chunk in refusals.chunks(CHUNK) {
        let rows = chunk.iter().cloned().map(IntoActiveModel::into_active_model);
        import_refusal::Entity::insert_many(rows).exec_without_returning(&**tx).await?;
    }
    Ok(())
}

/// What an import has refused, in the order it was told, after the one numbered and placed `after`.
pub async fn list_refusals(
    db: &Db,
    app: AppId,
    no: i64,
    after: Option<(i64, i64)>,
    limit: u64,
) -> Result<Vec<import_refusal::Model>, StoreError> {
    use import_refusal::Column;
    let mut select =
        import_refusal::Entity::find().filter(Column::AppId.eq(app.0)).filter(Column::ImportNo.eq(no));
    if let Some((refusal, offset)) = after {
        let behind = Expr::tuple([Expr::col(Column::No), Expr::col(Column::ItemOffset)])
            .gt(Expr::tuple([Expr::val(refusal), Expr::val(offset)]));
        select = select.filter(behind);
    }
    Ok(select.order_by_asc(Column::No).order_by_asc(Column::ItemOffset).limit(limit).all(db).await?)
}

/// How many items of an import wait, and how many bytes they have together.
pub async fn waiting_total(db: &Db, app: AppId, no: i64) -> Result<(i64, i64), StoreError> {
    let total = waiting(app, no)
        .select_only()
        .column_as(Expr::cust("COUNT(*)"), "items")
        .column_as(Expr::cust("COALESCE(SUM(bytes), 0)"), "bytes")
        .into_tuple()
        .one(db)
        .await?;
    Ok(total.unwrap_or_default())
}

/// Which of the items that wait are meant.
#[derive(Debug)]
pub enum Waiting<'a> {
    /// The first `n` by offset.
    First(u64),
    /// Those numbered so or lower.
    UpTo(i64),
    /// Those with one of these keys, or that need one of them, as `Key::text`.
    With {
        /// Their own.
        keys: &'a [String],
        /// Of what they need.
        needs: &'a [String],
    },
}

/// Items of an import that wait, by offset.
pub async fn list_waiting(
    db: &Db,
    app: AppId,
    no: i64,
    which: Waiting<'_>,
) -> Result<Vec<import_waiting::Model>, StoreError> {
    use import_waiting::Column;
    let all = waiting(app, no).order_by_asc(Column::ItemOffset);
    let (keys, needs) = match which {
        Waiting::First(limit) => return Ok(all.limit(limit).all(db).await?),
        Waiting::UpTo(item_no) => return Ok(all.filter(Column::ItemNo.lte(item_no)).all(db).await?),
        Waiting::With { keys, needs } => (keys, needs),
    };
    let mut found = Vec::new();
    for (column, texts) in [(Column::ItemKey, keys), (Column::Needs, needs)] {
        for chunk in texts.chunks(CHUNK) {
            found.extend(all.clone().filter(column.is_in(chunk)).all(db).await?);
        }
    }
    Ok(found)
}

/// Lets items wait.
pub async fn insert_waiting(tx: &Tx, items: Vec<import_waiting::Model>) -> Result<(), StoreError> {
    for chunk in items.chunks(CHUNK) {
        let rows = chunk.iter().cloned().map(IntoActiveModel::into_active_model);
        import_waiting::Entity::insert_many(rows).exec_without_returning(&**tx).await?;
    }
    Ok(())
}

/// Notes that waiting items wait for something else.
pub async fn update_needs(
    tx: &Tx,
    app: AppId,
    no: i64,
    needs: &str,
    offsets: &[i64],
) -> Result<(), StoreError> {
    for chunk in offsets.chunks(CHUNK) {
        import_waiting::Entity::update_many()
            .col_expr(import_waiting::Column::Needs, Expr::val(needs))
            .filter(at(app, no, chunk))
            .exec(&**tx)
            .await?;
    }
    Ok(())
}

/// Items wait no longer.
pub async fn delete_waiting(tx: &Tx, app: AppId, no: i64, offsets: &[i64]) -> Result<(), StoreError> {
    for chunk in offsets.chunks(CHUNK) {
        import_waiting::Entity::delete_many().filter(at(app, no, chunk)).exec(&**tx).await?;
    }
    Ok(())
}

fn waiting(app: AppId, no: i64) -> Select<import_waiting::Entity> {
    import_waiting::Entity::find()
        .filter(import_waiting::Column::AppId.eq(app.0))
        .filter(import_waiting::Column::ImportNo.eq(no))
}

fn at(app: AppId, no: i64, offsets: &[i64]) -> Condition {
    Condition::all()
        .add(import_waiting::Column::AppId.eq(app.0))
        .add(import_waiting::Column::ImportNo.eq(no))
        .add(import_waiting::Column::ItemOffset.is_in(offsets.iter().copied()))
}
