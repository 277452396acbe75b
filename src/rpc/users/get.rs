//! Reading users by id.

use std::collections::HashSet;

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::encode;
use crate::domain::{Domain, Error};
use crate::model::id::UserId;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{MAX_ANSWER, RpcResult, decode, status};

const MAX_IDS: usize = 500;

pub(super) async fn get_users(
    domain: &Domain,
    request: Request<pb::GetUsersRequest>,
) -> RpcResult<pb::GetUsersResponse> {
    let (call, message) = decode::open(request)?;
    let ids = ids(message.user_ids)?;
    let got = domain.get_users(&call, ids, message.include_deleted).await.map_err(status::of)?;
    let answer = pb::GetUsersResponse {
        users: got.users.into_iter().map(encode::user).collect(),
        missing_ids: got.missing_ids,
    };
    if answer.encoded_len() > MAX_ANSWER {
        return Err(status::of(Error::TooLarge(
            "the users are too many bytes together; ask for fewer at a time",
        )));
    }
    Ok(Response::new(answer))
}

fn ids(texts: Vec<String>) -> Result<Vec<UserId>, Status> {
    let mut bad = Violations::new();
    if !(1..=MAX_IDS).contains(&texts.len()) {
        bad.add("user_ids", format!("must be 1 to {MAX_IDS} ids"));
        return decode::checked(bad, None);
    }
    let mut seen = HashSet::new();
    let mut ids = Vec::with_capacity(texts.len());
    for (at, text) in texts.into_iter().enumerate() {
        let id = decode::user_id(&format!("user_ids[{at}]"), text, &mut bad);
        ids.extend(id.filter(|id| seen.insert(id.clone())));
    }
    decode::checked(bad, Some(ids))
}
