//! Exporting users.

use std::pin::Pin;

use async_stream::try_stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::bulk_lifecycle::Asked;
use crate::domain::Domain;
use crate::domain::users::export::{ExportUsers, UserExport};
use crate::model::export::{ExportOptions, References, Scope};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::stream_end::StreamEnd;
use crate::rpc::tasks::encode::task;
use crate::rpc::{MAX_ANSWER, RpcResult, answer, decode, status};

/// Users of one call.
const MAX_IDS: usize = 1_000;

pub(super) type Records = Pin<Box<dyn Stream<Item = Result<pb::ExportUserResponse, Status>> + Send>>;

pub(super) async fn export_user(
    domain: &Domain,
    mut request: Request<pb::ExportUserRequest>,
) -> RpcResult<Records> {
    let end = StreamEnd::of(&mut request)?;
    let (call, message) = decode::open(request)?;
    let pb::ExportUserRequest { user_id, references, scope, include_received } = message;
    let mut bad = Violations::new();
    let user = decode::user_id("user_id", user_id, &mut bad);
    let options = options(references, scope, include_received, &mut bad);
    let (user, options) = decode::checked(bad, user.zip(options))?;
    let export = domain.export_user(call, user, options).await.map_err(status::of)?;
    Ok(Response::new(Box::pin(messages(export, end))))
}

pub(super) async fn export_users(
    domain: &Domain,
    request: Request<pb::ExportUsersRequest>,
) -> RpcResult<pb::ExportUsersResponse> {
    let (call, message) = decode::open(request)?;
    let pb::ExportUsersRequest {
        user_ids,
        references,
        scope,
        include_received,
        created_by_id,
        reason,
        request_id,
    } = message;
    let mut bad = Violations::new();
    let options = options(references, scope, include_received, &mut bad);
    let asked = Asked { user_ids, created_by_id, reason, request_id: Some(request_id) };
    let Asked { user_ids, created_by_id, reason, request_id } = asked.check(MAX_IDS, &mut bad);
    let command = options.map(|options| ExportUsers { user_ids, options, created_by_id, reason, request_id });
    let command = decode::checked(bad, command)?;
    let accepted = domain.export_users(&call, command).await.map_err(status::of)?;
    Ok(answer(pb::ExportUsersResponse { task: Some(task(&accepted)) }))
}

/// What is to be exported, and how.
fn options(
    references: i32,
    scope: i32,
    include_received: bool,
    bad: &mut Violations,
) -> Option<ExportOptions> {
    let references = match pb::ExportReferences::try_from(references) {
        Ok(pb::ExportReferences::Unspecified | pb::ExportReferences::Pseudonym) => Ok(References::Pseudonym),
        Ok(pb::ExportReferences::Keep) => Ok(References::Keep),
        Err(_) => Err("is not a value of this enum"),
    };
    let scope = match pb::ExportScope::try_from(scope) {
        Ok(pb::ExportScope::Unspecified | pb::ExportScope::Access) => Ok(Scope::Access),
        Ok(pb::ExportScope::Portability) => Ok(Scope::Portability),
        Err(_) => Err("is not a value of this enum"),
    };
    let (references, scope) = (bad.take("references", references), bad.take("scope", scope));
    if include_received && scope == Some(Scope::Portability) {
        bad.add("include_received", "must not be set where `scope` is PORTABILITY");
    }
    Some(ExportOptions { references: references?, scope: scope?, include_received })
}

/// Reads on only as fast as the caller does. Ends after the last record, or by [`StreamEnd`].
fn messages(
    mut export: UserExport,
    mut end: StreamEnd,
) -> impl Stream<Item = Result<pb::ExportUserResponse, Status>> {
    try_stream! {
        loop {
            let next = end.or(export.next()).await?;
            let Some(records) = next.map_err(status::of)? else { break };
            for records in within_limits(records) {
                yield pb::ExportUserResponse { records };
            }
        }
    }
}

/// The records in as few messages as may hold them.
fn within_limits(records: Vec<String>) -> Vec<Vec<String>> {
    let (mut messages, mut bytes) = (Vec::new(), MAX_ANSWER);
    for record in records {
        let size = record.len() + 8;
        match messages.last_mut() {
            Some(message) if bytes + size <= MAX_ANSWER => {
                Vec::push(message, record);
                bytes += size;
            }
            _ => {
                messages.push(vec![record]);
                bytes = size;
            }
        }
    }
    messages
}
