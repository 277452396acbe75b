//! Reading many narrow rows as one row of JSON: ids, with a few numbers beside them.
//!
//! The driver of SQLite hands every row over between threads, with a copy of each value: 3 to 4 µs a row, more
//! than it takes to find it. Batches of tasks read thousands. Not for what people wrote, nor for floating
//! point.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Query, SelectStatement};
use serde::de::{Deserialize as _, DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

use super::{Db, StoreError};

/// All rows of `select`, which has these columns: each as an array of them, or a struct whose fields stand in
/// their order. In no order of its own.
pub async fn list<T: DeserializeOwned>(
    db: &Db,
    select: SelectStatement,
    columns: &[&'static str],
) -> Result<Vec<T>, StoreError> {
    let gathered = Query::select()
        .expr(db.backend().json().gathered(columns))
        .from_subquery(select, Alias::new("narrow"))
        .take();
    let row = db.query_one(&gathered).await?.ok_or_else(|| StoreError::corrupt("no rows gathered"))?;
    let json: String = row.try_get_by_index(0)?;
    // It holds the text once more.
    drop(row);
    serde_json::from_str(&json).map_err(|err| StoreError::Internal(err.to_string()))
}

/// A truth value, which SQLite writes as a number.
pub fn truth<'de, D: Deserializer<'de>>(json: D) -> Result<bool, D::Error> {
    match Value::deserialize(json)? {
        Value::Bool(truth) => Ok(truth),
        Value::Number(number) => Ok(number.as_i64() != Some(0)),
        _ => Err(D::Error::custom("a truth value is missing")),
    }
}
