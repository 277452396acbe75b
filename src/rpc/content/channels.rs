//! Reading channels.

use tonic::{Request, Status};

use super::encode;
use crate::domain::Domain;
use crate::domain::content::channels::{ChannelName, GetChannel};
use crate::model::content::parse_channel_cid;
use crate::model::id::{UserId, parse_word};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, answer, decode, status};

/// Members that can name a distinct channel.
const MAX_MEMBERS: usize = 1_000;

pub(super) async fn get_channel(
    domain: &Domain,
    request: Request<pb::GetChannelRequest>,
) -> RpcResult<pb::GetChannelResponse> {
    let (call, message) = decode::open(request)?;
    let page = domain.get_channel(&call, parse(message)?).await.map_err(status::of)?;
    let (channel, next_page_token) = encode::channel(page);
    Ok(answer(pb::GetChannelResponse { channel: Some(channel), next_page_token }))
}

fn parse(message: pb::GetChannelRequest) -> Result<GetChannel, Status> {
    let pb::GetChannelRequest { cid, r#type: kind, member_ids, limit, page_token } = message;
    let mut bad = Violations::new();
    let limit = decode::limit(limit, &mut bad);
    let name = name(&cid, kind, member_ids, &mut bad);
    decode::checked(bad, name.map(|name| GetChannel { name, limit, page_token }))
}

fn name(cid: &str, kind: String, member_ids: Vec<String>, bad: &mut Violations) -> Option<ChannelName> {
    if member_ids.is_empty() && kind.is_empty() {
        return bad.take("cid", parse_channel_cid(cid)).map(ChannelName::Cid);
    }
    if !cid.is_empty() {
        bad.add("cid", "must not stand beside `type` and `member_ids`");
    }
    if !(1..=MAX_MEMBERS).contains(&member_ids.len()) {
        bad.add("member_ids", format!("must be 1 to {MAX_MEMBERS} users"));
    }
    let kind = bad.take("type", parse_word(kind));
    let mut members: Vec<UserId> = Vec::new();
    for (at, id) in member_ids.into_iter().take(MAX_MEMBERS).enumerate() {
        let id = decode::user_id(&format!("member_ids[{at}]"), id, bad);
        members.extend(id);
    }
    members.sort_unstable();
    members.dedup();
    kind.map(|kind| ChannelName::Members(kind, members))
}
