//! Ending what removed rows leave in PostgreSQL's files: tables and statistics are written anew, and the
//! write-ahead log that holds them is closed. What the log, archives and replicas keep is theirs to recycle.

use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::connect;
use crate::storage::StoreError;
use crate::storage::backend::maintenance::{Maintained, MaintenanceError};

/// How long a table is waited for while everybody else waits behind; then they go first.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody still reads what was there.
const LOOK: Duration = Duration::from_millis(200);

/// Who may still see rows that were removed before `$1`, as one text each.
const READERS: &str = "\
    SELECT 'process ' || pid || ' (' || coalesce(nullif(application_name, ''), backend_type) || '), in a \
    transaction since ' || to_char(coalesce(xact_start, backend_start), 'HH24:MI:SS') AS who \
    FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
    AND (datname = current_database() OR backend_type = 'walsender') \
    AND backend_xmin IS NOT NULL AND age(backend_xmin) > age($1::text::xid) \
    UNION ALL SELECT 'replication slot ' || slot_name FROM pg_replication_slots \
    WHERE age(coalesce(xmin, catalog_xmin)) > age($1::text::xid) \
    UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts \
    WHERE database = current_database() AND age(transaction) > age($1::text::xid) LIMIT 1";

const TABLES: &str = "\
    SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = current_schema() AND c.relkind = 'r' ORDER BY pg_total_relation_size(c.oid)";

/// Does it all over a connection of its own, and tells of each step. Waits up to `patience` for
/// readers of what was there, and for each table.
pub(super) async fn run(
    options: &PgConnectOptions,
    patience: Duration,
    told: &mut (dyn FnMut(Maintained) + Send),
) -> Result<(), MaintenanceError> {
    let db = connect::unbounded(options).await?;
    let done = all(&db, patience, told).await;
    db.close().await.ok();
    done
}

async fn all(
    db: &DatabaseConnection,
    patience: Duration,
    told: &mut (dyn FnMut(Maintained) + Send),
) -> Result<(), MaintenanceError> {
    let settings = format!(
        "SET statement_timeout = 0; SET lock_timeout = {}; SET client_min_messages = 'error'",
        LOCK_TIMEOUT.as_millis()
    );
    db.execute_unprepared(&settings).await?;
    // With this number: rows removed before it are kept only for older readers.
    let now = text(db, "SELECT pg_current_xact_id()::xid::text AS text", &[]).await?.unwrap_or_default();
    wait_for_readers(db, &now, patience).await?;
    let tables = db.query_all_raw(Statement::from_string(DbBackend::Postgres, TABLES)).await?;
    for table in tables {
        let name: String = table.try_get("", "name")?;
        rewrite(db, name, "FULL, ANALYZE", patience, told).await?;
    }
    // Frequent values and histograms were taken from rows; the ones before are still in their table.
    rewrite(db, "pg_statistic".to_owned(), "FULL", patience, told).await?;
    told(close_log(db).await?);
    Ok(())
}

/// A rewritten table keeps what an older transaction may still read.
async fn wait_for_readers(
    db: &DatabaseConnection,
    now: &str,
    patience: Duration,
) -> Result<(), MaintenanceError> {
    let begun = Instant::now();
    while let Some(who) = text(db, READERS, &[now]).await? {
        if begun.elapsed() >= patience {
            return Err(MaintenanceError::Held(who));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn rewrite(
    db: &DatabaseConnection,
    name: String,
    options: &str,
    patience: Duration,
    told: &mut (dyn FnMut(Maintained) + Send),
) -> Result<(), MaintenanceError> {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let before = stand(db, &quoted).await?;
    let begun = Instant::now();
    let vacuum = format!("VACUUM ({options}) {quoted}");
    while let Err(err) = db.execute_unprepared(&vacuum).await {
        match StoreError::from(err) {
            StoreError::Conflict if begun.elapsed() < patience => tokio::time::sleep(LOOK).await,
            StoreError::Conflict => return Err(MaintenanceError::Held(format!("table {name} is in use"))),
            err => return Err(err.into()),
        }
    }
    let after = stand(db, &quoted).await?;
    // Of what it may not touch, PostgreSQL only warns.
    told(if before.file == after.file {
        Maintained::NotAllowed(format!("VACUUM FULL {name}"))
    } else {
        Maintained::Rewritten { name, before: before.bytes, after: after.bytes }
    });
    Ok(())
}

struct Stand {
    file: String,
    bytes: u64,
}

async fn stand(db: &DatabaseConnection, quoted: &str) -> Result<Stand, MaintenanceError> {
    let file = text(db, "SELECT pg_relation_filenode($1::regclass)::text AS text", &[quoted]).await?;
    let bytes = text(db, "SELECT pg_total_relation_size($1::regclass)::text AS text", &[quoted]).await?;
    Ok(Stand { file: file.unwrap_or_default(), bytes: bytes.and_then(|text| text.parse().ok()).unwrap_or(0) })
}

/// What was written before is in segments that are recycled from now on.
async fn close_log(db: &DatabaseConnection) -> Result<Maintained, MaintenanceError> {
    let privileged = "SELECT (rolsuper)::text AS text FROM pg_roles WHERE rolname = current_user";
    if text(db, privileged, &[]).await?.as_deref() != Some("true") {
        return Ok(Maintained::NotAllowed("SELECT pg_switch_wal(); CHECKPOINT".to_owned()));
    }
    let segment = text(db, "SELECT pg_walfile_name(pg_switch_wal()) AS text", &[]).await?;
    db.execute_unprepared("CHECKPOINT").await?;
    Ok(Maintained::LogClosed(segment.unwrap_or_default()))
}

async fn text(
    db: &DatabaseConnection,
    sql: &str,
    values: &[&str],
) -> Result<Option<String>, MaintenanceError> {
    let values = values.iter().map(|value| (*value).into());
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let row = db.query_one_raw(statement).await?;
    Ok(row.map(|row| row.try_get_by_index::<Option<String>>(0)).transpose()?.flatten())
}
