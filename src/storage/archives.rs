//! Archives of exports: written in chunks, whole once they have a checksum, deleted a few chunks at a time.

use std::collections::HashMap;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, OnConflict, Order, Query};

use super::{Db, StoreError, Tx, objects};
use crate::model::archive::{Archive, ArchiveId};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, TaskId};

/// Chunks that one transaction deletes: each has some hundred kilobytes.
const CHUNKS: u64 = 16;
/// Bytes that are read ahead of a download: many small chunks, or one large one.
const AHEAD: i64 = 1024 * 1024;
/// Values bound in one statement.
const BOUND: usize = 1_000;

const COLUMNS: [&str; 10] = [
    "task_id",
    "idx",
    "user_id",
    "records",
    "bytes",
    "sha256",
    "expires_at",
    "downloaded_at",
    "sealed",
    "object",
];

fn rows_of(id: ArchiveId) -> Condition {
    Condition::all()
        .add(Expr::col("app_id").eq(id.app.0))
        .add(Expr::col("task_id").eq(id.task.to_string()))
        .add(Expr::col("idx").eq(id.index))
}

fn parse(app: AppId, row: &sea_orm::QueryResult) -> Result<Archive, StoreError> {
    let task: String = row.try_get_by_index(0)?;
    let task = task.parse().map_err(|_| StoreError::corrupt("export_files.task_id"))?;
    let time =
        |at: usize| Ok::<_, StoreError>(row.try_get_by_index::<Option<i64>>(at)?.map(Timestamp::from_micros));
    Ok(Archive {
        id: ArchiveId { app, task, index: row.try_get_by_index(1)? },
        user_id: row.try_get_by_index(2)?,
        records: row.try_get_by_index(3)?,
        bytes: row.try_get_by_index(4)?,
        sha256: row.try_get_by_index(5)?,
        expires_at: time(6)?,
        downloaded_at: time(7)?,
        sealed: row.try_get_by_index(8)?,
        object: row.try_get_by_index(9)?,
    })
}

/// The archive `id`, whole or not.
pub async fn find(db: &Db, id: ArchiveId) -> Result<Option<Archive>, StoreError> {
    let select = Query::select().columns(COLUMNS).from("export_files").cond_where(rows_of(id)).take();
    db.query_one(&select).await?.map(|row| parse(id.app, &row)).transpose()
}

/// The same, locked.
pub async fn lock(tx: &Tx, id: ArchiveId) -> Result<Option<Archive>, StoreError> {
    let mut select = Query::select().columns(COLUMNS).from("export_files").cond_where(rows_of(id)).take();
    tx.backend().lock(&mut select);
    tx.query_one(&select).await?.map(|row| parse(id.app, &row)).transpose()
}

/// Whole archives of a task, by the indexes of their items.
pub async fn list_whole(
    db: &Db,
    app: AppId,
    task: TaskId,
    indexes: &[i32],
) -> Result<HashMap<i32, Archive>, StoreError> {
    let (Some(first), Some(last)) = (indexes.iter().min(), indexes.iter().max()) else {
        return Ok(HashMap::new());
    };
    let select = Query::select()
        .columns(COLUMNS)
        .from("export_files")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("task_id").eq(task.to_string()))
        .and_where(Expr::col("idx").between(*first, *last))
        .and_where(Expr::col("sha256").is_not_null())
        .take();
    let rows = db.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            let archive = parse(app, row)?;
            Ok((archive.id.index, archive))
        })
        .collect()
}

/// Begins an archive.
pub async fn insert(tx: &Tx, id: ArchiveId, user: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut insert = Query::insert();
    insert
        .into_table("export_files")
        .columns(["app_id", "task_id", "idx", "user_id", "records", "bytes", "created_at"])
        .values_panic([
            id.app.0.into(),
            id.task.to_string().into(),
            id.index.into(),
            user.into(),
            0_i64.into(),
            0_i64.into(),
            now.micros().into(),
        ]);
    tx.execute(&insert).await?;
    Ok(())
}

/// Adds a chunk to an archive that is locked, and `records` to its count.
pub async fn append(tx: &Tx, archive: &Archive, data: &[u8], records: i64) -> Result<(), StoreError> {
    let (id, bytes) = (archive.id, i64::try_from(data.len()).unwrap_or(i64::MAX));
    let mut insert = Query::insert();
    insert.into_table("export_chunks").columns(["app_id", "task_id", "idx", "start", "data"]).values_panic([
        id.app.0.into(),
        id.task.to_string().into(),
        id.index.into(),
        archive.bytes.into(),
        data.to_vec().into(),
    ]);
    tx.execute(&insert).await?;
    let mut update = Query::update();
    update
        .table("export_files")
        .value("records", archive.records + records)
        .value("bytes", archive.bytes + bytes)
        .cond_where(rows_of(id));
    tx.execute(&update).await?;
    Ok(())
}

