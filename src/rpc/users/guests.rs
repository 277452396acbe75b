//! Making guests.

use tonic::{Request, Status};

use super::{encode, upsert};
use crate::domain::Domain;
use crate::domain::users::guests::{CreateGuest, MAX_REQUESTED_ID};
use crate::model::role;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, decode, status, time};

pub(super) async fn create_guest(
    domain: &Domain,
    request: Request<pb::CreateGuestRequest>,
) -> RpcResult<pb::CreateGuestResponse> {
    let (call, message) = decode::open(request)?;
    let (user, minted) = domain.create_guest(&call, command(message)?).await.map_err(status::of)?;
    Ok(answer(pb::CreateGuestResponse {
        user: Some(encode::user(user)),
        token: minted.token,
        expires_at: Some(to_timestamp(minted.expires_at)),
    }))
}

fn command(message: pb::CreateGuestRequest) -> Result<CreateGuest, Status> {
    let mut bad = Violations::new();
    let mut input = message.user.unwrap_or_default();
    let has_id = !input.id.is_empty();
    if !has_id {
        role::GUEST.clone_into(&mut input.id);
    }
    if input.id.len() > MAX_REQUESTED_ID {
        bad.add("user.id", format!("must be at most {MAX_REQUESTED_ID} characters"));
    }
    if input.expected_version.take().is_some() {
        bad.add("user.expected_version", "must not be given: a guest is new");
    }
    if input.role.is_empty() {
        role::GUEST.clone_into(&mut input.role);
    } else if input.role != role::GUEST {
        bad.add("user.role", "must be `guest`, or empty");
    }
    let mut found = Violations::new();
    let user = upsert::user(input, &mut found);
    bad.extend("user", found.into_result(()).err().unwrap_or_default());
    let validity = bad.take("validity", message.validity.map(time::validity).transpose());
    let command = user.zip(validity);
    decode::checked(
        bad,
        command.map(|(user, validity)| CreateGuest { profile: user.profile, has_id, validity }),
    )
}
