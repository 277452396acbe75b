//! Words of users whose terms are missing: looked for in Rust, since no database knows words.

use sea_orm::{ColumnTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use serde_json::Value as Json;

use super::write::is_missing;
use crate::model::filter::{BuiltIn, Check, Field, Filter, Value};
use crate::model::id::AppId;
use crate::model::words::match_all;
use crate::storage::entity::user::{self, Column};
use crate::storage::{Db, StoreError};

/// Users read at a time.
const CHUNK: u64 = 1_000;

/// A test for words, and whom it holds of.
struct Words {
    field: Field,
    prefixes: Vec<String>,
    ids: Vec<Value>,
}

/// `filter` with its tests for words put so that they hold of users without terms, too.
pub(in crate::storage) async fn complete(db: &Db, app: AppId, filter: Filter) -> Result<Filter, StoreError> {
    let mut tests = Vec::new();
    collect(&filter, &mut tests);
    let mut after = String::new();
    while !tests.is_empty() {
        let users: Vec<(String, Option<String>, Json)> = user::any(app)
            .select_only()
            .columns([Column::Id, Column::Name, Column::Custom])
            .filter(is_missing())
            .filter(Column::Id.gt(after.as_str()))
            .order_by_asc(Column::Id)
            .limit(CHUNK)
            .into_tuple()
            .all(db)
            .await?;
        let Some((last, ..)) = users.last() else { break };
        after.clone_from(last);
        for (id, name, custom) in &users {
            let holds = |test: &&mut Words| match &test.field {
                Field::BuiltIn(BuiltIn::Id) => match_all(id, &test.prefixes),
                Field::BuiltIn(_) => name.as_ref().is_some_and(|name| match_all(name, &test.prefixes)),
                Field::Custom(path) => {
                    let found = custom.as_object().and_then(|custom| path.find(custom));
                    found.and_then(Json::as_str).is_some_and(|text| match_all(text, &test.prefixes))
                }
            };
            tests.iter_mut().filter(holds).for_each(|test| test.ids.push(Value::Text(id.clone())));
        }
    }
    tests.retain(|test| !test.ids.is_empty());
    Ok(if tests.is_empty() { filter } else { completed(filter, &tests) })
}

fn collect(filter: &Filter, tests: &mut Vec<Words>) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) | Filter::Nor(parts) => {
            for part in parts {
                collect(part, tests);
            }
        }
        Filter::Test(field, Check::Autocomplete(prefixes)) => {
            tests.push(Words { field: field.clone(), prefixes: prefixes.clone(), ids: Vec::new() });
        }
        Filter::Test(..) => {}
    }
}

fn completed(filter: Filter, tests: &[Words]) -> Filter {
    let each = |parts: Vec<Filter>| parts.into_iter().map(|part| completed(part, tests)).collect();
    match filter {
        Filter::And(parts) => Filter::And(each(parts)),
        Filter::Or(parts) => Filter::Or(each(parts)),
        Filter::Nor(parts) => Filter::Nor(each(parts)),
        Filter::Test(field, Check::Autocomplete(prefixes)) => {
            let known = tests.iter().find(|test| test.field == field && test.prefixes == prefixes);
            let ids = known.map(|test| test.ids.clone()).unwrap_or_default();
            let written = Filter::Test(field, Check::Autocomplete(prefixes));
            Filter::Or(vec![written, Filter::Test(Field::BuiltIn(BuiltIn::Id), Check::AnyOf(ids))])
        }
        test @ Filter::Test(..) => test,
    }
}
