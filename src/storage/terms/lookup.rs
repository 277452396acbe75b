//! Looking users up by their terms: which terms a filter asks for, and whom to read instead of everybody.
//!
//! Databases guess how many rows a condition leaves, and walk through all users where they guess wrong. So
//! it is counted, up to a bound: few are looked up one by one, many are found soon by walking in order.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query, SelectStatement, UnionType};

use super::write::is_missing;
use super::{ID, MANY as TOO_MANY, NAME, ROLE, TEAM, USERNAME, as_member, cut, written};
use crate::model::filter::{BuiltIn, Check, Comparison, CustomPath, Field, Filter, Value};
use crate::model::id::AppId;
use crate::model::role;
use crate::model::words::words;
use crate::storage::entity::{user, user_term};
use crate::storage::{Db, StoreError};

/// The most users that are looked up one by one before walking is tried. About as many as are read on the way
/// to a page of thirty when walking through a million.
pub(in crate::storage) const FEW: u64 = 3_000;
/// The most that are looked up where else everybody would be read.
pub(in crate::storage) const MANY: u64 = 30_000;
/// Ways that are counted.
const WAYS: usize = 8;
/// Sorts after everything that a word goes on with.
pub(in crate::storage) const LAST: char = '\u{10ffff}';

/// Everybody who can match, and maybe more.
#[derive(Debug)]
pub enum Candidates {
    /// By name.
    Ids(Vec<String>),
    /// Those whose ids a statement finds, in its column `user_id`.
    Found(Box<SelectStatement>),
}

/// Whether terms tell anything about who can match `filter`.
pub(in crate::storage) fn tells(filter: &Filter) -> bool {
    !ways(filter).is_empty()
}

/// Whom to read for `filter`, where these are at most `most`.
pub(in crate::storage) async fn candidates(
    db: &Db,
    app: AppId,
    filter: &Filter,
    most: u64,
) -> Result<Option<Candidates>, StoreError> {
    let (mut best, mut fewest) = (None, most + 1);
    for way in merged(ways(filter)).into_iter().take(WAYS) {
        let count = match &way {
            Way::Ids(ids) => ids.len() as u64,
            Way::Terms(lookups) => count(db, app, lookups, fewest).await?,
        };
        if count < fewest {
            (best, fewest) = (Some(way), count);
        }
    }
    Ok(best.map(|way| match way {
        Way::Ids(ids) => Candidates::Ids(ids),
        Way::Terms(lookups) => Candidates::Found(Box::new(select(app, &lookups, UnionType::Distinct))),
    }))
}

/// One way to everybody whom a filter can match.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    Ids(Vec<String>),
    /// Whoever has a term that one of these looks up.
    Terms(Vec<Lookup>),
}

#[derive(Debug, Clone, PartialEq)]
struct Lookup {
    path: String,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    AnyOf(Vec<String>),
    /// Both included.
    Between(String, String),
}

fn ways(filter: &Filter) -> Vec<Way> {
    match filter {
        Filter::And(parts) => parts.iter().flat_map(ways).collect(),
        Filter::Or(parts) => either(parts).into_iter().collect(),
        Filter::Nor(_) => Vec::new(),
        Filter::Test(Field::BuiltIn(field), check) => built_in(*field, check),
        Filter::Test(Field::Custom(path), check) => custom(path, check).into_iter().collect(),
    }
}

/// `ways`, where those to two ranges of one path are one to what they have in common.
fn merged(ways: Vec<Way>) -> Vec<Way> {
    let mut merged: Vec<Way> = Vec::new();
    for way in ways {
        let meets = |other: &mut Way| other.narrow(&way);
        if !merged.iter_mut().any(meets) {
            merged.push(way);
        }
    }
    merged
}

impl Way {
    /// Narrows a range to what it has in common with `other`; false where they are not ranges of one path.
    fn narrow(&mut self, other: &Self) -> bool {
        let (Self::Terms(mine), Self::Terms(theirs)) = (self, other) else { return false };
        // Free data, and nothing besides.
        let ([this, many], [that, more]) = (mine.as_mut_slice(), theirs.as_slice()) else { return false };
        if this.path != that.path || many.path != TOO_MANY || more.path != TOO_MANY {
            return false;
        }
        match (&mut this.values, &that.values) {
            (Values::Between(low, high), Values::Between(lower, higher)) => {
                *low = std::cmp::max(lower, low).clone();
                *high = std::cmp::min(higher, high).clone();
                true
            }
            _ => false,
        }
    }
}

