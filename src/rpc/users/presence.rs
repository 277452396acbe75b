//! Connecting users, keeping them alive, and disconnecting them.

use tonic::Request;

use super::encode;
use crate::domain::users::presence::{Connect, Ended};
use crate::domain::{Call, Domain, Error, Identity};
use crate::model::clock::Timestamp;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, auth, decode, status};

const MAX_SESSIONS: usize = 1_000;

pub(super) async fn connect_user(
    domain: &Domain,
    request: Request<pb::ConnectUserRequest>,
) -> RpcResult<pb::ConnectUserResponse> {
    let own = auth::credentials(request.metadata().as_ref()).token;
    let (call, message) = decode::open(request)?;
    let who = who(&call, own, message).map_err(status::of)?;
    let connected = domain.connect_user(&call, who).await.map_err(status::of)?;
    let expires_at = connected.expires_at.and_then(|seconds| Timestamp::from_parts(seconds, 0));
    Ok(answer(pb::ConnectUserResponse {
        user: connected.user.map(encode::user),
        permissions: auth::permissions(&connected.role),
        role: connected.role,
        session_id: connected.session_id,
        call_cids: connected.call_cids,
        expires_at: expires_at.map(to_timestamp),
    }))
}

/// Who is to be connected: whoever the edge names, or the caller itself.
fn who(call: &Call, own: Option<String>, message: pb::ConnectUserRequest) -> Result<Connect, Error> {
    let pb::ConnectUserRequest { token, anonymous } = message;
    match (&call.caller.identity, token.is_empty(), anonymous) {
        (Identity::Server, false, false) => Ok(Connect::Bearer(token)),
        (Identity::Server, true, true) | (Identity::Anonymous, true, _) => Ok(Connect::Anonymous),
        (Identity::Server, true, false) => {
            Err(Error::invalid("token", "must be the token of the user who connects, or set anonymous"))
        }
        (Identity::Server, false, true) => {
            Err(Error::invalid("anonymous", "must not be given together with token"))
        }
        (Identity::User { .. }, true, false) => Ok(Connect::Bearer(own.unwrap_or_default())),
        _ => {
            let needs = "a server token, to connect others than oneself";
            Err(Error::PermissionMissing { rpc: call.rpc, needs })
        }
    }
}

pub(super) async fn keep_alive(
    domain: &Domain,
    request: Request<pb::KeepAliveRequest>,
) -> RpcResult<pb::KeepAliveResponse> {
    let (call, message) = decode::open(request)?;
    let mut bad = Violations::new();
    if !(1..=MAX_SESSIONS).contains(&message.session_ids.len()) {
        bad.add("session_ids", format!("must be 1 to {MAX_SESSIONS} sessions"));
    }
    let session_ids = decode::checked(bad, Some(message.session_ids))?;
    let ended = domain.keep_alive(&call, session_ids).await.map_err(status::of)?;
    let encode =
        |Ended { session_id, reason }| pb::EndedSession { session_id, reason: reason.as_str().to_owned() };
    Ok(answer(pb::KeepAliveResponse { ended: ended.into_iter().map(encode).collect() }))
}

pub(super) fn disconnect_user(
    domain: &Domain,
    request: Request<pb::DisconnectUserRequest>,
) -> RpcResult<pb::DisconnectUserResponse> {
    let (call, message) = decode::open(request)?;
    domain.disconnect_user(&call, &message.session_id).map_err(status::of)?;
    Ok(answer(pb::DisconnectUserResponse {}))
}
