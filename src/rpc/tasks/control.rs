//! Cancelling and retrying.

use tonic::Request;

use super::encode;
use crate::domain::Domain;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn cancel_task(
    domain: &Domain,
    request: Request<pb::CancelTaskRequest>,
) -> RpcResult<pb::CancelTaskResponse> {
    let (call, message) = decode::open(request)?;
    let id = decode::task_id(&message.task_id)?;
    let task = domain.cancel_task(&call, id).await.map_err(status::of)?;
    Ok(answer(pb::CancelTaskResponse { task: Some(encode::task(&task)) }))
}

pub(super) async fn retry_task(
    domain: &Domain,
    request: Request<pb::RetryTaskRequest>,
) -> RpcResult<pb::RetryTaskResponse> {
    let (call, message) = decode::open(request)?;
    let id = decode::task_id(&message.task_id)?;
    let task = domain.retry_task(&call, id).await.map_err(status::of)?;
    Ok(answer(pb::RetryTaskResponse { task: Some(encode::task(&task)) }))
}
