//! Filters as SQL. Means what `model::filter::evaluate` says, on every database.

use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait as _, Func, Query};

use super::backend::json::{JsonDialect, all_of, any_of, compare};
use super::entity::user::{Column, Entity};
use super::entity::user_term;
use super::terms::lookup::LAST;
use super::terms::write::is_current;
use super::terms::{ID, NAME, USERNAME};
use crate::model::filter::{BuiltIn, Check, CustomPath, Field, Filter, Value};

/// A longer list of texts is one parameter: databases take only so many.
const MANY: usize = 100;

/// The condition that `filter` puts on `users`.
pub fn to_condition(filter: &Filter, json: &dyn JsonDialect) -> Condition {
    Condition::all().add(expression(filter, json))
}

/// True where the filter is; false or NULL where it is not.
fn expression(filter: &Filter, json: &dyn JsonDialect) -> Expr {
    let each = |parts: &[Filter]| parts.iter().map(|part| expression(part, json)).collect();
    match filter {
        Filter::And(parts) => all_of(each(parts)),
        Filter::Or(parts) => any_of(each(parts)),
        // What is unknown to SQL is false to us: its negation is true.
        Filter::Nor(parts) => Expr::from(Func::coalesce([any_of(each(parts)), Expr::cust("FALSE")])).not(),
        Filter::Test(Field::Custom(path), check) => custom(path, check, json),
        Filter::Test(Field::BuiltIn(BuiltIn::Teams), check) => teams(check, json),
        Filter::Test(Field::BuiltIn(field), check) => column(*field, check, json),
    }
}

fn custom(path: &CustomPath, check: &Check, json: &dyn JsonDialect) -> Expr {
    match check {
        Check::AnyOf(values) => {
            let (given, null) = split(values);
            let mut ways = Vec::new();
            if !given.is_empty() {
                ways.push(json.is_any_of(path, &given));
            }
            if null {
                ways.push(json.is_null(path));
            }
            any_of(ways)
        }
        Check::Compare(by, value) => json.compares(path, *by, value),
        Check::Exists => json.exists(path),
        Check::Contains(value) => json.contains(path, value),
        Check::Autocomplete(prefixes) => words(USERNAME, prefixes),
        Check::Exactly(_) => never(),
    }
}

fn teams(check: &Check, json: &dyn JsonDialect) -> Expr {
    match check {
        Check::AnyOf(values) => {
            let (given, null) = split(values);
            let mut ways = Vec::new();
            if !given.is_empty() {
                ways.push(json.in_any_team(&names(&given)));
            }
            if null {
                ways.push(json.in_exactly_teams(&[]));
            }
            any_of(ways)
        }
        Check::Contains(value) => json.in_any_team(&names(&[value])),
        Check::Exactly(teams) => {
            let teams: Vec<&str> = teams.iter().map(String::as_str).collect();
            json.in_exactly_teams(&teams)
        }
        Check::Exists => json.in_exactly_teams(&[]).not(),
        Check::Compare(..) | Check::Autocomplete(_) => never(),
    }
}

/// The user has a word for each of `prefixes`, as far as its terms are those of what it is now.
fn words(path: &str, prefixes: &[String]) -> Expr {
    use user_term::Column::{AppId, Path, UserId, Value};
    let term = Alias::new("term");
    let of_term = |column| Expr::col((term.clone(), column));
    let of_user = |column| Expr::col((Entity, column));
    let found = prefixes.iter().map(|prefix| {
        // Looked up by the user: there may be any number of users with such a word.
        let select = Query::select()
            .expr(Expr::cust("MAX(1)"))
            .from_as(user_term::Entity, term.clone())
            .and_where(of_term(AppId).eq(of_user(Column::AppId)))
            .and_where(of_term(UserId).eq(of_user(Column::Id)))
            .and_where(of_term(Path).eq(path))
            .and_where(of_term(Value).between(prefix.as_str(), format!("{prefix}{LAST}")))
            .to_owned();
        // No EXISTS: SQLite 3.51 makes a join of it; see its `json.rs`.
        // Not equal to 0: PostgreSQL takes that to hold of most, and walks in order until it has a page. Where it
        // holds of few, they are looked up before.
        let found = Expr::SubQuery(None, Box::new(select.into()));
        Expr::from(Func::coalesce([found, Expr::cust("0")])).ne(Expr::cust("0"))
    });
    all_of(std::iter::once(is_current()).chain(found).collect())
}

