//! The roles that an app has of its own.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::entity::call_member::{Column, Entity};
use super::{Db, StoreError};
use crate::model::id::AppId;

/// Whether a member of a call of `app` has `role`, which is none of those that all apps have.
pub async fn is_of_a_member(db: &Db, app: AppId, role: &str) -> Result<bool, StoreError> {
    let member = Entity::find()
        .select_only()
        .column(Column::UserId)
        .filter(Column::AppId.eq(app.0))
        .filter(Column::Role.eq(role))
        // As the index has it, word by word.
        .filter(Expr::cust("role <> 'call_member'"))
        .limit(1)
        .into_tuple::<String>();
    Ok(member.one(db).await?.is_some())
}
