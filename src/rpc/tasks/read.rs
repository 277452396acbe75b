//! Reading tasks and their items.

use tonic::{Request, Status};

use super::encode;
use crate::domain::Domain;
use crate::domain::tasks::{ListTaskItems, ListTasks};
use crate::model::task::{Outcome, TaskState};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{RpcResult, answer, decode, status};

/// Kinds that can be asked for at once, and the longest name of one.
const MAX_KINDS: usize = 100;
const MAX_KIND: usize = 100;

pub(super) async fn get_task(
    domain: &Domain,
    request: Request<pb::GetTaskRequest>,
) -> RpcResult<pb::GetTaskResponse> {
    let (call, message) = decode::open(request)?;
    let id = decode::task_id(&message.task_id)?;
    let task = domain.get_task(&call, id).await.map_err(status::of)?;
    Ok(answer(pb::GetTaskResponse { task: Some(encode::task(&task)) }))
}

pub(super) async fn list_tasks(
    domain: &Domain,
    request: Request<pb::ListTasksRequest>,
) -> RpcResult<pb::ListTasksResponse> {
    let (call, message) = decode::open(request)?;
    let page = domain.list_tasks(&call, list(message)?).await.map_err(status::of)?;
    Ok(answer(pb::ListTasksResponse {
        tasks: page.rows.iter().map(encode::task).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }))
}

pub(super) async fn list_task_items(
    domain: &Domain,
    request: Request<pb::ListTaskItemsRequest>,
) -> RpcResult<pb::ListTaskItemsResponse> {
    let (call, message) = decode::open(request)?;
    let (page, mut archives) =
        domain.list_task_items(&call, list_items(message)?).await.map_err(status::of)?;
    let items = page.rows.into_iter().map(|item| {
        let archive = archives.remove(&item.index);
        encode::item(item, archive)
    });
    Ok(answer(pb::ListTaskItemsResponse {
        items: items.collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }))
}

fn list(message: pb::ListTasksRequest) -> Result<ListTasks, Status> {
    let pb::ListTasksRequest { states, kinds, limit, page_token, overdue } = message;
    let mut bad = Violations::new();
    if kinds.len() > MAX_KINDS {
        bad.add("kinds", format!("must be at most {MAX_KINDS} names"));
    }
    for (at, kind) in kinds.iter().take(MAX_KINDS).enumerate() {
        if kind.is_empty() || kind.len() > MAX_KIND || kind.contains('\0') {
            bad.add(format!("kinds[{at}]"), "must be the name of a kind, such as `deactivate_users`");
        }
    }
    let list = ListTasks {
        states: known("states", &states, &mut bad, |number| {
            TaskState::ALL.into_iter().find(|state| i32::from(encode::state(*state)) == number)
        }),
        kinds,
        limit: decode::limit(limit, &mut bad),
        page_token,
        overdue,
    };
    decode::checked(bad, Some(list))
}

fn list_items(message: pb::ListTaskItemsRequest) -> Result<ListTaskItems, Status> {
    let pb::ListTaskItemsRequest { task_id, outcomes, limit, page_token } = message;
    let task = decode::task_id(&task_id)?;
    let mut bad = Violations::new();
    let list = ListTaskItems {
        task,
        outcomes: known("outcomes", &outcomes, &mut bad, |number| {
            Outcome::ALL.into_iter().find(|outcome| i32::from(encode::outcome(*outcome)) == number)
        }),
        limit: decode::limit(limit, &mut bad),
        page_token,
    };
    decode::checked(bad, Some(list))
}

/// The values of an enum by their numbers, each once.
fn known<T: PartialEq>(
    field: &str,
    numbers: &[i32],
    bad: &mut Violations,
    find: impl Fn(i32) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        match find(*number) {
            Some(value) if !values.contains(&value) => values.push(value),
            Some(_) => {}
            None => bad.add(format!("{field}[{at}]"), "is not a value of this enum"),
        }
    }
    values
}
