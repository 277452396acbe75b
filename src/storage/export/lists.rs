//! The lists of rows: users they name, the feeds they are in.

use std::collections::HashMap;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use serde_json::Value;

use super::{Row, Step, Subject};
use crate::storage::columns::release::ListOf;
use crate::storage::{Db, StoreError};

/// Owner, name of the list, position, member.
pub(super) type Member = (String, String, i32, String);

/// The members of the lists of `rows`.
pub(super) async fn read(
    db: &Db,
    subject: Subject<'_>,
    step: &Step,
    rows: &[Row],
) -> Result<Vec<Member>, StoreError> {
    let lists = step.release.lists;
    let holds = |of: fn(&ListOf) -> bool| lists.iter().any(|list| of(&list.of));
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let owners: Vec<String> = rows.iter().map(owner).collect();
    let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let mut found: Vec<Member> = Vec::new();
    if holds(|of| matches!(of, ListOf::Named(_))) {
        found.extend(list(db, named(db, subject, step.release.record, &owners)).await?);
    }
    if holds(|of| *of == ListOf::Feeds) {
        found.extend(list(db, feeds(db, subject, &owners)).await?);
    }
    if holds(|of| *of == ListOf::Blocked) {
        found.extend(list(db, blocked(subject)).await?);
    }
    found.sort();
    Ok(found)
}

/// Puts them into the lists, each in its order.
pub(super) fn fill(step: &Step, rows: &mut [Row], found: Vec<Member>) {
    let places: HashMap<String, usize> = rows.iter().map(owner).zip(0..).collect();
    for (owner, name, _, member) in found {
        let list = step.release.lists.iter().position(|list| name_of(list.of) == name);
        if let (Some(row), Some(list)) = (places.get(&owner).and_then(|at| rows.get_mut(*at)), list)
            && let Some(members) = row.lists.get_mut(list)
        {
            members.push(member);
        }
    }
}

/// What `named_users` calls the owner of a list.
fn owner(row: &Row) -> String {
    row.key.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(":")
}

const fn name_of(of: ListOf) -> &'static str {
    match of {
        ListOf::Named(naming) => naming.as_str(),
        ListOf::Feeds => "feeds",
        ListOf::Blocked => "blocked",
    }
}

fn named(db: &Db, subject: Subject<'_>, kind: &str, owners: &[&str]) -> SelectStatement {
    Query::select()
        .columns(["owner_id", "naming", "position", "user_id"])
        .from("named_users")
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(Expr::col("owner_kind").eq(kind))
        .and_where(db.backend().json().is_one_of(Expr::col("owner_id"), owners))
        .take()
}

fn feeds(db: &Db, subject: Subject<'_>, owners: &[&str]) -> SelectStatement {
    Query::select()
        .column("activity_id")
        .expr(Expr::val(name_of(ListOf::Feeds)))
        .column("position")
        .expr(Expr::cust("group_id || ':' || feed_id"))
        .from("activity_feeds")
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(db.backend().json().is_one_of(Expr::col("activity_id"), owners))
        .take()
}

fn blocked(subject: Subject<'_>) -> SelectStatement {
    Query::select()
        .column("user_id")
        .expr(Expr::val(name_of(ListOf::Blocked)))
        .expr(Expr::cust("0"))
        .column("blocked_user_id")
        .from("user_blocks")
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(Expr::col("user_id").eq(subject.user))
        .take()
}

async fn list(db: &Db, select: SelectStatement) -> Result<Vec<Member>, StoreError> {
    let rows = db.query_all(&select).await?;
    let members = rows.iter().map(|row| {
        Ok((
            row.try_get_by_index(0)?,
            row.try_get_by_index(1)?,
            row.try_get_by_index(2)?,
            row.try_get_by_index(3)?,
        ))
    });
    members.collect()
}
