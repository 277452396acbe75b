//! Reading calls.

use tonic::Request;

use super::Content;
use crate::domain::content::calls::{CallPage, GetCall};
use crate::model::call::{self, Cid, Member};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::json::to_struct;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn get_call(
    content: &Content,
    request: Request<pb::GetCallRequest>,
) -> RpcResult<pb::GetCallResponse> {
    let (call, message) = decode::open(request)?;
    let pb::GetCallRequest { cid, limit, page_token } = message;
    let mut bad = Violations::new();
    let cid = bad.take("cid", Cid::parse(&cid));
    let limit = decode::limit(limit, &mut bad);
    let get = decode::checked(bad, cid.map(|cid| GetCall { cid, limit, page_token }))?;
    let page = content.domain.get_call(&call, get).await.map_err(status::of)?;
    let (call, next_page_token) = encode(page);
    Ok(answer(pb::GetCallResponse { call: Some(call), next_page_token }))
}

fn encode(page: CallPage) -> (pb::Call, String) {
    let CallPage { found, members_total, members } = page;
    let call::Call { cid, created_by_id, custom, started_at, ended_at, created_at, deleted_at } = found;
    let member = |Member { user_id, role, created_at }| pb::CallMember {
        user_id,
        role,
        created_at: Some(to_timestamp(created_at)),
    };
    let call = pb::Call {
        cid: cid.to_string(),
        created_by_id: created_by_id.unwrap_or_default(),
        custom: (!custom.is_empty()).then(|| to_struct(custom)),
        started_at: started_at.map(to_timestamp),
        ended_at: ended_at.map(to_timestamp),
        deleted_at: deleted_at.map(to_timestamp),
        created_at: Some(to_timestamp(created_at)),
        members_total: i64::try_from(members_total).unwrap_or(i64::MAX),
        members: members.rows.into_iter().map(member).collect(),
    };
    (call, members.next_page_token.unwrap_or_default())
}
