//! `usher users get`.

use clap::Args;

use super::view;
use crate::cli::connect::{Client, Connection, unary};
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::output;
use crate::proto::v1;

/// The most a request takes.
const BATCH: usize = 500;

#[derive(Debug, Args)]
pub(super) struct Get {
    /// Ids of the users.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Include deleted users.
    #[arg(long)]
    deleted: bool,
    /// Print a JSON object for each user, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Get {
    pub(super) async fn run(self) -> Outcome {
        let client = self.connection.open()?;
        let (users, missing) = read(&client, &self.ids, self.deleted).await?;
        if self.json {
            users.iter().try_for_each(|user| output::json(&view::json(user)))?;
        } else if let (1, [user]) = (self.ids.len(), users.as_slice()) {
            view::describe(user).iter().try_for_each(output::line)?;
        } else if !users.is_empty() {
            view::table(&users).iter().try_for_each(output::line)?;
        }
        for id in &missing {
            output::note(format_args!("usher: there is no user {id}"));
        }
        Ok(if missing.is_empty() { Exit::Success } else { Exit::Partly })
    }
}

/// Users by id, however many; and the ids of those there are not.
pub(super) async fn read(
    client: &Client,
    ids: &[String],
    include_deleted: bool,
) -> Result<(Vec<v1::User>, Vec<String>), Failure> {
    let (mut users, mut missing) = (Vec::new(), Vec::new());
    for ids in ids.chunks(BATCH) {
        let request = v1::GetUsersRequest { user_ids: ids.to_vec(), include_deleted };
        let answer = client.users().get_users(unary(request)).await;
        let answer = answer.map_err(|status| client.failure_about(&status, ids))?.into_inner();
        users.extend(answer.users);
        missing.extend(answer.missing_ids);
    }
    Ok((users, missing))
}
