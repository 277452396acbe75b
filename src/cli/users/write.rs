//! `usher users upsert` and `usher users patch`.

use std::path::PathBuf;

use clap::Args;
use prost::Message as _;

use super::{input, view};
use crate::cli::connect::{Connection, unary};
use crate::cli::failure::{Exit, Outcome};
use crate::cli::{output, selection, text};
use crate::proto::v1;

/// The most a request takes: users, and bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 3 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct Upsert {
    /// File of users as `usher users get --json` prints them; `-` reads standard input. Fields that only usher
    /// writes, such as `created_at`, are ignored; fields that are left out are cleared.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Print a JSON object for each user as stored, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct Patch {
    /// Id of the user.
    id: String,
    /// Sets a path to a JSON value, such as `name='"Ada"'` or `address.zip=8001`; may be given more than once.
    #[arg(long = "set", value_name = "PATH=JSON")]
    set: Vec<String>,
    /// Removes a path; may be given more than once.
    #[arg(long = "unset", value_name = "PATH")]
    unset: Vec<String>,
    /// Refuse the change unless the user has this version.
    #[arg(long, value_name = "N")]
    expected_version: Option<i64>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Upsert {
    pub(super) async fn run(self) -> Outcome {
        let users = input::users(&selection::text(&self.file)?)?;
        let client = self.connection.open()?;
        let mut stored = 0;
        for batch in batches(users) {
            let ids: Vec<String> = batch.iter().map(|user| user.id.clone()).collect();
            let answer = client.users().upsert_users(unary(v1::UpsertUsersRequest { users: batch })).await;
            let answer = answer.map_err(|status| {
                let failure = client.failure_about(&status, &ids);
                let (first, last) = (stored + 1, stored + ids.len());
                match stored {
                    0 => failure.and("hint: none of these users were stored; paths count from 0"),
                    _ => failure.and(&format!(
                        "hint: {stored} users were stored, and none from {first} to {last}, where paths count from 0"
                    )),
                }
            })?;
            if self.json {
                answer.into_inner().users.iter().try_for_each(|user| output::json(&view::json(user)))?;
            }
            stored += ids.len();
        }
        if !self.json {
            output::line(format_args!("stored {}", text::plural(stored as u64, "user")))?;
        }
        Ok(Exit::Success)
    }
}

/// The users in their order, as many at a time as a request takes.
fn batches(users: Vec<v1::UserInput>) -> Vec<Vec<v1::UserInput>> {
    let (mut batches, mut bytes) = (Vec::new(), 0);
    for user in users {
        bytes += user.encoded_len() + 8;
        match batches.last_mut() {
            Some(batch) if Vec::len(batch) < BATCH && bytes <= BATCH_BYTES => batch.push(user),
            _ => {
                bytes = user.encoded_len() + 8;
                batches.push(vec![user]);
            }
        }
    }
    batches
}

impl Patch {
    pub(super) async fn run(self) -> Outcome {
        let set = Some(input::set(&self.set)?);
        let client = self.connection.open()?;
        let (id, unset, expected_version) = (self.id, self.unset, self.expected_version);
        let ids = [id.clone()];
        let users = vec![v1::UserPatch { id, set, unset, expected_version }];
        let request = v1::UpdateUsersPartialRequest { users };
        let answer = client.users().update_users_partial(unary(request)).await;
        let users = answer.map_err(|status| client.failure_about(&status, &ids))?.into_inner().users;
        for user in &users {
            if self.json {
                output::json(&view::json(user))?;
            } else {
                view::describe(user).iter().try_for_each(output::line)?;
            }
        }
        Ok(Exit::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_go_out_in_their_order_and_no_batch_is_too_large() {
        let user = |id: usize, bytes| v1::UserInput {
            id: id.to_string(),
            image: "x".repeat(bytes),
            ..Default::default()
        };
        let users: Vec<_> = (0..1_201).map(|id| user(id, 0)).collect();
        let split = batches(users.clone());
        assert_eq!(split.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 201]);
        assert_eq!(split.concat(), users);
        let large: Vec<_> = (0..4).map(|id| user(id, 1_200_000)).collect();
        assert_eq!(batches(large).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert!(batches(Vec::new()).is_empty());
    }
}
