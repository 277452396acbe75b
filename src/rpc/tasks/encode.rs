//! Tasks as messages.

use crate::domain::export::Linked;
use crate::domain::jobs::{deletion, export};
use crate::model::task::{Item, Outcome, Progress, Task, TaskState};
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;

pub(in crate::rpc) fn task(task: &Task) -> pb::Task {
    let Progress { users_total, users_done, users_failed, users_unchanged, rows_done } = task.progress;
    pb::Task {
        task_id: task.id.to_string(),
        kind: task.kind.clone(),
        state: state(task.state).into(),
        phase: task.phase.clone(),
        users_total,
        users_done,
        users_failed,
        users_unchanged,
        rows_done,
        revision: task.revision,
        failures: task.failures,
        cancel_requested: task.cancel_requested,
        created_by_id: task.created_by_id.clone(),
        reason: task.reason.clone(),
        request_id: task.request_id.clone().unwrap_or_default(),
        created_at: Some(to_timestamp(task.created_at)),
        updated_at: Some(to_timestamp(task.updated_at)),
        started_at: task.started_at.map(to_timestamp),
        finished_at: task.finished_at.map(to_timestamp),
        error: task
            .error
            .as_ref()
            .map(|error| pb::TaskError { reason: error.reason.clone(), message: error.message.clone() }),
        due_at: task.due_at.map(to_timestamp),
        result: result(task),
    }
}

/// What a task has made, where its kind makes anything.
fn result(task: &Task) -> Option<pb::task::Result> {
    let made = |name: &str| task.result.get(name).copied().unwrap_or_default();
    match task.kind.as_str() {
        export::KIND => Some(pb::task::Result::ExportUsers(pb::ExportUsersResult {
            files: made(export::FILES),
            records: made(export::RECORDS),
            bytes: made(export::BYTES),
        })),
        deletion::KIND => Some(pb::task::Result::DeleteUsers(pb::DeleteUsersResult {
            rows: task.result.iter().map(|(kind, rows)| (kind.clone(), *rows)).collect(),
        })),
        _ => None,
    }
}

pub(super) fn item(item: Item, archive: Option<Linked>) -> pb::TaskItem {
    pb::TaskItem {
        file: archive.map(file),
        index: item.index,
        user_id: item.user_id,
        outcome: outcome(item.outcome).into(),
        reason: item.reason.unwrap_or_default(),
    }
}

fn file(linked: Linked) -> pb::ExportedFile {
    let Linked { archive, url } = linked;
    pb::ExportedFile {
        records: archive.records,
        bytes: archive.bytes,
        file_name: archive.file_name(),
        sha256: archive.sha256.unwrap_or_default(),
        download_url: url,
        expires_at: archive.expires_at.map(to_timestamp),
    }
}

pub(super) const fn state(state: TaskState) -> pb::TaskState {
    match state {
        TaskState::Pending => pb::TaskState::Pending,
        TaskState::Running => pb::TaskState::Running,
        TaskState::Completed => pb::TaskState::Completed,
        TaskState::Failed => pb::TaskState::Failed,
        TaskState::Cancelled => pb::TaskState::Cancelled,
    }
}

pub(super) const fn outcome(outcome: Outcome) -> pb::ItemOutcome {
    match outcome {
        Outcome::Pending => pb::ItemOutcome::Pending,
        Outcome::Done => pb::ItemOutcome::Done,
        Outcome::Unchanged => pb::ItemOutcome::Unchanged,
        Outcome::Failed => pb::ItemOutcome::Failed,
        Outcome::Cancelled => pb::ItemOutcome::Cancelled,
    }
}
