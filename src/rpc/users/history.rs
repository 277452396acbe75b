//! Reading what happened to a user.

use tonic::{Request, Response};

use super::encode;
use crate::domain::Domain;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, decode, status};

pub(super) async fn list_user_history(
    domain: &Domain,
    request: Request<pb::ListUserHistoryRequest>,
) -> RpcResult<pb::ListUserHistoryResponse> {
    let (call, message) = decode::open(request)?;
    let pb::ListUserHistoryRequest { user_id, limit, page_token } = message;
    let mut bad = Violations::new();
    let user = decode::user_id("user_id", user_id, &mut bad);
    let limit = decode::limit(limit, &mut bad);
    let user = decode::checked(bad, user)?;
    let page = domain.list_user_history(&call, &user, limit, &page_token).await.map_err(status::of)?;
    let entries = page.rows.into_iter().map(|entry| encode::history_entry(user.as_str(), entry));
    Ok(Response::new(pb::ListUserHistoryResponse {
        entries: entries.collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }))
}
