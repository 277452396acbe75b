//! The database's clock.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::Query;

use super::{Db, StoreError};
use crate::model::clock::Timestamp;

/// The time of day by the clock that all replicas share.
pub async fn get_now(db: &Db) -> Result<Timestamp, StoreError> {
    let select = Query::select().expr_as(db.backend().now(), "now").take();
    let row = db.query_one(&select).await?.ok_or_else(|| StoreError::corrupt("no time"))?;
    Ok(set_ahead(Timestamp::from_micros(row.try_get("", "now")?)))
}

/// Lets tests set the clock ahead by some seconds.
fn set_ahead(now: Timestamp) -> Timestamp {
    fail::fail_point!("clock_ahead", |seconds| {
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        now.plus(std::time::Duration::from_secs(seconds.unwrap_or_default()))
    });
    now
}
