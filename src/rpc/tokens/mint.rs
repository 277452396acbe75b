//! Minting tokens.

use std::time::Duration;

use prost_types::Duration as PbDuration;
use tonic::{Request, Response, Status};

use crate::domain::Domain;
use crate::domain::tokens::mint::{CreateUserToken, DEFAULT_VALIDITY, MAX_VALIDITY, check_claims};
use crate::model::json::normalise;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, decode, json, status};

pub(super) async fn create_user_token(
    domain: &Domain,
    request: Request<pb::CreateUserTokenRequest>,
) -> RpcResult<pb::CreateUserTokenResponse> {
    let (call, message) = decode::open(request)?;
    let command = command(message)?;
    let minted = domain.create_user_token(&call, command).await.map_err(status::of)?;
    Ok(Response::new(pb::CreateUserTokenResponse {
        token: minted.token,
        expires_at: Some(to_timestamp(minted.expires_at)),
    }))
}

fn command(message: pb::CreateUserTokenRequest) -> Result<CreateUserToken, Status> {
    let pb::CreateUserTokenRequest { user_id, validity, claims } = message;
    let mut bad = Violations::new();
    let user = decode::user_id("user_id", user_id, &mut bad);
    let validity = validity.map_or(Ok(DEFAULT_VALIDITY), whole_seconds);
    let validity = bad.take("validity", validity);
    let claims = json::object(claims.unwrap_or_default(), "claims", &mut bad);
    let claims = normalise(claims, "claims", &mut bad);
    check_claims(&claims, &mut bad);
    let command = user.zip(validity).map(|(user, validity)| CreateUserToken { user, validity, claims });
    decode::checked(bad, command)
}

fn whole_seconds(validity: PbDuration) -> Result<Duration, &'static str> {
    let seconds = u64::try_from(validity.seconds).ok().filter(|_| validity.nanos == 0);
    seconds
        .map(Duration::from_secs)
        .filter(|validity| (Duration::from_secs(1)..=MAX_VALIDITY).contains(validity))
        .ok_or("must be 1 second to 365 days, in whole seconds")
}
