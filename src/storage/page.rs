//! Order and pages of users as SQL. Orders as `model::query::Order::compare` says, on every database.

use std::ops::Bound;
use std::slice;

use sea_orm::sea_query::{Expr, ExprTrait as _, NullOrdering, Order as SqlOrder};
use sea_orm::{ColumnTrait as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, Select};

use super::StoreError;
use super::backend::json::{JsonDialect, any_of};
use super::entity::user::{self, Column, Entity};
use super::filter::to_condition;
use crate::model::filter::{BuiltIn, Check, Comparison, Field, Filter, Value};
use crate::model::id::AppId;
use crate::model::query::{Cursor, Direction, IdBounds, KeyValue, Order, SortField, SortKey, UserQuery};

/// The users that match, on whatever page, in no order.
pub fn matching(app: AppId, query: &UserQuery, json: &dyn JsonDialect) -> Select<Entity> {
    select(app, query, &query.filter, &query.ids, json)
}

fn select(
    app: AppId,
    query: &UserQuery,
    filter: &Filter,
    ids: &IdBounds,
    json: &dyn JsonDialect,
) -> Select<Entity> {
    let mut select = if query.include_deleted { user::any(app) } else { user::live(app) };
    if !query.include_deactivated {
        select = select.filter(Column::DeactivatedAt.is_null());
    }
    within(select, ids).filter(to_condition(filter, json))
}

/// One page of the users that match, in order.
pub fn page(app: AppId, query: &UserQuery, json: &dyn JsonDialect) -> Select<Entity> {
    let order = query.order();
    let mut select = match &query.after {
        None => matching(app, query, json),
        Some(cursor) => {
            debug_assert!(cursor.fits(&order), "whoever takes a cursor from a caller checks it");
            let (filter, ids) =
                (beyond(&query.filter, &order, cursor), ids_beyond(&query.ids, &order, cursor));
            select(app, query, &filter, &ids, json).filter(after(&order, cursor, json))
        }
    };
    for key in order.keys() {
        let (expr, direction) = (sorted_by(&key.field, json), direction(key.direction));
        // Said only where it matters: an index does not serve an order with NULLS LAST downwards.
        select = if key.field.is_optional() {
            select.order_by_with_nulls(expr, direction, NullOrdering::Last)
        } else {
            select.order_by(expr, direction)
        };
    }
    select.limit(query.limit).offset((query.offset > 0).then_some(query.offset))
}

/// Whether users are found in the order of the page by an index, as far as it takes.
pub fn is_walked(query: &UserQuery) -> bool {
    let first = query.order().keys().first().map(|key| key.field.clone());
    matches!(first, Some(SortField::CreatedAt | SortField::Id))
}

/// The first key, alone, of the user who comes so many steps after the beginning of a page that
/// [`is_walked`]. Nothing is asked of users but what the indexes hold.
pub fn horizon(app: AppId, query: &UserQuery, json: &dyn JsonDialect, steps: u64) -> Select<Entity> {
    let is_range = |part: &&Filter| {
        matches!(part, Filter::Test(Field::BuiltIn(BuiltIn::CreatedAt | BuiltIn::Id), Check::Compare(..)))
    };
    let parts = if let Filter::And(parts) = &query.filter { parts } else { slice::from_ref(&query.filter) };
    let ranges = Filter::And(parts.iter().filter(is_range).cloned().collect());
    let mut select = within(user::any(app), &query.ids).filter(to_condition(&ranges, json)).select_only();
    let order = query.order();
    if let Some(key) = order.keys().first() {
        let expr = sorted_by(&key.field, json);
        if let Some(value) = query.after.as_ref().and_then(|cursor| cursor.values().first()) {
            select = select.filter(Place { key, value, expr: expr.clone(), json }.is_not_before());
        }
        select = select.column_as(expr.clone(), "horizon").order_by(expr, direction(key.direction));
    }
    select.limit(1).offset(steps)
}

