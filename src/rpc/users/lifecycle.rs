//! Deactivating and reactivating one user.

use tonic::{Request, Response, Status};

use super::encode;
use crate::domain::Domain;
use crate::domain::users::lifecycle::MoveUser;
use crate::model::lifecycle::Move;
use crate::model::user::checked_name;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, decode, status};

pub(super) async fn deactivate_user(
    domain: &Domain,
    request: Request<pb::DeactivateUserRequest>,
) -> RpcResult<pb::DeactivateUserResponse> {
    let (call, message) = decode::open(request)?;
    let pb::DeactivateUserRequest { user_id, created_by_id, reason, expected_version } = message;
    let name = String::new();
    let command =
        command(Move::Deactivate, Asked { user_id, created_by_id, reason, name, expected_version })?;
    let user = domain.move_user(&call, command).await.map_err(status::of)?;
    Ok(Response::new(pb::DeactivateUserResponse { user: Some(encode::user(user)) }))
}

pub(super) async fn reactivate_user(
    domain: &Domain,
    request: Request<pb::ReactivateUserRequest>,
) -> RpcResult<pb::ReactivateUserResponse> {
    let (call, message) = decode::open(request)?;
    let pb::ReactivateUserRequest { user_id, created_by_id, reason, name, expected_version } = message;
    let command =
        command(Move::Reactivate, Asked { user_id, created_by_id, reason, name, expected_version })?;
    let user = domain.move_user(&call, command).await.map_err(status::of)?;
    Ok(Response::new(pb::ReactivateUserResponse { user: Some(encode::user(user)) }))
}

/// What both requests have in common.
struct Asked {
    user_id: String,
    created_by_id: String,
    reason: String,
    name: String,
    expected_version: Option<i64>,
}

fn command(how: Move, asked: Asked) -> Result<MoveUser, Status> {
    let mut bad = Violations::new();
    let user = decode::user_id("user_id", asked.user_id, &mut bad);
    let created_by_id = decode::created_by_id(asked.created_by_id, &mut bad);
    let reason = decode::reason(asked.reason, &mut bad);
    let name = checked_name(asked.name, &mut bad);
    if asked.expected_version.is_some_and(|version| version < 0) {
        bad.add("expected_version", "must be 0 or more");
    }
    let expected_version = asked.expected_version;
    let command = user.map(|user| MoveUser { how, user, name, expected_version, created_by_id, reason });
    decode::checked(bad, command)
}
