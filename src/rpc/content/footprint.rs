//! Counting what a user has.

use tonic::Request;

use crate::domain::Domain;
use crate::model::footprint::Footprint;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn get_footprint(
    domain: &Domain,
    request: Request<pb::GetFootprintRequest>,
) -> RpcResult<pb::GetFootprintResponse> {
    let (call, message) = decode::open(request)?;
    let mut bad = Violations::new();
    let user = decode::user_id("user_id", message.user_id, &mut bad);
    let user = decode::checked(bad, user)?;
    let footprint = domain.get_footprint(&call, &user).await.map_err(status::of)?;
    Ok(answer(pb::GetFootprintResponse { footprint: Some(encode(footprint)) }))
}

fn encode(counted: Footprint) -> pb::Footprint {
    let Footprint {
        channels,
        channel_memberships,
        conversations,
        messages,
        reactions,
        calls,
        call_memberships,
        feeds,
        activities,
        comments,
        feed_reactions,
        follows,
        flags,
        flags_received,
        devices,
        future_channel_bans,
        mentions,
        blocks,
    } = counted;
    pb::Footprint {
        channels,
        channel_memberships,
        conversations,
        messages,
        reactions,
        calls,
        call_memberships,
        feeds,
        activities,
        comments,
        feed_reactions,
        follows,
        flags,
        flags_received,
        devices,
        future_channel_bans,
        mentions,
        blocks,
    }
}
