//! Reading what the export of a user holds, some rows at a time, as the register of personal data says.
//!
//! A step is one release of one table. Rows come in the order of their keys, so that reading goes on behind the
//! last one; what is read together with a row comes in the same batch.

mod attached;
mod lists;
mod places;
mod select;

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use serde_json::Value;

pub use self::places::{Place, PlaceKind, list_naming_others};
use super::columns::TABLES;
use super::columns::release::{Relation, Release};
use super::{Db, StoreError};
use crate::model::call::Cid;
use crate::model::export::{Basis, ExportOptions, Scope};
use crate::model::id::AppId;

/// One release of one table.
#[derive(Debug, Clone)]
pub struct Step {
    /// `table.record`, and what tells apart those of the same name; checkpoints hold it.
    pub name: String,
    /// The table.
    pub table: &'static str,
    /// What is released of it.
    pub release: &'static Release,
}

/// All steps in order: the profile first, the history last.
static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    let first = |table: &str| match table {
        "users" => 0,
        "user_history" => 2,
        _ => 1,
    };
    let mut tables: Vec<_> = TABLES.iter().collect();
    tables.sort_by_key(|table| first(table.name));
    let steps = tables.into_iter().flat_map(|table| {
        table.released.iter().map(|release| {
            let suffix = if release.step.is_empty() { String::new() } else { format!(".{}", release.step) };
            Step { name: format!("{}.{}{suffix}", table.name, release.record), table: table.name, release }
        })
    });
    steps.collect()
});

/// The steps of an export, in order.
pub fn steps(options: ExportOptions) -> impl Iterator<Item = &'static Step> {
    STEPS.iter().filter(move |step| step.release.found.with().is_none() && is_wanted(options, step.release))
}

/// Releases that are read together with the rows of `step`.
fn attached_to(step: &Step) -> impl Iterator<Item = &'static Step> + use<> {
    let record = step.release.record;
    STEPS.iter().filter(move |other| other.release.found.with() == Some(record))
}

fn is_wanted(options: ExportOptions, release: &Release) -> bool {
    (options.scope == Scope::Access || release.basis == Basis::Provided)
        && (options.include_received || release.relation != Relation::Recipient)
}

/// A row of a step.
#[derive(Debug, Clone)]
pub struct Row {
    /// The values of [`Release::order`].
    pub key: Vec<Value>,
    /// The values of [`Release::fields`].
    pub values: Vec<Value>,
    /// The members of [`Release::lists`].
    pub lists: Vec<Vec<String>>,
    /// What is read together with it.
    pub attached: Vec<Attached>,
}

/// A record that is read together with a row.
#[derive(Debug, Clone)]
pub struct Attached {
    /// What is released.
    pub release: &'static Release,
    /// The values of its fields.
    pub values: Vec<Value>,
    /// Reactions by type.
    pub counts: Vec<(String, i64)>,
}

/// Rows, and what is known of the channels they name.
#[derive(Debug, Default)]
pub struct Page {
    /// In order.
    pub rows: Vec<Row>,
    /// The members of the distinct channels among those named, sorted.
    pub members: HashMap<Cid, Vec<String>>,
    /// There may be more behind the last one.
    pub more: bool,
}

/// Whose rows are read.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Subject<'a> {
    pub app: AppId,
    pub user: &'a str,
    pub scope: Scope,
}

/// The auth epoch of the user, where it exists and is not being erased: it tells a user from an earlier one with
/// the same id.
pub async fn readable_epoch(db: &Db, app: AppId, user: &str) -> Result<Readable, StoreError> {
    let select = Query::select()
        .columns(["auth_epoch", "erasing"])
        .from("users")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col("id").eq(user))
        .take();
    let Some(row) = db.query_one(&select).await? else { return Ok(Readable::Unknown) };
    let (epoch, erasing): (i64, bool) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(if erasing { Readable::Erasing } else { Readable::Yes(epoch) })
}

/// Whether a user can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Yes; its auth epoch.
    Yes(i64),
    /// Its erasure was accepted.
    Erasing,
    /// There is no such user.
    Unknown,
}

/// Up to `limit` rows of `step`, behind the one whose key is `after`; fewer where there are no more.
pub async fn list_rows(
    db: &Db,
    subject: Subject<'_>,
    step: &Step,
    after: &[Value],
    limit: u64,
) -> Result<Page, StoreError> {
    let mut rows = select::list(db, subject, step, after, limit).await?;
    if rows.is_empty() {
        return Ok(Page::default());
    }
    // Side by side: each takes a moment to come back.
    let (lists, attached, members) = tokio::try_join!(
        lists::read(db, subject, step, &rows),
        attached::read(db, subject, step, &rows),
        places::list_members(db, subject.app, step, &rows),
    )?;
    lists::fill(step, &mut rows, lists);
    attached::fill(&mut rows, attached);
    let more = rows.len() as u64 == limit;
    Ok(Page { rows, members, more })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::export::References;

    #[test]
    fn steps_have_names_of_their_own_and_begin_with_the_user_and_end_with_its_history() {
        let names: HashSet<&str> = STEPS.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names.len(), STEPS.len());
        let all =
            ExportOptions { references: References::Keep, scope: Scope::Access, include_received: true };
        let names: Vec<&str> = steps(all).map(|step| step.name.as_str()).collect();
        assert_eq!((names[0], names[names.len() - 1]), ("users.user", "user_history.history"));
    }

    #[test]
    fn a_portable_export_holds_nothing_observed_and_nobody_elses_words() {
        let portable = ExportOptions {
            references: References::Keep,
            scope: Scope::Portability,
            include_received: false,
        };
        assert!(steps(portable).all(|step| step.release.basis == Basis::Provided));
        assert!(steps(portable).all(|step| step.release.relation != Relation::Recipient));
    }
}
