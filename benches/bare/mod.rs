//! The other side of a measurement: plain statements over a connection beside the server's.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Value};

use crate::harness::Place;

/// A connection beside that of the server at `place`, with the settings with which it writes.
pub(crate) async fn connect(place: &Place) -> DatabaseConnection {
    let file = place.data_dir.join("usher.db");
    let url = place.url.clone().unwrap_or_else(|| format!("sqlite:{}?mode=rw", file.display()));
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    if place.url.is_none() {
        for setting in ["synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "cache_size = -8192"]
        {
            db.execute_unprepared(&format!("PRAGMA {setting}")).await.unwrap();
        }
    }
    db
}

/// Inserts rows in one statement.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    table: &'static str,
    columns: &[&'static str],
    rows: impl Iterator<Item = Vec<Value>>,
) {
    let mut insert = Query::insert();
    insert.into_table(table).columns(columns.iter().copied());
    for row in rows {
        insert.values(row.into_iter().map(Expr::val)).unwrap();
    }
    db.execute(&insert).await.unwrap();
}
