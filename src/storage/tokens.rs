//! What judging and minting tokens needs to know.

use sea_orm::EntityTrait;

use super::entity::{app, user};
use super::{Db, StoreError};
use crate::model::id::{AppId, UserId};
use crate::model::user::User;

/// A user as far as its tokens are concerned; deleted ones too, since their tokens must be refused.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The user.
    pub user: User,
    /// Tokens minted here under an older one are revoked.
    pub auth_epoch: i64,
}

/// The user `id` of `app`, whatever its state.
pub async fn find_bearer(db: &Db, app: AppId, id: &UserId) -> Result<Option<Bearer>, StoreError> {
    let row = user::Entity::find_by_id((app.0, id.as_str().to_owned())).one(db).await?;
    row.map(|row| {
        let auth_epoch = row.auth_epoch;
        Ok(Bearer { user: User::try_from(row)?, auth_epoch })
    })
    .transpose()
}

/// The auth epoch of `app`.
pub async fn get_app_epoch(db: &Db, app: AppId) -> Result<i64, StoreError> {
    let app = app::Entity::find_by_id(app.0).one(db).await?;
    app.map(|app| app.auth_epoch).ok_or_else(|| StoreError::corrupt("the app is gone"))
}
