//! Reading channels and their members.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::deletion::first_mark;
use super::entity::{channel, channel_member, named_user};
use super::{Db, StoreError};
use crate::model::call::Cid;
use crate::model::content::{Kind, Naming};
use crate::model::deletion::Shared;
use crate::model::id::AppId;

/// The channel `cid`, deleted or not; since when, where it is, also by marks alone.
pub async fn find_channel(db: &Db, app: AppId, cid: &Cid) -> Result<Option<channel::Model>, StoreError> {
    let found = channel::Entity::find_by_id((app.0, cid.kind.clone(), cid.id.clone())).one(db).await?;
    let Some(mut channel) = found else { return Ok(None) };
    if channel.deleted_at.is_none() {
        channel.deleted_at = first_mark(db, app, Shared::Channels, cid).await?;
    }
    Ok(Some(channel))
}

/// Members of a channel by user id, after `after`.
pub async fn list_members(
    db: &Db,
    app: AppId,
    cid: &Cid,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<channel_member::Model>, StoreError> {
    let mut select = members_of(app, cid);
    if let Some(after) = after {
        select = select.filter(channel_member::Column::UserId.gt(after));
    }
    Ok(select.order_by_asc(channel_member::Column::UserId).limit(limit).all(db).await?)
}

/// How many members a channel has.
pub async fn count_members(db: &Db, app: AppId, cid: &Cid) -> Result<u64, StoreError> {
    Ok(members_of(app, cid).count(db).await?)
}

fn members_of(app: AppId, cid: &Cid) -> Select<channel_member::Entity> {
    channel_member::Entity::find()
        .filter(channel_member::Column::AppId.eq(app.0))
        .filter(channel_member::Column::ChannelType.eq(cid.kind.as_str()))
        .filter(channel_member::Column::ChannelId.eq(cid.id.as_str()))
}

/// The users that these owners name, each list in its order.
pub async fn list_named(
    db: &Db,
    app: AppId,
    kind: Kind,
    owners: &[String],
) -> Result<Vec<named_user::Model>, StoreError> {
    Ok(named_user::Entity::find()
        .filter(named_user::Column::AppId.eq(app.0))
        .filter(named_user::Column::OwnerKind.eq(kind.as_str()))
        .filter(named_user::Column::OwnerId.is_in(owners))
        .order_by_asc(named_user::Column::OwnerId)
        .order_by_asc(named_user::Column::Position)
        .all(db)
        .await?)
}

/// Those of `named` that are named for `naming`.
pub fn named_for(named: &[named_user::Model], owner: &str, naming: Naming) -> Vec<String> {
    let of = named.iter().filter(|row| row.owner_id == owner && row.naming == naming.as_str());
    of.map(|row| row.user_id.clone()).collect()
}