/// A way to whoever can match any of `parts`.
fn either(parts: &[Filter]) -> Option<Way> {
    let mut ways = parts.iter().map(|part| ways(part).into_iter().next());
    let first = ways.next()??;
    ways.try_fold(first, |so_far, way| match (so_far, way?) {
        (Way::Ids(ids), Way::Ids(more)) => Some(Way::Ids([ids, more].concat())),
        (Way::Terms(lookups), Way::Terms(more)) => Some(Way::Terms([lookups, more].concat())),
        _ => None,
    })
}

fn built_in(field: BuiltIn, check: &Check) -> Vec<Way> {
    let any_of = |path: &str, values: Vec<String>| vec![term(path, Values::AnyOf(values))];
    match (field, check) {
        (BuiltIn::Id, Check::AnyOf(values)) => vec![Way::Ids(texts(values))],
        (BuiltIn::Id, Check::Autocomplete(prefixes)) => prefixed(ID, prefixes),
        (BuiltIn::Name, Check::Autocomplete(prefixes)) => prefixed(NAME, prefixes),
        (BuiltIn::Name, Check::AnyOf(values)) if !has_null(values) => {
            // Whoever has the name has its longest word.
            let longest = |name: String| words(&name).into_iter().max_by_key(String::len);
            let words: Option<Vec<String>> = texts(values).into_iter().map(longest).collect();
            words.map(|words| any_of(NAME, words)).unwrap_or_default()
        }
        (BuiltIn::Role, Check::AnyOf(values)) if !values.contains(&Value::Text(role::DEFAULT.to_owned())) => {
            any_of(ROLE, cut_all(values))
        }
        (BuiltIn::Teams, Check::AnyOf(values)) if !has_null(values) => any_of(TEAM, cut_all(values)),
        (BuiltIn::Teams, Check::Contains(Value::Text(team))) => any_of(TEAM, vec![cut(team)]),
        (BuiltIn::Teams, Check::Exactly(teams)) => {
            teams.iter().flat_map(|team| any_of(TEAM, vec![cut(team)])).collect()
        }
        _ => Vec::new(),
    }
}

fn custom(path: &CustomPath, check: &Check) -> Option<Way> {
    let values = match check {
        Check::AnyOf(values) => Values::AnyOf(values.iter().map(written).collect::<Option<_>>()?),
        Check::Contains(value) => Values::AnyOf(vec![as_member(&written(value)?)]),
        Check::Compare(by, value) => {
            // From the first to behind the last of all values of its type.
            let (first, last) = if matches!(value, Value::Number(_)) { ("n", "o") } else { ("s", "t") };
            let value = written(value)?;
            match by {
                Comparison::Greater | Comparison::GreaterOrEqual => Values::Between(value, last.to_owned()),
                Comparison::Less | Comparison::LessOrEqual => Values::Between(first.to_owned(), value),
            }
        }
        Check::Autocomplete(prefixes) => return prefixed(USERNAME, prefixes).into_iter().next(),
        Check::Exists | Check::Exactly(_) => return None,
    };
    let many = Lookup { path: TOO_MANY.to_owned(), values: Values::AnyOf(vec![String::new()]) };
    Some(Way::Terms(vec![Lookup { path: path.segments().join("."), values }, many]))
}

fn prefixed(path: &str, prefixes: &[String]) -> Vec<Way> {
    let way = |prefix: &String| term(path, Values::Between(prefix.clone(), format!("{prefix}{LAST}")));
    prefixes.iter().map(way).collect()
}

fn term(path: &str, values: Values) -> Way {
    Way::Terms(vec![Lookup { path: path.to_owned(), values }])
}

fn texts(values: &[Value]) -> Vec<String> {
    let text = |value: &Value| if let Value::Text(text) = value { Some(text.clone()) } else { None };
    values.iter().filter_map(text).collect()
}

fn cut_all(values: &[Value]) -> Vec<String> {
    texts(values).iter().map(|text| cut(text)).collect()
}

fn has_null(values: &[Value]) -> bool {
    values.contains(&Value::Null)
}

