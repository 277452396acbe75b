//! Filters on users: what they mean, whatever database answers them.
//!
//! A filter is true or false of a user, never unknown. `$ne`, `$nin`, `$nor` and `$exists: false` are
//! negations, so one rule serves them all: what is absent fails the test inside and passes its negation.
//!
//! [`fields`] lists what can be filtered on, [`parse()`] reads the wire form, [`evaluate`] is the reference that
//! the databases are held against. `storage::filter` turns the same filter into SQL.

pub mod evaluate;
pub mod fields;
mod parse;
#[cfg(test)]
mod tests;

pub use fields::{BuiltIn, CustomPath, Field};
pub use parse::parse;

use std::cmp::Ordering;

use super::clock::Timestamp;

/// A condition on a user.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All hold; true where there are none.
    And(Vec<Filter>),
    /// At least one holds. Never empty.
    Or(Vec<Filter>),
    /// None holds. Never empty.
    Nor(Vec<Filter>),
    /// The field passes the check.
    Test(Field, Check),
}

impl Filter {
    /// Matches every user.
    pub const ALL: Self = Self::And(Vec::new());
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// Equals one of the values; [`Value::Null`] stands for absent too. For teams: is in one of them.
    AnyOf(Vec<Value>),
    /// Compares so with a value of the same type.
    Compare(Comparison, Value),
    /// Is there, even if null.
    Exists,
    /// Is an array that holds the value.
    Contains(Value),
    /// Is the same set. For teams only; sorted, without duplicates, not empty.
    Exactly(Vec<String>),
    /// Is text with a word that begins so, for each of these; see `model::words`. At least one.
    Autocomplete(Vec<String>),
}

/// How two values of one type compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// Whether values that compare as `found` pass.
    pub const fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
        }
    }
}

/// A value to compare with. Values of unlike types are neither equal nor ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null or absent.
    Null,
    /// True or false.
    Bool(bool),
    /// Finite, and never -0.
    Number(f64),
    /// Compared byte by byte; without NUL.
    Text(String),
    /// For the fields that hold a time.
    Time(Timestamp),
}
