//! Deactivating and reactivating many users, as a task.

use tonic::{Request, Status};

use crate::domain::Domain;
use crate::domain::users::bulk_lifecycle::MoveUsers;
use crate::model::deletion::Marks;
use crate::model::lifecycle::Move;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::tasks::encode::task;
use crate::rpc::{RpcResult, answer, decode, status};

/// Users of one task.
pub(super) const MAX_IDS: usize = 10_000;

pub(super) async fn deactivate_users(
    domain: &Domain,
    request: Request<pb::DeactivateUsersRequest>,
) -> RpcResult<pb::DeactivateUsersResponse> {
    let (call, message) = decode::open(request)?;
    let pb::DeactivateUsersRequest {
        user_ids,
        created_by_id,
        reason,
        request_id,
        mark_messages_deleted: messages,
        mark_channels_deleted: channels,
    } = message;
    let asked = Asked { user_ids, created_by_id, reason, request_id: Some(request_id) };
    let command = command(Move::Deactivate, asked, Marks { messages, channels })?;
    let accepted = domain.move_users(&call, command).await.map_err(status::of)?;
    Ok(answer(pb::DeactivateUsersResponse { task: Some(task(&accepted)) }))
}

pub(super) async fn reactivate_users(
    domain: &Domain,
    request: Request<pb::ReactivateUsersRequest>,
) -> RpcResult<pb::ReactivateUsersResponse> {
    let (call, message) = decode::open(request)?;
    let pb::ReactivateUsersRequest {
        user_ids,
        created_by_id,
        reason,
        request_id,
        restore_messages: messages,
        restore_channels: channels,
    } = message;
    let asked = Asked { user_ids, created_by_id, reason, request_id: Some(request_id) };
    let command = command(Move::Reactivate, asked, Marks { messages, channels })?;
    let accepted = domain.move_users(&call, command).await.map_err(status::of)?;
    Ok(answer(pb::ReactivateUsersResponse { task: Some(task(&accepted)) }))
}

/// What all requests for a task have in common.
pub(super) struct Asked {
    pub(super) user_ids: Vec<String>,
    pub(super) created_by_id: String,
    pub(super) reason: String,
    /// `None` where it is empty, once it is checked.
    pub(super) request_id: Option<String>,
}

impl Asked {
    /// The same, with what breaks a rule noted.
    pub(super) fn check(self, max_ids: usize, bad: &mut Violations) -> Self {
        if !(1..=max_ids).contains(&self.user_ids.len()) {
            bad.add("user_ids", format!("must be 1 to {max_ids} ids"));
        }
        Self {
            user_ids: self.user_ids,
            created_by_id: decode::created_by_id(self.created_by_id, bad),
            reason: decode::reason(self.reason, bad),
            request_id: decode::request_id(self.request_id.unwrap_or_default(), bad),
        }
    }
}

fn command(how: Move, asked: Asked, marks: Marks) -> Result<MoveUsers, Status> {
    let mut bad = Violations::new();
    let Asked { user_ids, created_by_id, reason, request_id } = asked.check(MAX_IDS, &mut bad);
    decode::checked(bad, Some(MoveUsers { how, user_ids, created_by_id, reason, marks, request_id }))
}
