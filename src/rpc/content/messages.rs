//! Reading the messages of a channel.

use prost::Message as _;
use tonic::{Request, Status};

use super::encode;
use crate::domain::content::messages::{FoundMessages, ListMessages};
use crate::domain::{Call, Domain};
use crate::model::content::parse_channel_cid;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{MAX_ANSWER, RpcResult, answer, decode, status};

/// What a page weighs beside its messages.
const MARGIN: usize = 4 * 1024;

pub(super) async fn list_messages(
    domain: &Domain,
    request: Request<pb::ListMessagesRequest>,
) -> RpcResult<pb::ListMessagesResponse> {
    let (call, message) = decode::open(request)?;
    let list = parse(message)?;
    let found = domain.list_messages(&call, &list).await.map_err(status::of)?;
    Ok(answer(cut(domain, &call, &list, found)))
}

fn parse(message: pb::ListMessagesRequest) -> Result<ListMessages, Status> {
    let pb::ListMessagesRequest { cid, limit, page_token, include_deleted } = message;
    let mut bad = Violations::new();
    let cid = bad.take("cid", parse_channel_cid(&cid));
    let limit = decode::limit(limit, &mut bad);
    let list = cid.map(|cid| ListMessages { cid, include_deleted, limit, page_token });
    decode::checked(bad, list)
}

/// As many of the messages as an answer can hold, and the token for the others.
fn cut(domain: &Domain, call: &Call, list: &ListMessages, found: FoundMessages) -> pb::ListMessagesResponse {
    let (mut messages, mut bytes) = (Vec::new(), MARGIN);
    let (mut next_page_token, mut more) = (String::new(), found.more);
    let mut token = String::new();
    for view in found.messages {
        let place = domain.messages_page_token(call, list, &view);
        let message = encode::message(view);
        bytes += message.encoded_len() + 8;
        if bytes > MAX_ANSWER && !messages.is_empty() {
            more = true;
            break;
        }
        messages.push(message);
        token = place;
    }
    if more {
        next_page_token = token;
    }
    pb::ListMessagesResponse { messages, next_page_token }
}
