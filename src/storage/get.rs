//! Reading users by id.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, QueryFilter};

use super::entity::user;
use super::{Db, StoreError};
use crate::model::id::{AppId, UserId};
use crate::model::user::User;

/// Those of `ids` that exist, by id; deleted ones only if `include_deleted`.
pub async fn list_users(
    db: &Db,
    app: AppId,
    ids: &[UserId],
    include_deleted: bool,
) -> Result<HashMap<String, User>, StoreError> {
    let select = if include_deleted { user::any(app) } else { user::live(app) };
    let rows = select.filter(user::Column::Id.is_in(ids.iter().map(UserId::as_str))).all(db).await?;
    rows.into_iter().map(|row| Ok((row.id.clone(), User::try_from(row)?))).collect()
}