/// Notes the checksum of an archive whose chunks are all there.
pub async fn seal(tx: &Tx, id: ArchiveId, sha256: &str) -> Result<(), StoreError> {
    let mut update = Query::update();
    update.table("export_files").value("sealed", sha256).cond_where(rows_of(id));
    tx.execute(&update).await?;
    delete_all(tx, "export_numbers", id).await
}

/// Notes the object that holds an archive.
pub async fn attach(tx: &Tx, id: ArchiveId, object: &str) -> Result<(), StoreError> {
    let mut update = Query::update();
    update.table("export_files").value("object", object).cond_where(rows_of(id));
    tx.execute(&update).await?;
    Ok(())
}

/// Makes a sealed archive whole.
pub async fn publish(tx: &Tx, id: ArchiveId, expires_at: Timestamp) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table("export_files")
        .value("sha256", Expr::col("sealed"))
        .value("expires_at", expires_at.micros())
        .cond_where(rows_of(id));
    tx.execute(&update).await?;
    Ok(())
}

/// Archives of a task that are sealed and not whole, up to `limit`.
pub async fn list_sealed(db: &Db, app: AppId, task: TaskId, limit: u64) -> Result<Vec<Archive>, StoreError> {
    let select = Query::select()
        .columns(COLUMNS)
        .from("export_files")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("task_id").eq(task.to_string()))
        .and_where(Expr::col("sealed").is_not_null())
        .and_where(Expr::col("sha256").is_null())
        .order_by("idx", Order::Asc)
        .limit(limit)
        .take();
    db.query_all(&select).await?.iter().map(|row| parse(app, row)).collect()
}

/// Lets archives of a task that are not whole be swept.
pub async fn abandon(tx: &Tx, app: AppId, task: TaskId, now: Timestamp) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table("export_files")
        .value("expires_at", now.micros())
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("task_id").eq(task.to_string()))
        .and_where(Expr::col("sha256").is_null());
    tx.execute(&update).await?;
    Ok(())
}

/// Notes that a download began.
pub async fn note_download(tx: &Tx, id: ArchiveId, now: Timestamp) -> Result<(), StoreError> {
    let mut update = Query::update();
    update.table("export_files").value("downloaded_at", now.micros()).cond_where(rows_of(id));
    tx.execute(&update).await?;
    Ok(())
}

