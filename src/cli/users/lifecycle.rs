//! `usher users restore`, `deactivate` and `reactivate`.

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::bulk::{Bulk, Operation, Order, Preview};
use super::read::read;
use crate::cli::connect::{Client, unary};
use crate::cli::failure::{Failure, Outcome};
use crate::proto::v1;

/// Users whose content is counted at the same time.
const AT_ONCE: usize = 16;

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    bulk: Bulk,
}

#[derive(Debug, Args)]
pub(super) struct Deactivate {
    #[command(flatten)]
    bulk: Bulk,
    #[command(flatten)]
    marks: Marks,
}

#[derive(Debug, Args)]
pub(super) struct Reactivate {
    #[command(flatten)]
    bulk: Bulk,
    #[command(flatten)]
    undone: Undone,
}

#[derive(Debug, Args)]
struct Marks {
    /// Mark their messages as deleted.
    #[arg(long)]
    mark_messages: bool,
    /// Mark the channels they own as deleted.
    #[arg(long)]
    mark_channels: bool,
}

#[derive(Debug, Args)]
struct Undone {
    /// Undo the marks that the deactivation put on their messages.
    #[arg(long)]
    restore_messages: bool,
    /// Undo the marks that the deactivation put on their channels.
    #[arg(long)]
    restore_channels: bool,
}

impl Restore {
    pub(super) async fn run(self) -> Outcome {
        self.bulk.run(&Restored).await
    }
}

impl Deactivate {
    pub(super) async fn run(self) -> Outcome {
        self.bulk.run(&self.marks).await
    }
}

impl Reactivate {
    pub(super) async fn run(self) -> Outcome {
        self.bulk.run(&self.undone).await
    }
}

struct Restored;

impl Operation for Restored {
    fn done(&self) -> String {
        "restored, with what their deletion marked".to_owned()
    }

    async fn preview(&self, client: &Client, ids: &[String]) -> Result<Preview, Failure> {
        let (users, missing) = read(client, ids, true).await?;
        let deleted = users.iter().filter(|user| user.deleted_at.is_some()).count();
        Ok(Preview {
            users: deleted as u64,
            unchanged: 0,
            failed: (missing.len() + users.len() - deleted) as u64,
            rows: Vec::new(),
        })
    }

    async fn start(&self, client: &Client, order: Order) -> Result<Option<v1::Task>, Status> {
        let Order { user_ids, created_by_id, reason, request_id } = order;
        let request = v1::RestoreUsersRequest { user_ids, created_by_id, reason, request_id };
        Ok(client.users().restore_users(unary(request)).await?.into_inner().task)
    }
}

impl Operation for Marks {
    fn done(&self) -> String {
        "deactivated".to_owned()
    }

    async fn preview(&self, client: &Client, ids: &[String]) -> Result<Preview, Failure> {
        let (users, missing) = read(client, ids, true).await?;
        let (preview, concerned) = judge(&users, &missing, |user| user.deactivated_at.is_none());
        if !self.mark_messages && !self.mark_channels {
            return Ok(preview);
        }
        let counts = futures_util::stream::iter(concerned.into_iter().map(|user_id| async move {
            let ids = [user_id.clone()];
            let answer = client.content().get_footprint(unary(v1::GetFootprintRequest { user_id })).await;
            let footprint =
                answer.map_err(|status| client.failure_about(&status, &ids))?.into_inner().footprint;
            Ok::<_, Failure>(footprint.unwrap_or_default())
        }));
        let counts = counts.buffer_unordered(AT_ONCE);
        let (messages, channels) = counts
            .try_fold((0, 0), async |(messages, channels), found| {
                Ok((messages + found.messages, channels + found.channels))
            })
            .await?;
        let rows = [(self.mark_messages, "messages", messages), (self.mark_channels, "channels", channels)]
            .into_iter()
            .filter(|(asked, _, count)| *asked && *count > 0)
            .map(|(_, what, count)| (what.to_owned(), u64::try_from(count).unwrap_or(0)))
            .collect();
        Ok(Preview { rows, ..preview })
    }

    async fn start(&self, client: &Client, order: Order) -> Result<Option<v1::Task>, Status> {
        let Order { user_ids, created_by_id, reason, request_id } = order;
        let request = v1::DeactivateUsersRequest {
            user_ids,
            created_by_id,
            reason,
            request_id,
            mark_messages_deleted: self.mark_messages,
            mark_channels_deleted: self.mark_channels,
        };
        Ok(client.users().deactivate_users(unary(request)).await?.into_inner().task)
    }
}

impl Operation for Undone {
    fn done(&self) -> String {
        match (self.restore_messages, self.restore_channels) {
            (false, false) => "reactivated".to_owned(),
            (true, false) => "reactivated, with their marked messages".to_owned(),
            (false, true) => "reactivated, with their marked channels".to_owned(),
            (true, true) => "reactivated, with their marked messages and channels".to_owned(),
        }
    }

    async fn preview(&self, client: &Client, ids: &[String]) -> Result<Preview, Failure> {
        let (users, missing) = read(client, ids, true).await?;
        Ok(judge(&users, &missing, |user| user.deactivated_at.is_some()).0)
    }

    async fn start(&self, client: &Client, order: Order) -> Result<Option<v1::Task>, Status> {
        let Order { user_ids, created_by_id, reason, request_id } = order;
        let request = v1::ReactivateUsersRequest {
            user_ids,
            created_by_id,
            reason,
            request_id,
            restore_messages: self.restore_messages,
            restore_channels: self.restore_channels,
        };
        Ok(client.users().reactivate_users(unary(request)).await?.into_inner().task)
    }
}

/// Who of `users` would change, by whether it does; deleted users cannot.
fn judge(
    users: &[v1::User],
    missing: &[String],
    changes: impl Fn(&v1::User) -> bool,
) -> (Preview, Vec<String>) {
    let (live, deleted): (Vec<_>, Vec<_>) = users.iter().partition(|user| user.deleted_at.is_none());
    let concerned: Vec<String> =
        live.iter().filter(|user| changes(user)).map(|user| user.id.clone()).collect();
    let preview = Preview {
        users: concerned.len() as u64,
        unchanged: (live.len() - concerned.len()) as u64,
        failed: (missing.len() + deleted.len()) as u64,
        rows: Vec::new(),
    };
    (preview, concerned)
}
