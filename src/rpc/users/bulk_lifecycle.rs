//! Deactivating and reactivating many users, as a task.

use tonic::{Request, Response, Status};

use crate::domain::Domain;
use crate::domain::users::bulk_lifecycle::MoveUsers;
use crate::model::lifecycle::Move;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::tasks::encode::task;
use crate::rpc::{RpcResult, decode, status};

const MAX_IDS: usize = 10_000;

pub(super) async fn deactivate_users(
    domain: &Domain,
    request: Request<pb::DeactivateUsersRequest>,
) -> RpcResult<pb::DeactivateUsersResponse> {
    let (call, message) = decode::open(request)?;
    let pb::DeactivateUsersRequest { user_ids, created_by_id, reason, request_id } = message;
    let command = command(Move::Deactivate, user_ids, created_by_id, reason, request_id)?;
    let accepted = domain.move_users(&call, command).await.map_err(status::of)?;
    Ok(Response::new(pb::DeactivateUsersResponse { task: Some(task(&accepted)) }))
}

pub(super) async fn reactivate_users(
    domain: &Domain,
    request: Request<pb::ReactivateUsersRequest>,
) -> RpcResult<pb::ReactivateUsersResponse> {
    let (call, message) = decode::open(request)?;
    let pb::ReactivateUsersRequest { user_ids, created_by_id, reason, request_id } = message;
    let command = command(Move::Reactivate, user_ids, created_by_id, reason, request_id)?;
    let accepted = domain.move_users(&call, command).await.map_err(status::of)?;
    Ok(Response::new(pb::ReactivateUsersResponse { task: Some(task(&accepted)) }))
}

fn command(
    how: Move,
    user_ids: Vec<String>,
    created_by_id: String,
    reason: String,
    request_id: String,
) -> Result<MoveUsers, Status> {
    let mut bad = Violations::new();
    if !(1..=MAX_IDS).contains(&user_ids.len()) {
        bad.add("user_ids", format!("must be 1 to {MAX_IDS} ids"));
    }
    let command = MoveUsers {
        how,
        user_ids,
        created_by_id: decode::created_by_id(created_by_id, &mut bad),
        reason: decode::reason(reason, &mut bad),
        request_id: decode::request_id(request_id, &mut bad),
    };
    decode::checked(bad, Some(command))
}