/// How many users and more `lookups` find, up to `enough`.
async fn count(db: &Db, app: AppId, lookups: &[Lookup], enough: u64) -> Result<u64, StoreError> {
    let mut some = select(app, lookups, UnionType::All);
    some.limit(enough);
    let found = Alias::new("found");
    let count = Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(some, found).to_owned();
    let row = db.query_one(&count).await?.ok_or_else(|| StoreError::corrupt("a count without a row"))?;
    let count = row.try_get_by_index::<i64>(0)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Ids of users that `lookups` find, and of those whose terms are missing.
fn select(app: AppId, lookups: &[Lookup], union: UnionType) -> SelectStatement {
    let without_terms = Query::select()
        .expr_as(Expr::col(user::Column::Id), user_term::Column::UserId)
        .from(user::Entity)
        .and_where(Expr::col(user::Column::AppId).eq(app.0))
        .and_where(is_missing())
        .to_owned();
    lookups.iter().fold(without_terms, |mut all, lookup| {
        all.union(union, lookup.select(app));
        all
    })
}

impl Lookup {
    fn select(&self, app: AppId) -> SelectStatement {
        use user_term::Column::{AppId as App, Path, UserId, Value};
        let value = match &self.values {
            Values::AnyOf(values) => Expr::col(Value).is_in(values.iter().map(String::as_str)),
            Values::Between(low, high) => Expr::col(Value).between(low.as_str(), high.as_str()),
        };
        Query::select()
            .column(UserId)
            .from(user_term::Entity)
            .and_where(Expr::col(App).eq(app.0))
            .and_where(Expr::col(Path).eq(self.path.as_str()))
            .and_where(value)
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::filter::parse;
    use crate::model::violation::Violations;

    fn ways_of(filter: &serde_json::Value) -> Vec<Way> {
        ways(&parse(filter.as_object().unwrap(), &mut Violations::new()).unwrap())
    }

    fn looked_up(path: &str, values: Values) -> Way {
        let many = Lookup { path: TOO_MANY.to_owned(), values: Values::AnyOf(vec![String::new()]) };
        Way::Terms(vec![Lookup { path: path.to_owned(), values }, many])
    }

    fn any_of(values: &[&str]) -> Values {
        Values::AnyOf(values.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_test_that_must_hold_is_a_way() {
        let found = ways_of(&json!({
            "role": "admin",
            "$and": [{"city": {"$in": ["Paris", "Rome"]}}, {"tags": {"$contains": true}}],
            "name": {"$autocomplete": "ada lo"},
            "teams": ["a", "b"],
        }));
        let between = |low: &str| Values::Between(low.to_owned(), format!("{low}{LAST}"));
        let mut expected = vec![
            term(ROLE, any_of(&["admin"])),
            looked_up("city", any_of(&["sParis", "sRome"])),
            looked_up("tags", any_of(&["[b1"])),
            term(NAME, between("ada")),
            term(NAME, between("lo")),
            term(TEAM, any_of(&["a"])),
            term(TEAM, any_of(&["b"])),
        ];
        let sorted = |ways: &mut Vec<Way>| ways.sort_by_key(|way| format!("{way:?}"));
        let mut found = found;
        sorted(&mut found);
        sorted(&mut expected);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_may_hold_of_anybody_is_no_way() {
        for filter in [
            json!({"city": null}),
            json!({"city": {"$in": ["x", null]}}),
            json!({"city": {"$ne": "x"}}),
            json!({"city": {"$exists": true}}),
            json!({"name": {"$in": ["x", ""]}}),
            json!({"name": "%"}),
            json!({"role": {"$in": ["admin", "user"]}}),
            json!({"teams": null}),
            json!({"$nor": [{"city": "x"}]}),
            json!({"$or": [{"city": "x"}, {"language": "en"}]}),
            json!({"$or": [{"city": "x"}, {"id": "a"}]}),
        ] {
            assert_eq!(ways_of(&filter), [], "{filter}");
        }
        assert_eq!(ways_of(&json!({"$or": [{"city": "x"}, {"role": "y"}]})).len(), 1);
    }

    #[test]
    fn ranges_stay_within_their_type() {
        let range = |test: serde_json::Value| ways_of(&json!({"a": test}));
        let between =
            |low: &str, high: &str| [looked_up("a", Values::Between(low.to_owned(), high.to_owned()))];
        assert_eq!(range(json!({"$gt": "x"})), between("sx", "t"));
        assert_eq!(range(json!({"$lte": "x"})), between("s", "sx"));
        assert_eq!(range(json!({"$lt": 0})), between("n", "n8000000000000000"));
        assert_eq!(range(json!({"$gte": 0})), between("n8000000000000000", "o"));
        let both = merged(range(json!({"$gte": "b", "$lt": "c"})));
        assert_eq!(both, between("sb", "sc"));
        assert_eq!(merged(ways_of(&json!({"a": {"$gt": 1}, "b": {"$lt": 2}}))).len(), 2);
        assert_eq!(merged(ways_of(&json!({"a": {"$gt": 1, "$lt": "x"}}))).len(), 1);
        let either = json!({"a": {"$lt": 5}, "$or": [{"a": {"$gt": 1}}, {"b": 2}]});
        assert_eq!(merged(ways_of(&either)), ways_of(&either));
    }
}
