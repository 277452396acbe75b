//! `usher users delete`.

mod export_first;
mod receipt;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tonic::Status;

use super::bulk::{Answer, Bulk, Operation, Order, Preview};
use crate::cli::connect::{Client, unary};
use crate::cli::failure::{Failure, Outcome};
use crate::model::clock::SystemClock;
use crate::proto::v1;

#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    bulk: Bulk,
    /// First export the users to this directory, as `usher export` does. Nothing is deleted before all archives are
    /// there and checked. What was deleted is written to `receipt.json` there; the same command goes on after an
    /// interruption.
    #[arg(long, value_name = "DIR")]
    export_first: Option<PathBuf>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Debug, Args)]
#[command(
    next_help_heading = "Deletion modes",
    after_help = "Modes: `soft` marks it deleted and keeps the data, `pruning` marks it and blanks personal data, \
                  `hard` removes it for ever, `keep` leaves it as it is."
)]
struct Plan {
    /// The users themselves.
    #[arg(long, value_name = "MODE", default_value = "soft", value_parser = ["soft", "pruning", "hard"])]
    user: String,
    /// Their messages and reactions.
    #[arg(long, value_name = "MODE", default_value = "soft", value_parser = ["soft", "pruning", "hard", "keep"])]
    messages: String,
    /// Their channels with exactly two members.
    #[arg(long, value_name = "MODE", default_value = "soft", value_parser = ["soft", "hard", "keep"])]
    conversations: String,
    /// Their calls with exactly two members.
    #[arg(long, value_name = "MODE", default_value = "soft", value_parser = ["soft", "hard", "keep"])]
    calls: String,
    /// Their activities, comments and feeds. [default: as --messages]
    #[arg(long, value_name = "MODE", value_parser = ["soft", "pruning", "hard", "keep"])]
    activities: Option<String>,
    /// Also remove the addresses of their uploaded files.
    #[arg(long)]
    files: bool,
    /// Archives of exported users deleted `hard`: removed with them, or kept until they expire.
    #[arg(long, value_name = "WHEN", default_value = "now", value_parser = ["now", "at-expiry"])]
    archives: String,
    /// Id of the user who becomes owner of the channels of users deleted `hard`.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    new_channel_owner: String,
    /// Id of the user who becomes owner of the calls of users deleted `hard`.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    new_call_owner: String,
}

impl Delete {
    pub(super) async fn run(self) -> Outcome {
        let Some(dir) = self.export_first else { return self.bulk.run(&self.plan).await };
        let first = format!("would first be exported to {}, and each archive be checked", dir.display());
        match self.bulk.agree(&self.plan, Some(&first)).await? {
            Answer::Over(exit) => Ok(exit),
            Answer::Agreed(agreed) => export_first::run(&agreed, &self.plan, &dir, &SystemClock).await,
        }
    }
}

impl Plan {
    /// As a receipt has it.
    fn to_json(&self) -> Value {
        json!({
            "user": self.user,
            "messages": self.messages,
            "conversations": self.conversations,
            "calls": self.calls,
            "activities": self.activities.as_ref().unwrap_or(&self.messages),
            "files": self.files,
            "archives": self.archives,
            "new_channel_owner_id": self.new_channel_owner,
            "new_call_owner_id": self.new_call_owner,
        })
    }

    fn request(&self, order: Order) -> v1::DeleteUsersRequest {
        let Order { user_ids, created_by_id, reason, request_id } = order;
        v1::DeleteUsersRequest {
            user_ids,
            created_by_id,
            reason,
            request_id,
            user: mode(&self.user),
            messages: mode(&self.messages),
            conversations: mode(&self.conversations),
            calls: mode(&self.calls),
            activities: self.activities.as_deref().map_or(0, mode),
            files: self.files,
            new_channel_owner_id: self.new_channel_owner.clone(),
            new_call_owner_id: self.new_call_owner.clone(),
            dry_run: false,
            archives: archives(&self.archives),
        }
    }
}

impl Operation for Plan {
    fn done(&self) -> String {
        match self.user.as_str() {
            "soft" => "deleted softly".to_owned(),
            "pruning" => "deleted with their personal data".to_owned(),
            _ => "deleted for good".to_owned(),
        }
    }

    async fn preview(&self, client: &Client, ids: &[String]) -> Result<Preview, Failure> {
        let order = Order {
            user_ids: ids.to_vec(),
            created_by_id: String::new(),
            reason: String::new(),
            request_id: String::new(),
        };
        let request = v1::DeleteUsersRequest { dry_run: true, ..self.request(order) };
        let answer = client.users().delete_users(unary(request)).await;
        let answer = answer.map_err(|status| client.failure_about(&status, ids))?.into_inner();
        let unread = answer.unread_archives.len() as u64;
        let preview = answer.preview;
        let v1::DeletionPreview { users, users_unchanged, users_failed, rows } = preview.unwrap_or_default();
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let mut rows: Vec<_> = rows.into_iter().map(|(what, rows)| (what, count(rows))).collect();
        rows.sort();
        // Removed with the users, though they may be wanted still.
        if unread > 0 && self.archives == "now" {
            rows.push(("archives never downloaded".to_owned(), unread));
        }
        Ok(Preview {
            users: count(users),
            unchanged: count(users_unchanged),
            failed: count(users_failed),
            rows,
        })
    }

    async fn start(&self, client: &Client, order: Order) -> Result<Option<v1::Task>, Status> {
        Ok(client.users().delete_users(unary(self.request(order))).await?.into_inner().task)
    }
}

/// `at-expiry` as the API has it; what there is was checked when it was read.
fn archives(text: &str) -> i32 {
    let name = text.to_uppercase().replace('-', "_");
    v1::Archives::from_str_name(&format!("ARCHIVES_{name}")).unwrap_or_default().into()
}

/// `soft` as the API has it; what there is was checked when it was read.
fn mode(text: &str) -> i32 {
    v1::DeleteMode::from_str_name(&format!("DELETE_MODE_{}", text.to_uppercase())).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_known_to_the_api() {
        for text in ["soft", "pruning", "hard", "keep"] {
            assert_ne!(mode(text), 0, "{text}");
        }
        assert_eq!(["now", "at-expiry"].map(archives), [1, 2]);
    }
}
