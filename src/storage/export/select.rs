//! The statement of a step.

use std::cmp::Ordering;

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Order, Query, SelectStatement};
use serde_json::Value;

use super::{Row, Step, Subject};
use crate::model::deletion::Shared;
use crate::storage::columns::release::{Field, Found};
use crate::storage::deletion::of_two;
use crate::storage::{Db, StoreError, narrow};

/// What columns are called in the statement: those of the key first.
const NAMES: [&str; 24] = [
    "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15",
    "c16", "c17", "c18", "c19", "c20", "c21", "c22", "c23",
];

pub(super) async fn list(
    db: &Db,
    subject: Subject<'_>,
    step: &Step,
    after: &[Value],
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let (select, columns) = statement(subject, step, after, limit);
    let mut rows: Vec<Vec<Value>> = narrow::list(db, select, columns).await?;
    let keys = step.release.order.len();
    rows.sort_by(|a, b| compare(a.iter().take(keys), b.iter().take(keys)));
    Ok(rows.into_iter().map(|key| to_row(step, key)).collect())
}

/// Neither list keeps room for the other: a page may wait long for its caller.
fn to_row(step: &Step, columns: Vec<Value>) -> Row {
    let mut selected = columns.into_iter();
    let key: Vec<Value> = selected.by_ref().take(step.release.order.len()).collect();
    let values = step
        .release
        .fields
        .iter()
        .map(|field| if is_selected(field) { selected.next().unwrap_or_default() } else { Value::Null });
    let values = values.collect();
    Row { key, values, lists: vec![Vec::new(); step.release.lists.len()], attached: Vec::new() }
}

/// What is the same in all records is not.
const fn is_selected(field: &Field) -> bool {
    !(field.sql.is_empty() && field.column.is_empty())
}

fn statement(
    subject: Subject<'_>,
    step: &Step,
    after: &[Value],
    limit: u64,
) -> (SelectStatement, &'static [&'static str]) {
    let (table, release) = (step.table, step.release);
    let mut select = Query::select();
    let keys = release.order.iter().map(|column| Expr::col((table, *column)));
    let fields = release.fields.iter().filter(|field| is_selected(field)).map(|field| match field.sql {
        "" => Expr::col((table, field.column)),
        sql => Expr::cust(sql),
    });
    let mut count = 0;
    for (expr, name) in keys.chain(fields).zip(NAMES) {
        select.expr_as(expr, name);
        count += 1;
    }
    select
        .from(table)
        .and_where(Expr::col((table, "app_id")).eq(subject.app.0))
        .cond_where(found(subject, table, release.found))
        .limit(limit);
    if !after.is_empty() {
        select.cond_where(behind(table, release.order, after));
    }
    for column in release.order {
        select.order_by((table, *column), Order::Asc);
    }
    (select, NAMES.get(..count).unwrap_or_default())
}

/// Rows behind the one with this key.
fn behind(table: &'static str, order: &[&'static str], after: &[Value]) -> Expr {
    let value = |value: &Value| match value.as_i64() {
        Some(number) => Expr::val(number),
        None => Expr::val(value.as_str().unwrap_or_default()),
    };
    if let ([column], [after]) = (order, after) {
        return Expr::col((table, *column)).gt(value(after));
    }
    let columns = order.iter().map(|column| Expr::col((table, *column)));
    Expr::tuple(columns).gt(Expr::tuple(after.iter().map(value)))
}

fn found(subject: Subject<'_>, table: &'static str, found: Found) -> Condition {
    let Subject { app, user, .. } = subject;
    let by = |column| Condition::all().add(Expr::col((table, column)).eq(user));
    match found {
        Found::By(column) => by(column),
        Found::ByWhere(column, condition) => by(column).add(Expr::cust(condition)),
        Found::FromOwnFeed => in_own_feed(subject, ["source_group", "source_id"]),
        Found::ToOwnFeed => in_own_feed(subject, ["target_group", "target_id"])
            .add(in_own_feed(subject, ["source_group", "source_id"]).not()),
        Found::ReceivedDirectly => received(user).add(in_channel_of_two(subject)).add(is_shown_to(subject)),
        Found::ReceivedRestricted => {
            let restricted = Query::select()
                .column("owner_id")
                .from("named_users")
                .and_where(Expr::col("app_id").eq(app.0))
                .and_where(Expr::col("user_id").eq(user))
                .and_where(Expr::cust("owner_kind = 'message' AND naming = 'visibility'"))
                .take();
            received(user)
                .add(Expr::col(("messages", "id")).in_subquery(restricted))
                .add(in_channel_of_two(subject).not())
        }
        // Read together with other rows, never alone.
        Found::CountedOn(_) | Found::FlagsOn(_) => Condition::all().add(Expr::cust("FALSE")),
    }
}

/// That an end of a follow is a feed of the user's.
fn in_own_feed(subject: Subject<'_>, [group, id]: [&'static str; 2]) -> Condition {
    let own = Query::select()
        .columns(["group_id", "id"])
        .from("feeds")
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(Expr::col("created_by_id").eq(subject.user))
        .take();
    let end = Expr::tuple([Expr::col(("follows", group)), Expr::col(("follows", id))]);
    Condition::all().add(end.in_subquery(own))
}

/// Messages of others that are not deleted.
fn received(user: &str) -> Condition {
    Condition::all()
        .add(Expr::col(("messages", "user_id")).ne(user))
        .add(Expr::col(("messages", "deleted_at")).is_null())
}

fn in_channel_of_two(subject: Subject<'_>) -> Condition {
    let channels = Query::select()
        .columns(["channel_type", "channel_id"])
        .from("channel_members")
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(Expr::col("user_id").eq(subject.user))
        .and_where(Expr::cust(of_two(Shared::Channels)))
        .take();
    let channel =
        Expr::tuple([Expr::col(("messages", "channel_type")), Expr::col(("messages", "channel_id"))]);
    Condition::all().add(channel.in_subquery(channels))
}

/// That a message is not restricted, or restricted to the user and others.
fn is_shown_to(subject: Subject<'_>) -> Condition {
    let named = || {
        Query::select()
            .expr(Expr::cust("1"))
            .from("named_users")
            .and_where(Expr::col(("named_users", "app_id")).eq(subject.app.0))
            .and_where(Expr::cust("owner_kind = 'message' AND naming = 'visibility'"))
            .and_where(Expr::col(("named_users", "owner_id")).equals(("messages", "id")))
            .take()
    };
    let names_user = named().and_where(Expr::col(("named_users", "user_id")).eq(subject.user)).take();
    Condition::any().add(Expr::exists(named()).not()).add(Expr::exists(names_user))
}

fn compare<'a>(a: impl Iterator<Item = &'a Value>, b: impl Iterator<Item = &'a Value>) -> Ordering {
    let one = |(a, b): (&Value, &Value)| match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_str().cmp(&b.as_str()),
    };
    a.zip(b).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