/// A test on a plain column, written so that an index on it can serve.
fn column(field: BuiltIn, check: &Check, json: &dyn JsonDialect) -> Expr {
    let column = || value_of(field);
    match check {
        Check::AnyOf(values) => {
            let (given, null) = split(values);
            let mut ways = Vec::new();
            match given.as_slice() {
                [] => {}
                [value] => ways.push(column().eq(bound(value))),
                texts @ [Value::Text(_), ..] if texts.len() > MANY => {
                    ways.push(json.is_one_of(column(), &names(texts)));
                }
                values => ways.push(column().is_in(values.iter().map(|value| bound(value)))),
            }
            if null {
                ways.push(column().is_null());
            }
            any_of(ways)
        }
        Check::Compare(by, value) => compare(column(), *by, bound(value)),
        Check::Exists => column().is_not_null(),
        Check::Autocomplete(prefixes) if field == BuiltIn::Id => words(ID, prefixes),
        Check::Autocomplete(prefixes) => words(NAME, prefixes),
        Check::Contains(_) | Check::Exactly(_) => never(),
    }
}

/// What a user has in a field that is not a list.
fn value_of(field: BuiltIn) -> Expr {
    let column = match field {
        BuiltIn::Id => Column::Id,
        BuiltIn::Role => Column::Role,
        BuiltIn::Name => Column::Name,
        BuiltIn::Language => Column::Language,
        // Nobody is, as long as nobody can be banned.
        BuiltIn::Banned | BuiltIn::ShadowBanned => return Expr::cust("FALSE"),
        BuiltIn::Invisible => Column::Invisible,
        BuiltIn::CreatedAt => Column::CreatedAt,
        BuiltIn::UpdatedAt => Column::UpdatedAt,
        BuiltIn::LastActive => Column::LastActive,
        BuiltIn::DeactivatedAt => Column::DeactivatedAt,
        BuiltIn::Teams => Column::Teams,
    };
    Expr::col((Entity, column))
}

/// The values that are not null, and whether one is.
fn split(values: &[Value]) -> (Vec<&Value>, bool) {
    let (null, given): (Vec<&Value>, _) = values.iter().partition(|value| **value == Value::Null);
    (given, !null.is_empty())
}

fn names<'a>(values: &[&'a Value]) -> Vec<&'a str> {
    let name = |value: &&'a Value| if let Value::Text(text) = value { Some(text.as_str()) } else { None };
    values.iter().filter_map(name).collect()
}

fn bound(value: &Value) -> Expr {
    match value {
        Value::Null => Expr::cust("NULL"),
        Value::Bool(flag) => Expr::val(*flag),
        Value::Number(number) => Expr::val(*number),
        Value::Text(text) => Expr::val(text.as_str()),
        Value::Time(at) => Expr::val(at.micros()),
    }
}

/// For what the parser lets nobody ask.
fn never() -> Expr {
    Expr::cust("FALSE")
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryFilter as _, QueryTrait as _};
    use serde_json::json;

    use super::*;
    use crate::model::filter::parse;
    use crate::model::id::AppId;
    use crate::model::violation::Violations;
    use crate::storage::backend::postgres::json::PostgresJson;
    use crate::storage::backend::sqlite::json::SqliteJson;
    use crate::storage::entity::user;

    fn sql(filter: &serde_json::Value) -> [String; 2] {
        let filter = parse(filter.as_object().unwrap(), &mut Violations::new()).unwrap();
        let text = |json: &dyn JsonDialect, database| {
            let select = user::any(AppId(1)).filter(to_condition(&filter, json));
            select.build(database).sql.split_once("WHERE").unwrap().1.to_owned()
        };
        [text(&SqliteJson, DbBackend::Sqlite), text(&PostgresJson, DbBackend::Postgres)]
    }

    #[test]
    fn neither_values_nor_paths_get_into_the_text() {
        let all = ["$eq", "$ne", "$gt", "$contains"]
            .map(|operator| json!({"pa'th.in?to $1": {operator: "va'lue"}}));
        let more = json!({"teams": {"$in": ["va'lue", null]}, "path": {"$in": ["va'lue", 4711, true, null]}});
        for sql in sql(&json!({"$nor": all, "id": "va'lue", "$and": [more]})) {
            assert!(!sql.contains("path") && !sql.contains("pa'th") && !sql.contains("va'"), "{sql}");
            assert!(!sql.contains("4711"), "{sql}");
        }
    }

    #[test]
    fn tests_on_plain_columns_stay_plain() {
        let filter =
            json!({"id": "a", "role": {"$in": ["a", "b"]}, "created_at": {"$gt": "2024-01-01T00:00:00Z"}});
        for sql in sql(&filter) {
            assert!(!sql.contains("COALESCE") && !sql.contains("CASE"), "{sql}");
        }
    }
}
