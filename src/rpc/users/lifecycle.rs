//! Deactivating and reactivating one user.

use tonic::{Request, Status};

use super::encode;
use crate::domain::Domain;
use crate::domain::users::lifecycle::{MoveUser, Moved};
use crate::model::deletion::Marks;
use crate::model::history::Cause;
use crate::model::lifecycle::Move;
use crate::model::user::checked_name;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn deactivate_user(
    domain: &Domain,
    request: Request<pb::DeactivateUserRequest>,
) -> RpcResult<pb::DeactivateUserResponse> {
    let (call, message) = decode::open(request)?;
    let pb::DeactivateUserRequest {
        user_id,
        created_by_id,
        reason,
        mark_messages_deleted: messages,
        mark_channels_deleted: channels,
        expected_version,
    } = message;
    let (name, marks) = (String::new(), Marks { messages, channels });
    let asked = Asked { user_id, created_by_id, reason, name, marks, expected_version };
    let moved = domain.move_user(&call, command(Move::Deactivate, asked)?).await.map_err(status::of)?;
    let (user, task_id) = told(moved);
    Ok(answer(pb::DeactivateUserResponse { user, task_id }))
}

pub(super) async fn reactivate_user(
    domain: &Domain,
    request: Request<pb::ReactivateUserRequest>,
) -> RpcResult<pb::ReactivateUserResponse> {
    let (call, message) = decode::open(request)?;
    let pb::ReactivateUserRequest {
        user_id,
        created_by_id,
        reason,
        name,
        restore_messages: messages,
        restore_channels: channels,
        expected_version,
    } = message;
    let marks = Marks { messages, channels };
    let asked = Asked { user_id, created_by_id, reason, name, marks, expected_version };
    let moved = domain.move_user(&call, command(Move::Reactivate, asked)?).await.map_err(status::of)?;
    let (user, task_id) = told(moved);
    Ok(answer(pb::ReactivateUserResponse { user, task_id }))
}

fn told(moved: Moved) -> (Option<pb::User>, String) {
    let task_id = moved.task.map(|task| task.id.to_string()).unwrap_or_default();
    (Some(encode::user(moved.view)), task_id)
}

/// What both requests have in common.
struct Asked {
    user_id: String,
    created_by_id: String,
    reason: String,
    name: String,
    marks: Marks,
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
    let Asked { expected_version, marks, .. } = asked;
    let cause = Cause::of(&created_by_id, &reason);
    let command = user.map(|user| MoveUser { how, user, name, expected_version, marks, cause });
    decode::checked(bad, command)
}
