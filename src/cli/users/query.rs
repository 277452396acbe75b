//! `usher users query`: page after page, each printed before the next is asked for.

use clap::Args;

use super::view;
use crate::cli::connect::{Connection, unary};
use crate::cli::failure::{Exit, Outcome};
use crate::cli::{json, output};
use crate::proto::v1;

/// The most an answer holds.
const PAGE: i32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct Query {
    /// A filter, such as '{"role": "admin", "custom.level": {"$gte": 3}}'. [default: all users]
    filter: Option<String>,
    /// Sort key, such as `name`, `created_at:desc` or `custom.score:desc:number`; may be given up to 5 times.
    #[arg(long = "sort", value_name = "FIELD[:asc|desc][:TYPE]", value_parser = sort_key)]
    sort: Vec<v1::SortKey>,
    /// Show at most this many users. [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Include deactivated users.
    #[arg(long)]
    deactivated: bool,
    /// Include deleted users.
    #[arg(long)]
    deleted: bool,
    /// Print a JSON object for each user, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Query {
    pub(super) async fn run(self) -> Outcome {
        let filter = self.filter.as_deref().map(|text| json::object("FILTER", text)).transpose()?;
        let client = self.connection.open()?;
        let (mut left, mut page_token, mut first) = (self.limit.unwrap_or(u64::MAX), String::new(), true);
        loop {
            let request = v1::QueryUsersRequest {
                filter: filter.clone(),
                sort: self.sort.clone(),
                limit: i32::try_from(left).unwrap_or(PAGE).min(PAGE),
                page_token,
                include_deactivated_users: self.deactivated,
                include_deleted_users: self.deleted,
                ..Default::default()
            };
            let answer =
                client.users().query_users(unary(request)).await.map_err(|status| client.failure(&status))?;
            let v1::QueryUsersResponse { users, next_page_token, .. } = answer.into_inner();
            if self.json {
                users.iter().try_for_each(|user| output::json(&view::json(user)))?;
            } else {
                view::table(&users).iter().skip(usize::from(!first)).try_for_each(output::line)?;
            }
            left = left.saturating_sub(users.len() as u64);
            if next_page_token.is_empty() || left == 0 {
                return Ok(Exit::Success);
            }
            (page_token, first) = (next_page_token, false);
        }
    }
}

/// `custom.score:desc:number` as the API has it.
fn sort_key(text: &str) -> Result<v1::SortKey, &'static str> {
    let mut parts = text.split(':');
    let mut key = v1::SortKey { field: parts.next().unwrap_or_default().to_owned(), ..Default::default() };
    for part in parts {
        match part {
            "asc" => key.set_direction(v1::SortDirection::Asc),
            "desc" => key.set_direction(v1::SortDirection::Desc),
            "string" => key.set_type(v1::SortType::String),
            "number" => key.set_type(v1::SortType::Number),
            "boolean" => key.set_type(v1::SortType::Boolean),
            _ => return Err("after the field come `asc` or `desc`, and `string`, `number` or `boolean`"),
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_key_is_a_field_a_direction_and_a_type() {
        let key = sort_key("custom.score:desc:number").unwrap();
        assert_eq!(key.field, "custom.score");
        assert_eq!((key.direction(), key.r#type()), (v1::SortDirection::Desc, v1::SortType::Number));
        assert_eq!(sort_key("name").unwrap().direction(), v1::SortDirection::Unspecified);
        assert!(sort_key("name:down").is_err());
    }
}
