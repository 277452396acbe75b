//! Who has which name.

use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

use super::entity::{name_turn, user};
use super::{Db, StoreError, Tx};
use crate::model::id::AppId;
use crate::model::unique_name::{self, Named};

/// Rows per statement.
const CHUNK: usize = 1_000;

/// Waits until no other transaction gives or takes one of these names, and lets none until this one ends.
///
/// A name's row in a unique index is what is waited for. It is gone again at once, and so is never left
/// behind; until this transaction has ended, the index keeps others waiting all the same.
pub async fn take_turns(tx: &Tx, app: AppId, keys: &[&str]) -> Result<(), StoreError> {
    // In order, so that two transactions never wait for each other.
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    for chunk in sorted.chunks(CHUNK) {
        let mut insert = Query::insert();
        insert.into_table(name_turn::Entity).columns([name_turn::Column::AppId, name_turn::Column::NameKey]);
        for key in chunk {
            insert.values_panic([app.0.into(), (*key).into()]);
        }
        tx.execute(&insert).await?;
        let mut delete = Query::delete();
        delete
            .from_table(name_turn::Entity)
            .and_where(name_turn::Column::AppId.eq(app.0))
            .and_where(name_turn::Column::NameKey.is_in(chunk.iter().copied()));
        tx.execute(&delete).await?;
    }
    Ok(())
}

/// Active users who have one of these names.
pub async fn list_named(tx: &Tx, app: AppId, keys: &[&str]) -> Result<Vec<Named>, StoreError> {
    let mut found = Vec::new();
    for chunk in keys.chunks(CHUNK) {
        let rows = user::live(app)
            .filter(user::Column::NameKey.is_in(chunk.iter().copied()))
            .filter(user::Column::DeactivatedAt.is_null())
            .select_only()
            .columns([user::Column::Id, user::Column::NameKey, user::Column::Teams])
            .into_tuple::<(String, String, Value)>()
            .all(&**tx)
            .await?;
        for (id, key, teams) in rows {
            let teams = serde_json::from_value(teams).map_err(|_| StoreError::corrupt("users.teams"))?;
            found.push(Named { id, key, teams });
        }
    }
    Ok(found)
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: String,
    name: String,
    name_key: Option<String>,
}

/// A page of users after `after`, in the order of ids: the last one's id, if any, and those of them whose
/// key is not that of their name.
pub async fn list_unkeyed(
    db: &Db,
    app: AppId,
    after: &str,
    limit: u64,
) -> Result<(Option<String>, Vec<String>), StoreError> {
    let rows = user::any(app)
        .filter(user::Column::Id.gt(after))
        .filter(user::Column::Name.is_not_null())
        .select_only()
        .columns([user::Column::Id, user::Column::Name, user::Column::NameKey])
        .order_by_asc(user::Column::Id)
        .limit(limit)
        .into_model::<Row>()
        .all(db)
        .await?;
    let last = rows.last().map(|row| row.id.clone());
    let unkeyed = rows.into_iter().filter(|row| row.name_key.as_ref() != Some(&unique_name::key(&row.name)));
    Ok((last, unkeyed.map(|row| row.id).collect()))
}

/// Gives a user, whom the transaction has locked, the key of its name. No change that anybody could see.
pub async fn update_key(tx: &Tx, app: AppId, id: &str, key: Option<&str>) -> Result<(), StoreError> {
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(user::Column::NameKey, key.map(str::to_owned))
        .and_where(user::Column::AppId.eq(app.0))
        .and_where(user::Column::Id.eq(id));
    tx.execute(&update).await?;
    Ok(())
}
