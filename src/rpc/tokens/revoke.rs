//! Revoking tokens.

use prost_types::Timestamp as PbTimestamp;
use tonic::{Request, Status};

use crate::domain::Domain;
use crate::model::revocation::Revocation;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, answer, decode, status, time};

const MAX_IDS: usize = 500;

pub(super) async fn revoke_user_tokens(
    domain: &Domain,
    request: Request<pb::RevokeUserTokensRequest>,
) -> RpcResult<pb::RevokeUserTokensResponse> {
    let (call, message) = decode::open(request)?;
    let pb::RevokeUserTokensRequest { user_ids, issued_before, clear } = message;
    let mut bad = Violations::new();
    let users = decode::user_ids(user_ids, MAX_IDS, &mut bad);
    let revocation = revocation(domain, issued_before, clear, &mut bad);
    let users = decode::checked(bad, Some(users))?;
    domain.revoke_user_tokens(&call, users, revocation).await.map_err(status::of)?;
    Ok(answer(pb::RevokeUserTokensResponse {}))
}

pub(super) async fn revoke_app_tokens(
    domain: &Domain,
    request: Request<pb::RevokeAppTokensRequest>,
) -> RpcResult<pb::RevokeAppTokensResponse> {
    let (call, message) = decode::open(request)?;
    let revocation = app_revocation(domain, message)?;
    domain.revoke_app_tokens(&call, revocation).await.map_err(status::of)?;
    Ok(answer(pb::RevokeAppTokensResponse {}))
}

fn app_revocation(domain: &Domain, message: pb::RevokeAppTokensRequest) -> Result<Revocation, Status> {
    let mut bad = Violations::new();
    let revocation = revocation(domain, message.issued_before, message.clear, &mut bad);
    decode::checked(bad, Some(revocation))
}

fn revocation(
    domain: &Domain,
    issued_before: Option<PbTimestamp>,
    clear: bool,
    bad: &mut Violations,
) -> Revocation {
    let Some(issued_before) = issued_before else {
        return if clear { Revocation::Clear } else { Revocation::Now };
    };
    if clear {
        bad.add("clear", "must not be given together with issued_before");
    }
    let time = time::from_timestamp(issued_before);
    let revocation = time.and_then(|time| Revocation::issued_before(time, domain.now()));
    bad.take("issued_before", revocation).unwrap_or(Revocation::Now)
}