/// `select` up to, and with, those who have the key of `row`, which [`horizon`] found.
pub fn up_to(
    select: Select<Entity>,
    query: &UserQuery,
    row: &QueryResult,
) -> Result<Select<Entity>, StoreError> {
    let order = query.order();
    let Some(key) = order.keys().first() else { return Ok(select) };
    let (column, horizon) = match key.field {
        SortField::Id => (Column::Id, Expr::val(row.try_get_by_index::<String>(0)?)),
        _ => (Column::CreatedAt, Expr::val(row.try_get_by_index::<i64>(0)?)),
    };
    let column = Expr::col((Entity, column));
    Ok(select.filter(match key.direction {
        Direction::Ascending => column.lte(horizon),
        Direction::Descending => column.gte(horizon),
    }))
}

/// `filter` without what holds of everybody after `cursor` anyway: of two ends of a range SQLite takes either,
/// and would begin each page at the beginning.
fn beyond(filter: &Filter, order: &Order, cursor: &Cursor) -> Filter {
    match filter {
        Filter::And(parts) => Filter::And(parts.iter().map(|part| beyond(part, order, cursor)).collect()),
        Filter::Test(Field::BuiltIn(field), Check::Compare(by, value)) => {
            let Some((key, place)) = order.keys().first().zip(cursor.values().first()) else {
                return filter.clone();
            };
            let found = match (field, &key.field, value, place) {
                (BuiltIn::CreatedAt, SortField::CreatedAt, Value::Time(at), KeyValue::Time(place))
                | (BuiltIn::UpdatedAt, SortField::UpdatedAt, Value::Time(at), KeyValue::Time(place)) => {
                    place.cmp(&at.micros())
                }
                (BuiltIn::Id, SortField::Id, Value::Text(id), KeyValue::Text(place)) => place.cmp(id),
                _ => return filter.clone(),
            };
            let onwards = match by {
                Comparison::Greater | Comparison::GreaterOrEqual => Direction::Ascending,
                Comparison::Less | Comparison::LessOrEqual => Direction::Descending,
            };
            if onwards == key.direction && by.holds(found) { Filter::ALL } else { filter.clone() }
        }
        other => other.clone(),
    }
}

/// As [`beyond`].
fn ids_beyond(ids: &IdBounds, order: &Order, cursor: &Cursor) -> IdBounds {
    match (order.keys(), cursor.values()) {
        ([key], [KeyValue::Text(place)]) if ids.hold(place) => match key.direction {
            Direction::Ascending => IdBounds { lower: Bound::Unbounded, upper: ids.upper.clone() },
            Direction::Descending => IdBounds { lower: ids.lower.clone(), upper: Bound::Unbounded },
        },
        _ => ids.clone(),
    }
}

fn within(select: Select<Entity>, ids: &IdBounds) -> Select<Entity> {
    let select = match &ids.lower {
        Bound::Included(id) => select.filter(Column::Id.gte(id.as_str())),
        Bound::Excluded(id) => select.filter(Column::Id.gt(id.as_str())),
        Bound::Unbounded => select,
    };
    match &ids.upper {
        Bound::Included(id) => select.filter(Column::Id.lte(id.as_str())),
        Bound::Excluded(id) => select.filter(Column::Id.lt(id.as_str())),
        Bound::Unbounded => select,
    }
}

const fn direction(direction: Direction) -> SqlOrder {
    match direction {
        Direction::Ascending => SqlOrder::Asc,
        Direction::Descending => SqlOrder::Desc,
    }
}

fn sorted_by(field: &SortField, json: &dyn JsonDialect) -> Expr {
    let column = match field {
        SortField::Id => Column::Id,
        SortField::Name => Column::Name,
        SortField::Role => Column::Role,
        SortField::CreatedAt => Column::CreatedAt,
        SortField::UpdatedAt => Column::UpdatedAt,
        SortField::LastActive => Column::LastActive,
        SortField::Custom(path, ty) => return json.sort_key(path, *ty),
    };
    Expr::col((Entity, column))
}

/// What comes strictly after `cursor`.
fn after(order: &Order, cursor: &Cursor, json: &dyn JsonDialect) -> Expr {
    let keys: Vec<Place<'_>> = order
        .keys()
        .iter()
        .zip(cursor.values())
        .map(|(key, value)| Place { key, value, expr: sorted_by(&key.field, json), json })
        .collect();
    in_one_row(&keys).unwrap_or_else(|| key_by_key(&keys))
}

