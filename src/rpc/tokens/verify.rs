//! Judging tokens.

use tonic::Request;

use crate::domain::Domain;
use crate::model::clock::Timestamp;
use crate::proto::v1 as pb;
use crate::rpc::auth::permissions;
use crate::rpc::json::to_struct;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn verify_token(
    domain: &Domain,
    request: Request<pb::VerifyTokenRequest>,
) -> RpcResult<pb::VerifyTokenResponse> {
    let (call, message) = decode::open(request)?;
    let verdict = domain.verify_token(&call, &message.token).await.map_err(status::of)?;
    let date = |seconds| Timestamp::from_parts(seconds, 0).map(to_timestamp);
    Ok(answer(pb::VerifyTokenResponse {
        valid: verdict.refusal.is_none(),
        reason: verdict.refusal.as_ref().map_or("", |refusal| refusal.reason.as_str()).to_owned(),
        message: verdict.refusal.map(|refusal| refusal.to_string()).unwrap_or_default(),
        user_id: verdict.user_id.unwrap_or_default(),
        server: verdict.server,
        permissions: verdict.role.as_deref().map(permissions).unwrap_or_default(),
        role: verdict
            .call_role
            .or_else(|| verdict.role.map(|role| role.as_ref().to_owned()))
            .unwrap_or_default(),
        call_cids: verdict.call_cids.iter().map(ToString::to_string).collect(),
        issued_at: verdict.issued_at.and_then(date),
        expires_at: verdict.expires_at.and_then(date),
        claims: Some(to_struct(verdict.claims)),
    }))
}
