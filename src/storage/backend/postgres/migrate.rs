//! Bringing a database up to date, by one replica at a time.
//!
//! Indexes are built beside whoever writes (CREATE INDEX CONCURRENTLY). That waits for all transactions that
//! might still look at the table as it was, so nobody may wait for this replica within one: the others ask
//! again and again for their turn.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionOptions,
    TransactionTrait as _,
};

use super::connect;
use crate::storage::StoreError;
use crate::storage::migration::{self, indexes};

/// How often a replica asks for its turn.
const LOOK: Duration = Duration::from_millis(50);

/// Indexes that are whole. One whose building broke off is there, and is of no use.
const WHOLE: &str = "\
    SELECT c.relname::text AS name FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid \
    WHERE c.relnamespace = current_schema()::regnamespace AND x.indisvalid";

/// Does it; where it is done already, next to nothing.
pub(super) async fn run(options: &PgConnectOptions) -> Result<(), StoreError> {
    let turns = connect::unbounded(options).await?;
    let turn = turn(&turns).await?;
    let db = connect::unbounded(options).await?;
    let done = bring_up_to_date(&db).await;
    db.close().await.ok();
    turn.rollback().await?;
    turns.close().await.ok();
    done
}

/// A transaction that has the turn as long as it lasts, and looks at nothing. Each question is asked in a
/// new one: what has once looked at the database is waited for.
async fn turn(turns: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    loop {
        let turn = turns.begin_with_options(TransactionOptions::default()).await?;
        if is_true(&turn, "SELECT pg_try_advisory_xact_lock(7306644591) AS it").await? {
            turn.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
            return Ok(turn);
        }
        turn.rollback().await?;
        tokio::time::sleep(LOOK).await;
    }
}

async fn bring_up_to_date(db: &DatabaseConnection) -> Result<(), StoreError> {
    migration::run(db).await?;
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, WHOLE)).await?;
    let whole: HashSet<String> = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?;
    for (name, on) in indexes::ALL.into_iter().filter(|(name, _)| !whole.contains(*name)) {
        build(db, name, on).await?;
    }
    Ok(())
}

async fn build(db: &DatabaseConnection, name: &str, on: &str) -> Result<(), StoreError> {
    let table = on.split(' ').next().unwrap_or_default();
    // What is empty takes no time, and need not wait for anybody.
    let concurrently = if is_true(db, &format!("SELECT EXISTS (SELECT 1 FROM {table}) AS it")).await? {
        tracing::info!(index = name, "an index is built; reading and writing go on meanwhile");
        "CONCURRENTLY"
    } else {
        ""
    };
    db.execute_unprepared(&format!("DROP INDEX {concurrently} IF EXISTS {name}")).await?;
    db.execute_unprepared(&format!("CREATE INDEX {concurrently} {name} ON {on}")).await?;
    Ok(())
}

async fn is_true(db: &impl ConnectionTrait, question: &str) -> Result<bool, StoreError> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, question)).await?;
    Ok(row.map(|row| row.try_get("", "it")).transpose()?.unwrap_or_default())
}
