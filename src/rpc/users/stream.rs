//! Streaming users.

use std::pin::Pin;

use async_stream::try_stream;
use prost::Message as _;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{encode, query};
use crate::domain::Domain;
use crate::domain::users::UserView;
use crate::domain::users::stream::UserStream;
use crate::proto::v1 as pb;
use crate::rpc::stream_end::StreamEnd;
use crate::rpc::{MAX_ANSWER, RpcResult, decode, status};

pub(super) type Users = Pin<Box<dyn Stream<Item = Result<pb::StreamUsersResponse, Status>> + Send>>;

pub(super) fn stream_users(
    domain: &Domain,
    mut request: Request<pb::StreamUsersRequest>,
) -> RpcResult<Users> {
    let end = StreamEnd::of(&mut request)?;
    let (call, message) = decode::open(request)?;
    let full = query::view(message.view)?;
    let query = query::parse(as_query(message), false)?;
    let users = domain.stream_users(call, query, full);
    Ok(Response::new(Box::pin(messages(users, end))))
}

fn as_query(message: pb::StreamUsersRequest) -> pb::QueryUsersRequest {
    let pb::StreamUsersRequest {
        filter,
        sort,
        id_gt,
        id_gte,
        id_lt,
        id_lte,
        include_deactivated_users,
        include_deleted_users,
        view,
    } = message;
    pb::QueryUsersRequest {
        filter,
        sort,
        id_gt,
        id_gte,
        id_lt,
        id_lte,
        include_deactivated_users,
        include_deleted_users,
        view,
        ..Default::default()
    }
}

/// Reads on only as fast as the caller does. Ends after the last user, or by [`StreamEnd`].
fn messages(
    mut users: UserStream,
    mut end: StreamEnd,
) -> impl Stream<Item = Result<pb::StreamUsersResponse, Status>> {
    try_stream! {
        loop {
            let next = end.or(users.next()).await?;
            let Some(views) = next.map_err(status::of)? else { break };
            for users in within_limits(views) {
                yield pb::StreamUsersResponse { users };
            }
        }
    }
}

/// The users in as few messages as may hold them.
fn within_limits(views: Vec<UserView>) -> Vec<Vec<pb::User>> {
    let (mut messages, mut bytes) = (Vec::new(), MAX_ANSWER);
    for view in views {
        let user = encode::user(view);
        let size = user.encoded_len() + 8;
        match messages.last_mut() {
            Some(message) if bytes + size <= MAX_ANSWER => {
                Vec::push(message, user);
                bytes += size;
            }
            _ => {
                messages.push(vec![user]);
                bytes = size;
            }
        }
    }
    messages
}