/// The chunk that holds the byte at `offset`, and some behind it, in order, each with the place of its first byte.
pub async fn list_chunks(db: &Db, id: ArchiveId, offset: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let first = Query::select()
        .expr(Expr::col("start").max())
        .from("export_chunks")
        .cond_where(rows_of(id))
        .and_where(Expr::col("start").lte(offset))
        .take();
    let select = Query::select()
        .columns(["start", "data"])
        .from("export_chunks")
        .cond_where(rows_of(id))
        .and_where(Expr::col("start").gte(Expr::SubQuery(None, Box::new(first.into()))))
        .and_where(Expr::col("start").lt(offset.saturating_add(AHEAD)))
        .order_by("start", Order::Asc)
        .take();
    let rows = db.query_all(&select).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Numbers that were given in an archive that is being written, by the hashes of what has them.
pub async fn list_numbers(
    db: &Db,
    id: ArchiveId,
    hashes: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, i64>, StoreError> {
    let mut found = HashMap::new();
    for hashes in hashes.chunks(BOUND) {
        let select = Query::select()
            .columns(["hash", "number"])
            .from("export_numbers")
            .cond_where(rows_of(id))
            .and_where(Expr::col("hash").is_in(hashes.iter().cloned()))
            .take();
        for row in db.query_all(&select).await? {
            found.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        }
    }
    Ok(found)
}

/// Stores numbers given since.
pub async fn insert_numbers(tx: &Tx, id: ArchiveId, numbers: &[(Vec<u8>, i64)]) -> Result<(), StoreError> {
    for numbers in numbers.chunks(BOUND) {
        let mut insert = Query::insert();
        insert.into_table("export_numbers").columns(["app_id", "task_id", "idx", "hash", "number"]);
        for (hash, number) in numbers {
            insert.values_panic([
                id.app.0.into(),
                id.task.to_string().into(),
                id.index.into(),
                hash.clone().into(),
                (*number).into(),
            ]);
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

/// Notes users that an archive names by their ids.
pub async fn insert_names(tx: &Tx, id: ArchiveId, users: &[&str]) -> Result<(), StoreError> {
    for users in users.chunks(BOUND) {
        let mut insert = Query::insert();
        insert
            .into_table("export_names")
            .columns(["app_id", "task_id", "idx", "user_id"])
            .on_conflict(OnConflict::new().do_nothing().to_owned());
        for user in users {
            insert.values_panic([
                id.app.0.into(),
                id.task.to_string().into(),
                id.index.into(),
                (*user).into(),
            ]);
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

/// Deletes some of an archive, and the archive itself once nothing else of it is left, in the object store either;
/// tells whether it is gone. What is left is no archive any more: no byte of it can be read.
pub async fn delete_some(tx: &Tx, id: ArchiveId) -> Result<bool, StoreError> {
    objects::doom(tx, id).await?;
    let mut update = Query::update();
    update
        .table("export_files")
        .values(["sha256", "sealed", "object"].map(|column| (column, Expr::val(None::<String>))))
        .cond_where(rows_of(id));
    tx.execute(&update).await?;
    if !delete_chunks(tx, id).await? || objects::any(tx, id).await? {
        return Ok(false);
    }
    delete_all(tx, "export_numbers", id).await?;
    delete_all(tx, "export_names", id).await?;
    delete_all(tx, "export_files", id).await?;
    Ok(true)
}

/// Deletes some of the chunks of an archive; tells whether all are gone.
pub async fn delete_chunks(tx: &Tx, id: ArchiveId) -> Result<bool, StoreError> {
    let next = Query::select()
        .column("start")
        .from("export_chunks")
        .cond_where(rows_of(id))
        .order_by("start", Order::Asc)
        .limit(CHUNKS)
        .take();
    let rows = tx.query_all(&next).await?;
    let starts: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    if let Some(last) = starts.last() {
        let mut delete = Query::delete();
        delete.from_table("export_chunks").cond_where(rows_of(id)).and_where(Expr::col("start").lte(*last));
        tx.execute(&delete).await?;
    }
    Ok((starts.len() as u64) < CHUNKS)
}

async fn delete_all(tx: &Tx, table: &'static str, id: ArchiveId) -> Result<(), StoreError> {
    let mut delete = Query::delete();
    delete.from_table(table).cond_where(rows_of(id));
    tx.execute(&delete).await?;
    Ok(())
}

/// An archive of `app` that belongs to a user, or names one by its id.
pub async fn find_of_user(
    db: &Db,
    app: AppId,
    table: &'static str,
    user: &str,
) -> Result<Option<ArchiveId>, StoreError> {
    let select = Query::select()
        .columns(["task_id", "idx"])
        .from(table)
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("user_id").eq(user))
        .limit(1)
        .take();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    id_of(app, &row).map(Some)
}

/// Whole archives of `users` that were never downloaded, up to `limit`.
pub async fn list_unread(
    db: &Db,
    app: AppId,
    users: &[&str],
    limit: u64,
) -> Result<Vec<Archive>, StoreError> {
    let select = Query::select()
        .columns(COLUMNS)
        .from("export_files")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(db.backend().json().is_one_of(Expr::col("user_id"), users))
        .and_where(Expr::col("sha256").is_not_null())
        .and_where(Expr::col("downloaded_at").is_null())
        .order_by("task_id", Order::Asc)
        .order_by("idx", Order::Asc)
        .limit(limit)
        .take();
    db.query_all(&select).await?.iter().map(|row| parse(app, row)).collect()
}

fn id_of(app: AppId, row: &sea_orm::QueryResult) -> Result<ArchiveId, StoreError> {
    let task: String = row.try_get_by_index(0)?;
    let task = task.parse().map_err(|_| StoreError::corrupt("export_files.task_id"))?;
    Ok(ArchiveId { app, task, index: row.try_get_by_index(1)? })
}

/// An archive of `app` whose time is over: it expired, or its task ended before `ended`. Those that wait for the
/// object store are passed by.
pub async fn find_expired(
    db: &Db,
    app: AppId,
    now: Timestamp,
    ended: Timestamp,
) -> Result<Option<ArchiveId>, StoreError> {
    let expired = Query::select()
        .columns(["task_id", "idx"])
        .from("export_files")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("expires_at").lte(now.micros()))
        .and_where(objects::none_doomed())
        .limit(1)
        .take();
    if let Some(row) = db.query_one(&expired).await? {
        return id_of(app, &row).map(Some);
    }
    let of_old_task = Query::select()
        .columns([("export_files", "task_id"), ("export_files", "idx")])
        .from("export_files")
        .inner_join(
            "tasks",
            Condition::all()
                .add(Expr::col(("tasks", "app_id")).equals(("export_files", "app_id")))
                .add(Expr::col(("tasks", "id")).equals(("export_files", "task_id"))),
        )
        .and_where(Expr::col(("export_files", "app_id")).eq(app.0))
        .and_where(Expr::col(("tasks", "finished_at")).lt(ended.micros()))
        .and_where(objects::none_doomed())
        .limit(1)
        .take();
    db.query_one(&of_old_task).await?.map(|row| id_of(app, &row)).transpose()
}
