//! How a database means to answer.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement, StatementBuilder};
use usher::storage::Db;

/// The plan of the database for a query, as it tells it.
pub(crate) async fn plan_of(db: &Db, query: &impl StatementBuilder) -> String {
    let database = db.get_database_backend();
    let statement = StatementBuilder::build(query, &database);
    let (explain, column) = match database {
        DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        _ => ("EXPLAIN", "QUERY PLAN"),
    };
    let values = statement.values.map(|values| values.0).unwrap_or_default();
    let explain = Statement::from_sql_and_values(database, format!("{explain} {}", statement.sql), values);
    let rows = db.query_all_raw(explain).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", column).unwrap() + "\n").collect()
}
