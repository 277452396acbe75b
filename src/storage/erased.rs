//! The ledger of erased users: what must be known of an id that is free again, and no more.

use std::collections::HashMap;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};

use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::AppId;

/// Ids looked for in one statement.
const CHUNK: usize = 1_000;

/// The last user who had an id.
#[derive(Debug, Clone, Copy)]
pub struct Erased {
    /// The highest epoch its tokens can have.
    pub auth_epoch: i64,
    /// When it was erased.
    pub erased_at: Timestamp,
}

/// Enters a user that is erased now, by the keyed hash of its id.
pub async fn enter(
    tx: &Tx,
    app: AppId,
    hash: &[u8],
    auth_epoch: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut insert = Query::insert();
    insert
        .into_table("erased_users")
        .columns(["app_id", "id_hash", "auth_epoch", "erased_at"])
        .values_panic([app.0.into(), hash.to_vec().into(), auth_epoch.into(), now.micros().into()])
        .on_conflict(
            OnConflict::columns(["app_id", "id_hash"]).update_columns(["auth_epoch", "erased_at"]).to_owned(),
        );
    tx.execute(&insert).await?;
    Ok(())
}

/// Whether anybody of `app` was ever erased.
pub async fn has_any(db: &Db, app: AppId) -> Result<bool, StoreError> {
    let select = Query::select()
        .expr(Expr::cust("1"))
        .from("erased_users")
        .and_where(Expr::col("app_id").eq(app.0))
        .limit(1)
        .take();
    Ok(db.query_one(&select).await?.is_some())
}

/// The entries of `hashes`, where there are any.
pub async fn list(db: &Db, app: AppId, hashes: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Erased>, StoreError> {
    let mut found = HashMap::new();
    for chunk in hashes.chunks(CHUNK) {
        let select = Query::select()
            .columns(["id_hash", "auth_epoch", "erased_at"])
            .from("erased_users")
            .and_where(Expr::col("app_id").eq(app.0))
            .and_where(Expr::col("id_hash").is_in(chunk.iter().cloned()))
            .take();
        for row in db.query_all(&select).await? {
            let erased_at = Timestamp::from_micros(row.try_get_by_index(2)?);
            found
                .insert(row.try_get_by_index(0)?, Erased { auth_epoch: row.try_get_by_index(1)?, erased_at });
        }
    }
    Ok(found)
}
