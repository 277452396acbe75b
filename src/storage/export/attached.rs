//! What others did to the user's content, read together with it: reactions as counts, flags without their
//! authors.

use std::collections::HashMap;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use serde_json::Value;

use super::{Attached, Row, Step, Subject, attached_to};
use crate::model::export::Scope;
use crate::storage::columns::release::Found;
use crate::storage::{Db, StoreError};

/// What is attached, by the id of what it is attached to.
pub(super) type ById = HashMap<String, Vec<Attached>>;

/// What is attached to `rows`, in the order of the releases.
pub(super) async fn read(
    db: &Db,
    subject: Subject<'_>,
    step: &Step,
    rows: &[Row],
) -> Result<Vec<ById>, StoreError> {
    let others: Vec<&'static Step> = attached_to(step).collect();
    if others.is_empty() || subject.scope == Scope::Portability {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = rows.iter().map(id).collect();
    let of_one = |other: &'static Step| {
        let ids = &ids;
        async move {
            match other.release.found {
                Found::CountedOn(record) => counts(db, subject, other, record, ids).await,
                Found::FlagsOn(record) => flags(db, subject, other, record, ids).await,
                _ => Ok(ById::new()),
            }
        }
    };
    futures_util::future::try_join_all(others.into_iter().map(of_one)).await
}

/// Attaches it to the rows.
pub(super) fn fill(rows: &mut [Row], found: Vec<ById>) {
    for mut one in found {
        for row in &mut *rows {
            let attached = one.remove(id(row)).unwrap_or_default();
            row.attached.extend(attached);
        }
    }
}

fn id(row: &Row) -> &str {
    row.key.first().and_then(Value::as_str).unwrap_or_default()
}

/// Reactions of others by what they are on.
async fn counts(
    db: &Db,
    subject: Subject<'_>,
    step: &Step,
    record: &str,
    ids: &[&str],
) -> Result<ById, StoreError> {
    let (on, condition) = match record {
        "message" => ("message_id", "TRUE"),
        "activity" => ("activity_id", "comment_id = ''"),
        _ => ("comment_id", "comment_id <> ''"),
    };
    let select = Query::select()
        .columns([on, "type"])
        .expr(Expr::cust("COUNT(*)"))
        .from(step.table)
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(db.backend().json().is_one_of(Expr::col(on), ids))
        .and_where(Expr::col("user_id").ne(subject.user))
        .and_where(Expr::cust(condition))
        .group_by_columns([on, "type"])
        .order_by("type", Order::Asc)
        .take();
    let mut found = ById::new();
    for row in db.query_all(&select).await? {
        let id: String = row.try_get_by_index(0)?;
        let count = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let values = vec![Value::from(id.as_str())];
        let records = found.entry(id).or_default();
        match records.first_mut() {
            Some(record) => record.counts.push(count),
            None => records.push(Attached { release: step.release, values, counts: vec![count] }),
        }
    }
    Ok(found)
}

/// Flags of others by what they are on.
async fn flags(
    db: &Db,
    subject: Subject<'_>,
    step: &Step,
    record: &str,
    ids: &[&str],
) -> Result<ById, StoreError> {
    let select: SelectStatement = Query::select()
        .columns(["entity_id", "created_at"])
        .from(step.table)
        .and_where(Expr::col("app_id").eq(subject.app.0))
        .and_where(Expr::col("entity_type").eq(record))
        .and_where(db.backend().json().is_one_of(Expr::col("entity_id"), ids))
        .and_where(Expr::col("user_id").ne(subject.user))
        .order_by("user_id", Order::Asc)
        .take();
    let mut found = ById::new();
    for row in db.query_all(&select).await? {
        let (id, at): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        // The fields of a flag received: what it is on, who set it (never said), when.
        let values = vec![record.into(), id.as_str().into(), "~".into(), at.into()];
        found.entry(id).or_default().push(Attached { release: step.release, values, counts: Vec::new() });
    }
    Ok(found)
}
