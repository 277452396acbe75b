//! Restoring users.

use tonic::Request;

use super::bulk_lifecycle::{Asked, MAX_IDS};
use crate::domain::Domain;
use crate::domain::users::restoration::RestoreUsers;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::tasks::encode::task;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn restore_users(
    domain: &Domain,
    request: Request<pb::RestoreUsersRequest>,
) -> RpcResult<pb::RestoreUsersResponse> {
    let (call, message) = decode::open(request)?;
    let pb::RestoreUsersRequest { user_ids, created_by_id, reason, request_id } = message;
    let mut bad = Violations::new();
    let Asked { user_ids, created_by_id, reason, request_id } =
        Asked { user_ids, created_by_id, reason, request_id: Some(request_id) }.check(MAX_IDS, &mut bad);
    let command = RestoreUsers { user_ids, created_by_id, reason, request_id };
    let command = decode::checked(bad, Some(command))?;
    let accepted = domain.restore_users(&call, command).await.map_err(status::of)?;
    Ok(answer(pb::RestoreUsersResponse { task: Some(task(&accepted)) }))
}
