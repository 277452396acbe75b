//! Terms in SQLite: lists as JSON, which costs one parameter each.

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Func, Query, SelectStatement};
use sea_orm::{DbBackend, Statement};
use serde_json::json;

use crate::model::id::AppId;
use crate::storage::backend::terms::{TermDialect, TermRow};
use crate::storage::entity::user;
use crate::storage::terms::lookup::Candidates;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SqliteTerms;

impl TermDialect for SqliteTerms {
    fn insert(&self, app: AppId, rows: Vec<TermRow>) -> Statement {
        // The condition keeps ON from being read as the beginning of a join.
        let sql = "INSERT INTO user_terms (app_id, user_id, path, value) \
                   SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2) WHERE true \
                   ON CONFLICT DO NOTHING";
        statement(sql, app, &rows)
    }

    fn delete(&self, app: AppId, rows: Vec<TermRow>) -> Statement {
        // By user: with an index for each part of a row, SQLite would try all of them with each other.
        let sql = "DELETE FROM user_terms WHERE app_id = ?1 AND (user_id, +path, +value) IN \
                   (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2))";
        statement(sql, app, &rows)
    }

    fn narrow(&self, select: &mut SelectStatement, candidates: Candidates) {
        let candidates = match candidates {
            Candidates::Ids(ids) => Query::select()
                .distinct()
                .expr_as(Expr::col("value"), "user_id")
                .from_function(Func::cust("json_each").arg(json!(ids).to_string()), Alias::new("one"))
                .to_owned(),
            Candidates::Found(found) => *found,
        };
        // SQLite takes tables that are joined so in the order they are written in.
        let found = Alias::new("found");
        select.from_clear().from_subquery(candidates, found.clone()).cross_join(user::Entity);
        select.and_where(
            Expr::col((user::Entity, user::Column::Id)).eq(Expr::col((found, Alias::new("user_id")))),
        );
    }
}

fn statement(sql: &str, app: AppId, rows: &[TermRow]) -> Statement {
    let rows = json!(rows).to_string();
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, [app.0.into(), rows.into()])
}
