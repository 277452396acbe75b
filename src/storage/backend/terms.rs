//! How a database writes terms of users in bulk, and reads the few users that were looked up by them.

use sea_orm::Statement;
use sea_orm::sea_query::SelectStatement;

use crate::model::id::AppId;
use crate::storage::terms::lookup::Candidates;

/// User id, path, value.
pub type TermRow = [String; 3];

/// Statements on `user_terms`.
pub trait TermDialect: Send + Sync {
    /// Stores rows; what is there stays.
    fn insert(&self, app: AppId, rows: Vec<TermRow>) -> Statement;

    /// Removes rows.
    fn delete(&self, app: AppId, rows: Vec<TermRow>) -> Statement;

    /// Makes a select from `users` read `candidates` alone, by the primary key, whatever it guesses.
    fn narrow(&self, select: &mut SelectStatement, candidates: Candidates);
}