/// One comparison of rows, which an index serves in full; for keys of one direction that are never null.
fn in_one_row(keys: &[Place<'_>]) -> Option<Expr> {
    let direction = keys.first()?.key.direction;
    if keys.iter().any(|place| place.key.field.is_optional() || place.key.direction != direction) {
        return None;
    }
    let left = Expr::tuple(keys.iter().map(|place| place.expr.clone()));
    let right = Expr::tuple(keys.iter().map(Place::bound));
    Some(match direction {
        Direction::Ascending => left.gt(right),
        Direction::Descending => left.lt(right),
    })
}

/// Beyond the first key, or the same there and beyond the second one, and so on.
fn key_by_key(keys: &[Place<'_>]) -> Expr {
    let deeper = |rest: Option<Expr>, place: &Place<'_>| match rest {
        None => Some(place.is_beyond()),
        Some(rest) => Some(any_of(vec![place.is_beyond(), place.is_same().and(rest)])),
    };
    let all = keys.iter().rev().fold(None, deeper).unwrap_or_else(|| Expr::cust("FALSE"));
    match keys.first() {
        // Adds nothing but a range for an index.
        Some(first) if !first.key.field.is_optional() => first.is_not_before().and(all),
        _ => all,
    }
}

/// A key of an order and what the cursor has there.
struct Place<'a> {
    key: &'a SortKey,
    value: &'a KeyValue,
    expr: Expr,
    json: &'a dyn JsonDialect,
}

impl Place<'_> {
    fn bound(&self) -> Expr {
        match (&self.key.field, self.value) {
            (SortField::Custom(..), value) => self.json.sort_value(value),
            (_, KeyValue::Text(text)) => Expr::val(text.as_str()),
            (_, KeyValue::Time(micros)) => Expr::val(*micros),
            (_, KeyValue::Null | KeyValue::Bool(_) | KeyValue::Number(_)) => Expr::cust("NULL"),
        }
    }

    fn is_beyond(&self) -> Expr {
        // Nulls are last, whichever way.
        if *self.value == KeyValue::Null {
            return Expr::cust("FALSE");
        }
        let beyond = match self.key.direction {
            Direction::Ascending => self.expr.clone().gt(self.bound()),
            Direction::Descending => self.expr.clone().lt(self.bound()),
        };
        if self.key.field.is_optional() { beyond.or(self.expr.clone().is_null()) } else { beyond }
    }

    fn is_same(&self) -> Expr {
        match self.value {
            KeyValue::Null => self.expr.clone().is_null(),
            _ => self.expr.clone().eq(self.bound()),
        }
    }

    fn is_not_before(&self) -> Expr {
        match self.key.direction {
            Direction::Ascending => self.expr.clone().gte(self.bound()),
            Direction::Descending => self.expr.clone().lte(self.bound()),
        }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryTrait as _};

    use super::*;
    use crate::storage::backend::postgres::json::PostgresJson;

    fn sql(sort: Vec<SortKey>, cursor: &str) -> String {
        let query = UserQuery {
            filter: Filter::ALL,
            sort,
            ids: IdBounds::ALL,
            limit: 30,
            offset: 0,
            after: Some(serde_json::from_str(cursor).unwrap()),
            include_deactivated: true,
            include_deleted: true,
        };
        page(AppId(1), &query, &PostgresJson).build(DbBackend::Postgres).sql
    }

    #[test]
    fn the_default_order_is_one_that_an_index_serves_in_full() {
        let sql = sql(Vec::new(), r#"[{"t":1},{"s":"a"}]"#);
        assert!(sql.contains(r#"("users"."created_at", "users"."id") < ($2, $3)"#), "{sql}");
        assert!(!sql.contains("NULLS"), "{sql}");
    }

    #[test]
    fn optional_keys_have_their_nulls_last_whatever_the_database_does() {
        let name = SortKey { field: SortField::Name, direction: Direction::Descending };
        let sql = sql(vec![name], r#"["-",{"s":"a"}]"#);
        assert!(sql.contains(r#""users"."name" DESC NULLS LAST, "users"."id" DESC"#), "{sql}");
        assert!(sql.contains(r#""users"."name" IS NULL AND "users"."id" < $2"#), "{sql}");
    }
}
