//! Calls, and who is a member of which.

use std::collections::HashMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::deletion::first_mark;
use super::entity::{call, call_member};
use super::{Db, StoreError, Tx};
use crate::model::call::{Call, Cid, Member};
use crate::model::clock::Timestamp;
use crate::model::deletion::Shared;
use crate::model::id::{AppId, UserId};

/// The call `cid` of `app`, deleted or not.
pub async fn find_call(db: &Db, app: AppId, cid: &Cid) -> Result<Option<Call>, StoreError> {
    let Cid { kind, id } = cid.clone();
    let row = call::Entity::find_by_id((app.0, kind, id)).one(db).await?;
    let Some(row) = row else { return Ok(None) };
    let deleted_at = match row.deleted_at {
        None => first_mark(db, app, Shared::Calls, cid).await?,
        deleted_at => deleted_at,
    };
    let serde_json::Value::Object(custom) = row.custom else {
        return Err(StoreError::corrupt("calls.custom"));
    };
    Ok(Some(Call {
        cid: cid.clone(),
        created_by_id: row.created_by_id,
        custom,
        started_at: row.started_at.map(Timestamp::from_micros),
        ended_at: row.ended_at.map(Timestamp::from_micros),
        created_at: Timestamp::from_micros(row.created_at),
        deleted_at: deleted_at.map(Timestamp::from_micros),
    }))
}

/// Members of a call by user id, after `after`.
pub async fn list_members(
    db: &Db,
    app: AppId,
    cid: &Cid,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<Member>, StoreError> {
    let mut select = members_of(app, cid);
    if let Some(after) = after {
        select = select.filter(call_member::Column::UserId.gt(after));
    }
    let rows = select.order_by_asc(call_member::Column::UserId).limit(limit).all(db).await?;
    let member = |row: call_member::Model| Member {
        user_id: row.user_id,
        role: row.role,
        created_at: Timestamp::from_micros(row.created_at),
    };
    Ok(rows.into_iter().map(member).collect())
}

/// How many members a call has.
pub async fn count_members(db: &Db, app: AppId, cid: &Cid) -> Result<u64, StoreError> {
    Ok(members_of(app, cid).count(db).await?)
}

fn members_of(app: AppId, cid: &Cid) -> sea_orm::Select<call_member::Entity> {
    call_member::Entity::find()
        .filter(call_member::Column::AppId.eq(app.0))
        .filter(call_member::Column::CallType.eq(cid.kind.as_str()))
        .filter(call_member::Column::CallId.eq(cid.id.as_str()))
}

/// The role of `user` in those of `calls` that it is a member of.
pub async fn list_roles(
    db: &Db,
    app: AppId,
    user: &UserId,
    calls: &[Cid],
) -> Result<HashMap<Cid, String>, StoreError> {
    let any = calls.iter().fold(Condition::any(), |any, cid| {
        let kind = call_member::Column::CallType.eq(cid.kind.as_str());
        any.add(Condition::all().add(kind).add(call_member::Column::CallId.eq(cid.id.as_str())))
    });
    let rows = call_member::Entity::find()
        .filter(call_member::Column::AppId.eq(app.0))
        .filter(call_member::Column::UserId.eq(user.as_str()))
        .filter(any)
        .all(db)
        .await?;
    let role = |row: call_member::Model| (Cid { kind: row.call_type, id: row.call_id }, row.role);
    Ok(rows.into_iter().map(role).collect())
}

/// Makes calls that do not exist yet, in the order of `calls`, which must be sorted.
pub async fn insert_missing(tx: &Tx, app: AppId, calls: &[Cid], now: Timestamp) -> Result<(), StoreError> {
    let rows = calls.iter().map(|cid| {
        call::ActiveModel::from(call::Model {
            app_id: app.0,
            kind: cid.kind.clone(),
            id: cid.id.clone(),
            created_by_id: None,
            custom: serde_json::Value::Object(serde_json::Map::new()),
            started_at: None,
            ended_at: None,
            created_at: now.micros(),
            deleted_at: None,
            import_no: None,
        })
    });
    call::Entity::insert_many(rows)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Makes `user` a member of `cid`; `Conflict` where somebody else did just now.
pub async fn insert_member(
    tx: &Tx,
    app: AppId,
    cid: &Cid,
    user: &UserId,
    role: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = call_member::Model {
        app_id: app.0,
        call_type: cid.kind.clone(),
        call_id: cid.id.clone(),
        user_id: user.as_str().to_owned(),
        role: role.to_owned(),
        created_at: now.micros(),
        import_no: None,
    };
    let inserted = call_member::Entity::insert(call_member::ActiveModel::from(row))
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    if inserted == 0 { Err(StoreError::Conflict) } else { Ok(()) }
}

/// Gives a member another role.
pub async fn update_role(
    tx: &Tx,
    app: AppId,
    cid: &Cid,
    user: &UserId,
    role: &str,
) -> Result<(), StoreError> {
    let row = call_member::ActiveModel {
        app_id: Set(app.0),
        call_type: Set(cid.kind.clone()),
        call_id: Set(cid.id.clone()),
        user_id: Set(user.as_str().to_owned()),
        role: Set(role.to_owned()),
        ..Default::default()
    };
    row.update(&**tx).await?;
    Ok(())
}
