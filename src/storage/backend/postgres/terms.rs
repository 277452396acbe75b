//! Terms in PostgreSQL: lists as arrays, which cost one parameter each.

use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{DbBackend, Statement};

use crate::model::id::AppId;
use crate::storage::backend::terms::{TermDialect, TermRow};
use crate::storage::entity::user;
use crate::storage::terms::lookup::Candidates;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct PostgresTerms;

const ROWS: &str = "unnest($2::text[], $3::text[], $4::text[]) AS one (user_id, path, value)";

impl TermDialect for PostgresTerms {
    fn insert(&self, app: AppId, rows: Vec<TermRow>) -> Statement {
        let sql = format!(
            "INSERT INTO user_terms (app_id, user_id, path, value) \
             SELECT $1, one.user_id, one.path, one.value FROM {ROWS} ON CONFLICT DO NOTHING"
        );
        statement(&sql, app, rows)
    }

    fn delete(&self, app: AppId, rows: Vec<TermRow>) -> Statement {
        let sql = format!(
            "DELETE FROM user_terms AS term USING {ROWS} WHERE term.app_id = $1 \
             AND term.user_id = one.user_id AND term.path = one.path AND term.value = one.value"
        );
        statement(&sql, app, rows)
    }

    fn narrow(&self, select: &mut SelectStatement, candidates: Candidates) {
        let id = Expr::col((user::Entity, user::Column::Id));
        // An array is found before the plan is made for it, and looked up by the key it is compared with.
        select.and_where(match candidates {
            Candidates::Ids(ids) => Expr::cust_with_exprs("$1 = ANY($2)", [id, Expr::val(ids)]),
            Candidates::Found(found) => {
                let found = Expr::SubQuery(None, Box::new((*found).into()));
                Expr::cust_with_exprs("$1 = ANY(ARRAY $2)", [id, found])
            }
        });
    }
}

fn statement(sql: &str, app: AppId, rows: Vec<TermRow>) -> Statement {
    let (mut ids, mut paths, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for [id, path, value] in rows {
        ids.push(id);
        paths.push(path);
        values.push(value);
    }
    let values = [app.0.into(), ids.into(), paths.into(), values.into()];
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
