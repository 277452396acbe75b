//! JSON in PostgreSQL: `jsonb`, compared as `jsonb` wherever its own rules are ours.
//!
//! Two `jsonb` scalars are equal only if they have one type, and numbers compare exactly. Text must not be
//! *ordered* as `jsonb`: that goes by the database's collation. Nothing is cast, so nothing can fail.

use sea_orm::sea_query::extension::postgres::PgExpr as _;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use serde_json::{Map, Value as Json, json};

use crate::model::filter::{Comparison, CustomPath, Value};
use crate::model::query::{KeyValue, ValueType};
use crate::storage::backend::json::{JsonDialect, compare, custom, teams};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct PostgresJson;

impl JsonDialect for PostgresJson {
    fn exists(&self, path: &CustomPath) -> Expr {
        at(path).is_not_null()
    }

    fn is_null(&self, path: &CustomPath) -> Expr {
        Expr::cust_with_exprs("COALESCE($1, 'null'::jsonb) = 'null'::jsonb", [at(path)])
    }

    fn is_any_of(&self, path: &CustomPath, values: &[&Value]) -> Expr {
        match values {
            // The form that a GIN index serves.
            [value] => holds(path, json(value)),
            values => at(path).is_in(values.iter().map(|value| Expr::val(json(value)))),
        }
    }

    fn compares(&self, path: &CustomPath, by: Comparison, value: &Value) -> Expr {
        match value {
            Value::Text(text) => compare(text_at(path), by, Expr::val(text.as_str())),
            value => compare(typed(path, "number"), by, Expr::val(json(value))),
        }
    }

    fn contains(&self, path: &CustomPath, value: &Value) -> Expr {
        holds(path, json!([json(value)]))
    }

    fn in_any_team(&self, names: &[&str]) -> Expr {
        match names {
            [name] => teams().contains(json!([name])),
            names => {
                let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
                Expr::cust_with_exprs("$1 ?| $2", [teams(), Expr::val(names)])
            }
        }
    }

    fn in_exactly_teams(&self, names: &[&str]) -> Expr {
        let names = Expr::val(json!(names));
        Expr::cust_with_exprs("($1 @> $2 AND $1 <@ $2)", [teams(), names])
    }

    fn is_one_of(&self, left: Expr, texts: &[&str]) -> Expr {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        Expr::cust_with_exprs("$1 = ANY($2)", [left, Expr::val(texts)])
    }

    fn array(&self, members: &[&str]) -> String {
        format!("json_build_array({})", members.join(", "))
    }

    fn gathered(&self, columns: &[&'static str]) -> Expr {
        Expr::cust(format!("COALESCE(json_agg({}), '[]')::text", self.array(columns)))
    }

    fn sort_key(&self, path: &CustomPath, ty: ValueType) -> Expr {
        match ty {
            ValueType::Text => text_at(path),
            ValueType::Number => typed(path, "number"),
            ValueType::Bool => typed(path, "boolean"),
        }
    }

    fn sort_value(&self, value: &KeyValue) -> Expr {
        match value {
            KeyValue::Null => Expr::cust("NULL"),
            KeyValue::Bool(flag) => Expr::val(Json::from(*flag)),
            KeyValue::Number(number) => Expr::val(Json::from(*number)),
            KeyValue::Time(micros) => Expr::val(*micros),
            KeyValue::Text(text) => Expr::val(text.as_str()),
        }
    }
}

/// The value, as `jsonb`. `->` with text goes into objects only, never into arrays.
fn at(path: &CustomPath) -> Expr {
    let into = |outer, key: &String| Expr::cust_with_exprs("($1 -> $2)", [outer, Expr::val(key.as_str())]);
    path.segments().iter().fold(custom(), into)
}

fn text_at(path: &CustomPath) -> Expr {
    let text = r#"(CASE WHEN jsonb_typeof($1) = 'string' THEN ($1 #>> '{}') COLLATE "C" END)"#;
    Expr::cust_with_exprs(text, [at(path)])
}

fn typed(path: &CustomPath, ty: &'static str) -> Expr {
    let typed = "(CASE WHEN jsonb_typeof($1) = $2 THEN $1 END)";
    Expr::cust_with_exprs(typed, [at(path), Expr::val(ty)])
}

/// The value is the scalar `found`, or an array with all the scalars of the array `found`.
fn holds(path: &CustomPath, found: Json) -> Expr {
    let wrap = |inner, key: &String| Json::Object(Map::from_iter([(key.clone(), inner)]));
    custom().contains(path.segments().iter().rfold(found, wrap))
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::from(*flag),
        Value::Number(number) => Json::from(*number),
        Value::Text(text) => Json::from(text.as_str()),
        Value::Time(at) => Json::from(at.micros()),
    }
}
