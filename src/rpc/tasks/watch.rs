//! Streaming a task as it changes.

use std::pin::Pin;

use async_stream::try_stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::encode;
use crate::domain::{Domain, Error};
use crate::engine::TaskStates;
use crate::proto::v1 as pb;
use crate::rpc::stream_end::StreamEnd;
use crate::rpc::{RpcResult, decode, status};

pub(super) type States = Pin<Box<dyn Stream<Item = Result<pb::WatchTaskResponse, Status>> + Send>>;

pub(super) async fn watch_task(
    domain: &Domain,
    mut request: Request<pb::WatchTaskRequest>,
) -> RpcResult<States> {
    let end = StreamEnd::of(&mut request)?;
    let (call, message) = decode::open(request)?;
    let id = decode::task_id(&message.task_id)?;
    if message.after_revision < 0 {
        return Err(status::of(Error::invalid("after_revision", "must be 0 or more")));
    }
    let states = domain.watch_task(&call, id, message.after_revision).await.map_err(status::of)?;
    Ok(Response::new(Box::pin(stream(states, end))))
}

/// The newest state of the task as it changes; ends after the terminal one, or by [`StreamEnd`].
fn stream(
    mut states: TaskStates,
    mut end: StreamEnd,
) -> impl Stream<Item = Result<pb::WatchTaskResponse, Status>> {
    try_stream! {
        while let Some(task) = end.or(states.next()).await? {
            yield pb::WatchTaskResponse { task: Some(encode::task(&task)) };
        }
    }
}
