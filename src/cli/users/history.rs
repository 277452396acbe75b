//! `usher users history`: page after page, each printed before the next is asked for.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::connect::{Connection, unary};
use crate::cli::failure::{Exit, Outcome};
use crate::cli::{json as pb_json, output, text};
use crate::proto::v1;

/// The most an answer holds.
const PAGE: i32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct History {
    /// The user, by id; deleted ones too.
    user: String,
    /// At most this many entries. [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print a JSON object for each entry, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl History {
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let (mut left, mut page_token, mut first) = (self.limit.unwrap_or(u64::MAX), String::new(), true);
        loop {
            let request = v1::ListUserHistoryRequest {
                user_id: self.user.clone(),
                limit: i32::try_from(left).unwrap_or(PAGE).min(PAGE),
                page_token,
            };
            let answer = client.users().list_user_history(unary(request)).await;
            let answer = answer.map_err(|status| client.failure(&status))?.into_inner();
            let v1::ListUserHistoryResponse { entries, next_page_token } = answer;
            if self.json {
                entries.iter().try_for_each(|entry| output::json(&object(entry)))?;
            } else {
                table(&entries).iter().skip(usize::from(!first)).try_for_each(output::line)?;
            }
            left = left.saturating_sub(entries.len() as u64);
            if next_page_token.is_empty() || left == 0 {
                return Ok(Exit::Success);
            }
            (page_token, first) = (next_page_token, false);
        }
    }
}

/// `USER_HISTORY_KIND_DELETED` as `deleted`.
fn kind(entry: &v1::UserHistoryEntry) -> String {
    entry.kind().as_str_name().trim_start_matches("USER_HISTORY_KIND_").to_lowercase()
}

fn object(entry: &v1::UserHistoryEntry) -> Value {
    json!({
        "user_id": entry.user_id,
        "kind": kind(entry),
        "at": pb_json::time(entry.at),
        "by_id": entry.by_id,
        "reason": entry.reason,
        "task_id": entry.task_id,
    })
}

fn table(entries: &[v1::UserHistoryEntry]) -> Vec<String> {
    let header = ["AT                         ", "KIND              ", "BY              ", "TASK", "REASON"];
    let row = |entry: &v1::UserHistoryEntry| {
        let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        vec![
            pb_json::time(entry.at).unwrap_or_default(),
            kind(entry),
            or_none(&entry.by_id),
            or_none(&entry.task_id),
            // A line break in a reason must not look like another entry.
            entry.reason.replace('\n', " "),
        ]
    };
    text::table(&header, &entries.iter().map(row).collect::<Vec<_>>())
}
