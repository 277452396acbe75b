//! JSON in SQLite: text, looked into by path.
//!
//! `json_extract` alone tells neither `true` from 1 nor an array from its text, so that each test asks for
//! `json_type` first. Numbers are compared with numbers that SQLite has read from JSON too: it reads some
//! doubles of far exponents a last digit off, and would not find them again otherwise.
//!
//! No EXISTS: SQLite 3.51 makes a join of it, whose OFFSET counts a user once for each member that matches.

use sea_orm::sea_query::{Expr, ExprTrait as _};

use crate::model::filter::{Comparison, CustomPath, Value};
use crate::model::json;
use crate::model::query::{KeyValue, ValueType};
use crate::storage::backend::json::{JsonDialect, any_of, compare, custom, teams};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SqliteJson;

impl JsonDialect for SqliteJson {
    fn exists(&self, path: &CustomPath) -> Expr {
        type_at(path).is_not_null()
    }

    fn is_null(&self, path: &CustomPath) -> Expr {
        Expr::cust_with_exprs("COALESCE(?, 'null') = 'null'", [type_at(path)])
    }

    fn is_any_of(&self, path: &CustomPath, values: &[&Value]) -> Expr {
        let (ty, value) = (type_at(path), value_at(path));
        one_of(&ty, &value, values)
    }

    fn compares(&self, path: &CustomPath, by: Comparison, value: &Value) -> Expr {
        match value {
            Value::Text(text) => compare(text_at(path), by, Expr::val(text.as_str())),
            Value::Number(found) => compare(number_at(path), by, number(*found)),
            Value::Null | Value::Bool(_) | Value::Time(_) => Expr::cust("FALSE"),
        }
    }

    fn contains(&self, path: &CustomPath, value: &Value) -> Expr {
        let member = one_of(&Expr::cust("item.type"), &Expr::cust("item.value"), &[value]);
        let array = "(? = 'array' AND (SELECT 1 FROM json_each(?, ?) AS item WHERE ? LIMIT 1) = 1)";
        Expr::cust_with_exprs(array, [type_at(path), custom(), bound(path), member])
    }

    fn in_any_team(&self, names: &[&str]) -> Expr {
        let member = Expr::cust("item.value").is_in(names.iter().copied());
        Expr::cust_with_exprs("(SELECT 1 FROM json_each(?) AS item WHERE ? LIMIT 1) = 1", [teams(), member])
    }

    fn in_exactly_teams(&self, names: &[&str]) -> Expr {
        let count = Expr::val(i64::try_from(names.len()).unwrap_or(i64::MAX));
        let other = Expr::cust("item.value").is_not_in(names.iter().copied());
        // Neither side has duplicates.
        let same = "(json_array_length(?) = ? AND NOT EXISTS (SELECT 1 FROM json_each(?) AS item WHERE ?))";
        Expr::cust_with_exprs(same, [teams(), count, teams(), other])
    }

    fn is_one_of(&self, left: Expr, texts: &[&str]) -> Expr {
        let texts = Expr::val(serde_json::to_string(texts).unwrap_or_default());
        Expr::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [left, texts])
    }

    fn array(&self, members: &[&str]) -> String {
        format!("json_array({})", members.join(", "))
    }

    fn gathered(&self, columns: &[&'static str]) -> Expr {
        Expr::cust(format!("json_group_array({})", self.array(columns)))
    }

    fn sort_key(&self, path: &CustomPath, ty: ValueType) -> Expr {
        match ty {
            ValueType::Text => text_at(path),
            ValueType::Number => number_at(path),
            ValueType::Bool => {
                let flag = "(CASE ? WHEN 'true' THEN 1 WHEN 'false' THEN 0 END)";
                Expr::cust_with_exprs(flag, [type_at(path)])
            }
        }
    }

    fn sort_value(&self, value: &KeyValue) -> Expr {
        match value {
            KeyValue::Null => Expr::cust("NULL"),
            KeyValue::Bool(flag) => Expr::val(*flag),
            KeyValue::Number(found) => number(*found),
            KeyValue::Time(micros) => Expr::val(*micros),
            KeyValue::Text(text) => Expr::val(text.as_str()),
        }
    }
}

/// The path as SQLite reads it. A path has neither quotes nor backslashes, so that nothing needs escaping.
fn bound(path: &CustomPath) -> Expr {
    let text = path.segments().iter().fold(String::from("$"), |text, key| text + ".\"" + key + "\"");
    Expr::val(text)
}

fn type_at(path: &CustomPath) -> Expr {
    Expr::cust_with_exprs("json_type(?, ?)", [custom(), bound(path)])
}

fn value_at(path: &CustomPath) -> Expr {
    Expr::cust_with_exprs("json_extract(?, ?)", [custom(), bound(path)])
}

fn text_at(path: &CustomPath) -> Expr {
    let text = "(CASE WHEN ? = 'text' THEN ? END)";
    Expr::cust_with_exprs(text, [type_at(path), value_at(path)])
}

fn number_at(path: &CustomPath) -> Expr {
    let number = "(CASE WHEN ? IN ('integer', 'real') THEN ? END)";
    Expr::cust_with_exprs(number, [type_at(path), value_at(path)])
}

fn number(value: f64) -> Expr {
    let text = json::number(value).map(|number| number.to_string()).unwrap_or_default();
    Expr::cust_with_exprs("json_extract(?, '$')", [Expr::val(text)])
}

/// What is of type `ty` and has `value` is one of `values`.
fn one_of(ty: &Expr, value: &Expr, values: &[&Value]) -> Expr {
    let (mut texts, mut numbers, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        match value {
            Value::Text(text) => texts.push(Expr::val(text.as_str())),
            Value::Number(found) => numbers.push(number(*found)),
            Value::Bool(true) => names.push("true"),
            Value::Bool(false) => names.push("false"),
            Value::Null => names.push("null"),
            // Free data has none.
            Value::Time(_) => {}
        }
    }
    let mut ways = Vec::new();
    if !texts.is_empty() {
        ways.push(ty.clone().eq("text").and(value.clone().is_in(texts)));
    }
    if !numbers.is_empty() {
        ways.push(ty.clone().is_in(["integer", "real"]).and(value.clone().is_in(numbers)));
    }
    if !names.is_empty() {
        ways.push(ty.clone().is_in(names));
    }
    any_of(ways)
}
