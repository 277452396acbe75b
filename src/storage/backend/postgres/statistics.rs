//! Statistics of tables that grow fast.
//!
//! Plans that were made for an empty table, such as those of foreign keys, are kept until it is analysed, and
//! any index looks as good as another one then: a lookup by id may read all of an app. PostgreSQL itself looks
//! once a minute, which is long for an app that begins with an import.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::storage::StoreError;

/// Tables with more changed rows than there were when they were analysed, if ever.
const OUTGROWN: &str = "\
    SELECT quote_ident(c.relname) AS name FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid \
    WHERE s.schemaname = current_schema() AND s.n_mod_since_analyze >= 500 \
    AND s.n_mod_since_analyze > c.reltuples";

/// Analyses tables that have doubled since. Never waits: what another replica is at is left to it.
pub(super) async fn refresh(db: &impl ConnectionTrait) -> Result<(), StoreError> {
    for row in db.query_all_raw(Statement::from_string(DbBackend::Postgres, OUTGROWN)).await? {
        let name: String = row.try_get("", "name")?;
        db.execute_unprepared(&format!("ANALYZE (SKIP_LOCKED) {name}")).await?;
    }
    Ok(())
}
