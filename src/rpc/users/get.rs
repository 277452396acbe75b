//! Reading users by id.

use prost::Message as _;
use tonic::Request;

use super::encode;
use crate::domain::{Domain, Error};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{MAX_ANSWER, RpcResult, answer, decode, status};

const MAX_IDS: usize = 500;

pub(super) async fn get_users(
    domain: &Domain,
    request: Request<pb::GetUsersRequest>,
) -> RpcResult<pb::GetUsersResponse> {
    let (call, message) = decode::open(request)?;
    let mut bad = Violations::new();
    let ids = decode::user_ids(message.user_ids, MAX_IDS, &mut bad);
    let ids = decode::checked(bad, Some(ids))?;
    let got = domain.get_users(&call, ids, message.include_deleted).await.map_err(status::of)?;
    let found = pb::GetUsersResponse {
        users: got.users.into_iter().map(encode::user).collect(),
        missing_ids: got.missing_ids,
    };
    if found.encoded_len() > MAX_ANSWER {
        return Err(status::of(Error::TooLarge(
            "the users are too many bytes together; ask for fewer at a time",
        )));
    }
    Ok(answer(found))
}
