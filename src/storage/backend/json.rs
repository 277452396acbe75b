//! How a database looks into the JSON columns of `users`, and takes lists.
//!
//! Conditions may be NULL where they are not true: whoever negates one must take care of it. Whatever a user's
//! data is, no expression fails when it runs. Values and paths are bound, never part of the text.

use sea_orm::sea_query::{Expr, ExprTrait as _};

use crate::model::filter::{Comparison, CustomPath, Value};
use crate::model::query::{KeyValue, ValueType};
use crate::storage::entity::user;

/// Expressions on `users.custom` and `users.teams`.
pub trait JsonDialect: Send + Sync {
    /// There is a value, even null.
    fn exists(&self, path: &CustomPath) -> Expr;

    /// There is no value, or null.
    fn is_null(&self, path: &CustomPath) -> Expr;

    /// The value is one of `values`, none of which is null; at least one.
    fn is_any_of(&self, path: &CustomPath, values: &[&Value]) -> Expr;

    /// The value has the type of `value`, text or number, and compares so with it.
    fn compares(&self, path: &CustomPath, by: Comparison, value: &Value) -> Expr;

    /// The value is an array that holds `value`.
    fn contains(&self, path: &CustomPath, value: &Value) -> Expr;

    /// The user is in at least one of `teams`; at least one.
    fn in_any_team(&self, teams: &[&str]) -> Expr;

    /// The user is in all of `teams` and no other; without duplicates.
    fn in_exactly_teams(&self, teams: &[&str]) -> Expr;

    /// `left` is one of any number of `texts`.
    fn is_one_of(&self, left: Expr, texts: &[&str]) -> Expr;

    /// An array of these expressions, in the words of the database.
    fn array(&self, members: &[&str]) -> String;

    /// All rows of a subquery, each an array of these columns, in one array: text, in no order of its own.
    fn gathered(&self, columns: &[&'static str]) -> Expr;

    /// What to order by: NULL where the value is not of type `ty`.
    fn sort_key(&self, path: &CustomPath, ty: ValueType) -> Expr;

    /// What to compare [`Self::sort_key`] with; never null.
    fn sort_value(&self, value: &KeyValue) -> Expr;
}

/// `left` compares so with `right`.
pub fn compare(left: Expr, by: Comparison, right: Expr) -> Expr {
    match by {
        Comparison::Greater => left.gt(right),
        Comparison::GreaterOrEqual => left.gte(right),
        Comparison::Less => left.lt(right),
        Comparison::LessOrEqual => left.lte(right),
    }
}

pub(super) fn custom() -> Expr {
    Expr::col((user::Entity, user::Column::Custom))
}

pub(super) fn teams() -> Expr {
    Expr::col((user::Entity, user::Column::Teams))
}

/// At least one of `conditions` is true.
///
/// A balanced tree: SQLite takes expressions up to a depth of 1,000, and a filter may have as many parts.
pub fn any_of(conditions: Vec<Expr>) -> Expr {
    halved(conditions, Expr::or, "FALSE")
}

/// All of `conditions` are true.
pub fn all_of(conditions: Vec<Expr>) -> Expr {
    halved(conditions, Expr::and, "TRUE")
}

fn halved(mut conditions: Vec<Expr>, join: fn(Expr, Expr) -> Expr, none: &'static str) -> Expr {
    if conditions.len() < 2 {
        return conditions.pop().unwrap_or_else(|| Expr::cust(none));
    }
    let right = conditions.split_off(conditions.len() / 2);
    join(halved(conditions, join, none), halved(right, join, none))
}
