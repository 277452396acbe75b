//! Reading messages.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::message;
use super::{Db, StoreError};
use crate::model::call::Cid;
use crate::model::id::AppId;

/// Messages of a channel by time and id, after one of such a time and id.
pub async fn list_messages(
    db: &Db,
    app: AppId,
    cid: &Cid,
    after: Option<(i64, String)>,
    include_deleted: bool,
    limit: u64,
) -> Result<Vec<message::Model>, StoreError> {
    use message::Column;
    let mut select = message::Entity::find()
        .filter(Column::AppId.eq(app.0))
        .filter(Column::ChannelType.eq(cid.kind.as_str()))
        .filter(Column::ChannelId.eq(cid.id.as_str()));
    if let Some((at, id)) = after {
        let place = Expr::tuple([Expr::col(Column::CreatedAt), Expr::col(Column::Id)]);
        select = select.filter(place.gt(Expr::tuple([Expr::val(at), Expr::val(id)])));
    }
    if !include_deleted {
        select = select.filter(Column::DeletedAt.is_null());
    }
    let ordered = select.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id);
    Ok(ordered.limit(limit).all(db).await?)
}

/// How many reactions of each type these messages have: message, type, count.
pub async fn count_reactions(
    db: &Db,
    app: AppId,
    messages: &[String],
) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut select = Query::select();
    select
        .column("message_id")
        .column("type")
        .expr(Expr::cust("COUNT(*)"))
        .from("reactions")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("message_id").is_in(messages))
        .group_by_col("message_id")
        .group_by_col("type");
    let rows = db.query_all(&select).await?;
    let counts = rows
        .iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?)));
    counts.collect()
}
