//! Deleting users.

use tonic::{Request, Status};

use super::bulk_lifecycle::{Asked, MAX_IDS};
use crate::domain::Domain;
use crate::domain::users::deletion::{DeleteUsers, DeletionPreview};
use crate::model::archive::{Archive, ArchiveId};
use crate::model::deletion::{Archives, AskedPlan, Mode};
use crate::model::id::UserId;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::tasks::encode::task;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn delete_users(
    domain: &Domain,
    request: Request<pb::DeleteUsersRequest>,
) -> RpcResult<pb::DeleteUsersResponse> {
    let (call, message) = decode::open(request)?;
    let dry_run = message.dry_run;
    let command = parse(message)?;
    // Looked at before they go.
    let unread = domain.list_unread_archives(&call, &command).await.map_err(status::of)?;
    let unread_archives = unread.into_iter().map(unread_archive).collect();
    let response = if dry_run {
        let counted = domain.preview_deletion(&call, &command).await.map_err(status::of)?;
        pb::DeleteUsersResponse { task: None, preview: Some(preview(counted)), unread_archives }
    } else {
        let accepted = domain.delete_users(&call, command).await.map_err(status::of)?;
        pb::DeleteUsersResponse { task: Some(task(&accepted)), preview: None, unread_archives }
    };
    Ok(answer(response))
}

fn parse(message: pb::DeleteUsersRequest) -> Result<DeleteUsers, Status> {
    let pb::DeleteUsersRequest {
        user_ids,
        created_by_id,
        reason,
        request_id,
        user,
        messages,
        conversations,
        calls,
        activities,
        files,
        new_channel_owner_id,
        new_call_owner_id,
        dry_run: _,
        archives,
    } = message;
    let mut bad = Violations::new();
    let asked = AskedPlan {
        user: mode("user", user, &mut bad),
        messages: mode("messages", messages, &mut bad),
        conversations: mode("conversations", conversations, &mut bad),
        calls: mode("calls", calls, &mut bad),
        activities: mode("activities", activities, &mut bad),
        files,
        archives: self::archives(archives, &mut bad),
    };
    let plan = asked.check(&mut bad);
    let channel_heir = heir("new_channel_owner_id", new_channel_owner_id, &user_ids, &mut bad);
    let call_heir = heir("new_call_owner_id", new_call_owner_id, &user_ids, &mut bad);
    let Asked { user_ids, created_by_id, reason, request_id } =
        Asked { user_ids, created_by_id, reason, request_id: Some(request_id) }.check(MAX_IDS, &mut bad);
    let command = DeleteUsers { user_ids, plan, channel_heir, call_heir, created_by_id, reason, request_id };
    decode::checked(bad, Some(command))
}

fn archives(archives: i32, bad: &mut Violations) -> Archives {
    let archives = match pb::Archives::try_from(archives) {
        Ok(pb::Archives::Unspecified | pb::Archives::Now) => Ok(Archives::Now),
        Ok(pb::Archives::AtExpiry) => Ok(Archives::AtExpiry),
        Err(_) => Err("is not a value of this enum"),
    };
    bad.take("archives", archives).unwrap_or_default()
}

fn unread_archive(archive: Archive) -> pb::UnreadArchive {
    let ArchiveId { task, index, .. } = archive.id;
    pb::UnreadArchive { user_id: archive.user_id, task_id: task.to_string(), index }
}

fn mode(field: &str, mode: i32, bad: &mut Violations) -> Option<Mode> {
    match pb::DeleteMode::try_from(mode) {
        Ok(pb::DeleteMode::Unspecified) => None,
        Ok(pb::DeleteMode::Soft) => Some(Mode::Soft),
        Ok(pb::DeleteMode::Pruning) => Some(Mode::Pruning),
        Ok(pb::DeleteMode::Hard) => Some(Mode::Hard),
        Ok(pb::DeleteMode::Keep) => Some(Mode::Keep),
        Err(_) => bad.take(field, Err("is not a value of this enum")),
    }
}

fn heir(field: &str, id: String, deleted: &[String], bad: &mut Violations) -> Option<UserId> {
    if id.is_empty() {
        return None;
    }
    if deleted.contains(&id) {
        bad.add(field, "must not be one of `user_ids`");
    }
    decode::user_id(field, id, bad)
}

fn preview(counted: DeletionPreview) -> pb::DeletionPreview {
    let DeletionPreview { users, users_unchanged, users_failed, rows } = counted;
    let rows = rows.into_iter().map(|(name, number)| (name.to_owned(), number)).collect();
    pb::DeletionPreview { users, users_unchanged, users_failed, rows }
}
