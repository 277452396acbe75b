//! Changing parts of users.

use std::collections::HashMap;

use tonic::{Request, Status};

use super::encode;
use crate::domain::Domain;
use crate::domain::users::partial::UpdateUser;
use crate::model::clock::Timestamp;
use crate::model::patch::Patch;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{MAX_ANSWER, RpcResult, answer, decode, json, status};

const MAX_USERS: usize = 500;

pub(super) async fn update_users_partial(
    domain: &Domain,
    request: Request<pb::UpdateUsersPartialRequest>,
) -> RpcResult<pb::UpdateUsersPartialResponse> {
    let (call, message) = decode::open(request)?;
    let users = command(message, domain.now())?;
    let users = domain.update_users_partial(&call, users, MAX_ANSWER).await.map_err(status::of)?;
    let users = users.into_iter().map(encode::user).collect();
    Ok(answer(pb::UpdateUsersPartialResponse { users }))
}

fn command(message: pb::UpdateUsersPartialRequest, now: Timestamp) -> Result<Vec<UpdateUser>, Status> {
    let mut bad = Violations::new();
    if !(1..=MAX_USERS).contains(&message.users.len()) {
        bad.add("users", format!("must be 1 to {MAX_USERS} users"));
        return decode::checked(bad, None);
    }
    let mut first_at = HashMap::new();
    let mut users = Vec::with_capacity(message.users.len());
    for (at, patch) in message.users.into_iter().enumerate() {
        if let Some(first) = first_at.insert(patch.id.clone(), at) {
            bad.add(format!("users[{at}].id"), format!("is the id of users[{first}] too"));
        }
        let mut found = Violations::new();
        users.extend(user(patch, now, &mut found));
        bad.extend(&format!("users[{at}]"), found.into_result(()).err().unwrap_or_default());
    }
    decode::checked(bad, Some(users))
}

fn user(patch: pb::UserPatch, now: Timestamp, bad: &mut Violations) -> Option<UpdateUser> {
    let pb::UserPatch { id, set, unset, expected_version } = patch;
    if expected_version.is_some_and(|version| version < 0) {
        bad.add("expected_version", "must be 0 or more");
    }
    let set = json::object(set.unwrap_or_default(), "set", bad);
    let patch = Patch::parse(set, unset, now, bad);
    decode::user_id("id", id, bad).map(|id| UpdateUser { id, patch, expected_version })
}
