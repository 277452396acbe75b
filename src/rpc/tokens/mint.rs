//! Minting tokens.

use prost_types::{Duration as PbDuration, Struct};
use tonic::{Request, Status};

use crate::domain::Domain;
use crate::domain::tokens::mint::{CallGrant, CreateToken, check_claims};
use crate::model::id::{parse_cid, parse_word};
use crate::model::json::normalise;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, decode, json, status, time};

const MAX_CALLS: usize = 100;

pub(super) async fn create_user_token(
    domain: &Domain,
    request: Request<pb::CreateUserTokenRequest>,
) -> RpcResult<pb::CreateUserTokenResponse> {
    let (call, message) = decode::open(request)?;
    let pb::CreateUserTokenRequest { user_id, validity, claims } = message;
    let command = command(user_id, None, validity, claims, Violations::new())?;
    let minted = domain.create_token(&call, command).await.map_err(status::of)?;
    let expires_at = Some(to_timestamp(minted.expires_at));
    Ok(answer(pb::CreateUserTokenResponse { token: minted.token, expires_at }))
}

pub(super) async fn create_call_token(
    domain: &Domain,
    request: Request<pb::CreateCallTokenRequest>,
) -> RpcResult<pb::CreateCallTokenResponse> {
    let (call, message) = decode::open(request)?;
    let pb::CreateCallTokenRequest { user_id, call_cids, role, validity, claims } = message;
    let mut bad = Violations::new();
    let grant = grant(call_cids, role, &mut bad);
    let command = command(user_id, Some(grant), validity, claims, bad)?;
    let minted = domain.create_token(&call, command).await.map_err(status::of)?;
    let expires_at = Some(to_timestamp(minted.expires_at));
    Ok(answer(pb::CreateCallTokenResponse { token: minted.token, expires_at }))
}

fn command(
    user_id: String,
    grant: Option<CallGrant>,
    validity: Option<PbDuration>,
    claims: Option<Struct>,
    mut bad: Violations,
) -> Result<CreateToken, Status> {
    let user = decode::user_id("user_id", user_id, &mut bad);
    let validity = bad.take("validity", validity.map(time::validity).transpose());
    let claims = json::object(claims.unwrap_or_default(), "claims", &mut bad);
    let claims = normalise(claims, "claims", &mut bad);
    check_claims(&claims, &mut bad);
    let command = user.zip(validity).map(|(user, validity)| CreateToken { user, grant, validity, claims });
    decode::checked(bad, command)
}

fn grant(cids: Vec<String>, role: String, bad: &mut Violations) -> CallGrant {
    if !(1..=MAX_CALLS).contains(&cids.len()) {
        bad.add("call_cids", format!("must be 1 to {MAX_CALLS} calls"));
    }
    let mut calls: Vec<String> = Vec::with_capacity(cids.len().min(MAX_CALLS));
    for (at, cid) in cids.into_iter().take(MAX_CALLS).enumerate() {
        let cid = bad.take(format!("call_cids[{at}]"), parse_cid(cid));
        calls.extend(cid.filter(|cid| !calls.contains(cid)));
    }
    let role = if role.is_empty() { None } else { bad.take("role", parse_word(role)) };
    CallGrant { calls, role }
}
