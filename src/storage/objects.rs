//! Objects of archives in the object store, by what the database knows of them.
//!
//! A row is there before anything is sent to the store, and goes after the store has deleted the object: nothing
//! lies there that no row names. An archive is not deleted while it has rows here.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement, SimpleExpr};

use super::{Db, StoreError, Tx};
use crate::model::archive::{ArchiveId, ArchiveObject};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, TaskId};

/// Objects that are deleted at a time.
const BATCH: u64 = 100;

const COLUMNS: [&str; 7] = ["app_id", "task_id", "idx", "name", "upload", "created_at", "is_settled"];

fn rows_of(id: ArchiveId) -> Condition {
    Condition::all()
        .add(Expr::col("app_id").eq(id.app.0))
        .add(Expr::col("task_id").eq(id.task.to_string()))
        .add(Expr::col("idx").eq(id.index))
}

fn row_of(id: ArchiveId, name: &str) -> Condition {
    rows_of(id).add(Expr::col("name").eq(name))
}

/// Notes that an object of this name is about to be uploaded. Those of earlier attempts are doomed.
pub async fn begin(tx: &Tx, id: ArchiveId, name: &str, now: Timestamp) -> Result<(), StoreError> {
    doom(tx, id).await?;
    let mut insert = Query::insert();
    insert
        .into_table("export_objects")
        .columns(["app_id", "task_id", "idx", "name", "created_at", "is_settled", "is_doomed"])
        .values_panic([
            id.app.0.into(),
            id.task.to_string().into(),
            id.index.into(),
            name.into(),
            now.micros().into(),
            false.into(),
            false.into(),
        ]);
    tx.execute(&insert).await?;
    Ok(())
}

/// Notes what ends the upload of an object from outside.
pub async fn note_upload(tx: &Tx, id: ArchiveId, name: &str, upload: &str) -> Result<(), StoreError> {
    let mut update = Query::update();
    update.table("export_objects").value("upload", upload).cond_where(row_of(id, name));
    tx.execute(&update).await?;
    Ok(())
}

/// Notes that an object is whole; false where it is doomed, or not known.
pub async fn settle(tx: &Tx, id: ArchiveId, name: &str) -> Result<bool, StoreError> {
    let mut update = Query::update();
    update
        .table("export_objects")
        .value("is_settled", true)
        .cond_where(row_of(id, name))
        .and_where(Expr::col("is_doomed").eq(false));
    Ok(tx.execute(&update).await?.rows_affected() == 1)
}

/// Lets the objects of an archive be deleted.
pub async fn doom(tx: &Tx, id: ArchiveId) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table("export_objects")
        .value("is_doomed", true)
        .cond_where(rows_of(id))
        .and_where(Expr::col("is_doomed").eq(false));
    tx.execute(&update).await?;
    Ok(())
}

/// Holds for a row of `export_files` without doomed objects.
pub(super) fn none_doomed() -> SimpleExpr {
    let of_file = ["app_id", "task_id", "idx"].into_iter().fold(Condition::all(), |all, part| {
        all.add(Expr::col(("export_objects", part)).equals(("export_files", part)))
    });
    let doomed = Query::select()
        .column(("export_objects", "idx"))
        .from("export_objects")
        .cond_where(of_file.add(Expr::col(("export_objects", "is_doomed")).eq(true)))
        .take();
    Expr::exists(doomed).not()
}

/// Whether an archive has objects, doomed ones too.
pub async fn any(tx: &Tx, id: ArchiveId) -> Result<bool, StoreError> {
    let select = Query::select().column("idx").from("export_objects").cond_where(rows_of(id)).limit(1).take();
    Ok(tx.query_one(&select).await?.is_some())
}

/// Which doomed objects are looked for.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Doomed<'a> {
    OfApp(AppId),
    OfTask(AppId, TaskId),
    /// Of archives that belong to a user, or name it.
    OfUser(AppId, &'a str),
}

/// Some doomed objects.
pub async fn list_doomed(db: &Db, which: Doomed<'_>) -> Result<Vec<ArchiveObject>, StoreError> {
    let (app, narrowed) = match which {
        Doomed::OfApp(app) => (app, Condition::all()),
        Doomed::OfTask(app, task) => (app, Condition::all().add(Expr::col("task_id").eq(task.to_string()))),
        Doomed::OfUser(app, user) => {
            let archive = || Expr::tuple([Expr::col("task_id"), Expr::col("idx")]);
            let of = |table| archive().in_subquery(archives_of(app, table, user));
            (app, Condition::any().add(of("export_files")).add(of("export_names")))
        }
    };
    let select = Query::select()
        .columns(COLUMNS)
        .from("export_objects")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("is_doomed").eq(true))
        .cond_where(narrowed)
        .limit(BATCH)
        .take();
    db.query_all(&select).await?.iter().map(parse).collect()
}

fn archives_of(app: AppId, table: &'static str, user: &str) -> SelectStatement {
    Query::select()
        .columns(["task_id", "idx"])
        .from(table)
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("user_id").eq(user))
        .take()
}

fn parse(row: &sea_orm::QueryResult) -> Result<ArchiveObject, StoreError> {
    let task: String = row.try_get_by_index(1)?;
    let task = task.parse().map_err(|_| StoreError::corrupt("export_objects.task_id"))?;
    Ok(ArchiveObject {
        id: ArchiveId { app: AppId(row.try_get_by_index(0)?), task, index: row.try_get_by_index(2)? },
        name: row.try_get_by_index(3)?,
        upload: row.try_get_by_index(4)?,
        created_at: Timestamp::from_micros(row.try_get_by_index(5)?),
        is_settled: row.try_get_by_index(6)?,
    })
}

/// Forgets objects that the store has deleted.
pub async fn forget(tx: &Tx, objects: &[ArchiveObject]) -> Result<(), StoreError> {
    for object in objects {
        let mut delete = Query::delete();
        delete.from_table("export_objects").cond_where(row_of(object.id, &object.name));
        tx.execute(&delete).await?;
    }
    Ok(())
}
