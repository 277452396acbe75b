//! Queries for users: order and pages. What is searched for is in [`super::filter`].
//!
//! An order is total: it always ends on `id`. Absent values come last in both directions, and so do values
//! of a free field that are not of the type it is sorted by. Without a type, the type decides first
//! (`ValueType::ALL`), then the value. Text is ordered byte by byte. Pages go on after the last user shown
//! ([`Cursor`]), so that changes elsewhere neither skip nor repeat an unchanged user.

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::filter::{CustomPath, Filter};
use super::user::User;
use super::violation::Violations;

#[cfg(test)]
mod tests;

/// The most keys a caller may sort by.
pub const MAX_SORT_KEYS: usize = 5;
/// Users on a page where the caller asks for no number.
pub const DEFAULT_LIMIT: u64 = 30;
/// The most users on a page.
pub const MAX_LIMIT: u64 = 1_000;
/// The furthest a caller may skip.
pub const MAX_OFFSET: u64 = 1_000;

/// Which users, in which order, and which of them.
#[derive(Debug, Clone, PartialEq)]
pub struct UserQuery {
    /// Which ones.
    pub filter: Filter,
    /// As asked for; see [`Self::order`].
    pub sort: Vec<SortKey>,
    /// Which ids.
    pub ids: IdBounds,
    /// How many at most.
    pub limit: u64,
    /// How many to skip, from the start or from `after`.
    pub offset: u64,
    /// Only what comes after it. Of this very order: see [`Cursor::fits`].
    pub after: Option<Cursor>,
    /// Deactivated ones too.
    pub include_deactivated: bool,
    /// Softly deleted ones too.
    pub include_deleted: bool,
}

impl UserQuery {
    /// The order of the answer.
    pub fn order(&self) -> Order {
        Order::new(&self.sort, &self.ids)
    }
}

/// A range of ids, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdBounds {
    /// Where it begins.
    pub lower: Bound<String>,
    /// Where it ends.
    pub upper: Bound<String>,
}

impl IdBounds {
    /// All ids.
    pub const ALL: Self = Self { lower: Bound::Unbounded, upper: Bound::Unbounded };

    /// Reads the four bounds of a request; empty means none.
    pub fn parse(gt: String, gte: String, lt: String, lte: String, bad: &mut Violations) -> Self {
        Self {
            lower: bound([("id_gt", gt), ("id_gte", gte)], bad),
            upper: bound([("id_lt", lt), ("id_lte", lte)], bad),
        }
    }

    /// Whether there is a bound at all.
    pub fn is_bounded(&self) -> bool {
        *self != Self::ALL
    }

    /// Whether `id` lies within.
    pub fn hold(&self, id: &str) -> bool {
        let range = (self.lower.as_ref().map(String::as_str), self.upper.as_ref().map(String::as_str));
        RangeBounds::<str>::contains(&range, id)
    }
}

fn bound([open, closed]: [(&str, String); 2], bad: &mut Violations) -> Bound<String> {
    for (field, id) in [&open, &closed] {
        if id.contains('\0') || id.len() > 255 {
            bad.add(*field, "must be at most 255 bytes without a NUL character");
        }
    }
    match (open.1.is_empty(), closed.1.is_empty()) {
        (true, true) => Bound::Unbounded,
        (false, true) => Bound::Excluded(open.1),
        (true, false) => Bound::Included(closed.1),
        (false, false) => {
            bad.add(open.0, format!("must not be given together with {}", closed.0));
            Bound::Unbounded
        }
    }
}

/// Reads the size of a page; 0 means none was asked for.
pub fn parse_limit(limit: i32, bad: &mut Violations) -> u64 {
    match u64::try_from(limit) {
        Ok(0) => DEFAULT_LIMIT,
        Ok(limit) if limit <= MAX_LIMIT => limit,
        _ => {
            bad.add("limit", format!("must be from 1 to {MAX_LIMIT}"));
            DEFAULT_LIMIT
        }
    }
}

/// Reads how many users to skip.
pub fn parse_offset(offset: i32, bad: &mut Violations) -> u64 {
    match u64::try_from(offset) {
        Ok(offset) if offset <= MAX_OFFSET => offset,
        _ => {
            bad.add("offset", format!("must be from 0 to {MAX_OFFSET}; page_token goes further"));
            0
        }
    }
}

/// What users can be ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the fields")]
pub enum SortField {
    Id,
    Name,
    Role,
    CreatedAt,
    UpdatedAt,
    LastActive,
    /// Free data, where it is of the type.
    Custom(CustomPath, ValueType),
}

const SORTABLE: [(&str, SortField); 6] = [
    ("id", SortField::Id),
    ("name", SortField::Name),
    ("role", SortField::Role),
    ("created_at", SortField::CreatedAt),
    ("updated_at", SortField::UpdatedAt),
    ("last_active", SortField::LastActive),
];

impl SortField {
    /// Reads the name of a field; `ty` matters for free data only, which without one is a field of each type.
    fn parse(name: &str, ty: Option<ValueType>) -> Result<Vec<Self>, &'static str> {
        if let Some((_, field)) = SORTABLE.into_iter().find(|(known, _)| *known == name) {
            return Ok(vec![field]);
        }
        let path = CustomPath::parse(name)?;
        let types = ty.map_or(ValueType::ALL.to_vec(), |ty| vec![ty]);
        Ok(types.into_iter().map(|ty| Self::Custom(path.clone(), ty)).collect())
    }

    /// Whether some users may have no value there.
    pub const fn is_optional(&self) -> bool {
        matches!(self, Self::Name | Self::LastActive | Self::Custom(..))
    }

    /// The value that decides the place of `user`.
    pub fn of(&self, user: &User) -> KeyValue {
        match self {
            Self::Id => KeyValue::Text(user.id().as_str().to_owned()),
            Self::Name => user.profile.name.clone().map_or(KeyValue::Null, KeyValue::Text),
            Self::Role => KeyValue::Text(user.profile.role.clone()),
            Self::CreatedAt => KeyValue::Time(user.created_at.micros()),
            Self::UpdatedAt => KeyValue::Time(user.updated_at.micros()),
            Self::LastActive => user.last_active.map_or(KeyValue::Null, |at| KeyValue::Time(at.micros())),
            Self::Custom(path, ty) => match (path.find(&user.profile.custom), ty) {
                (Some(Json::String(text)), ValueType::Text) => KeyValue::Text(text.clone()),
                (Some(Json::Number(number)), ValueType::Number) => {
                    number.as_f64().map_or(KeyValue::Null, KeyValue::Number)
                }
                (Some(Json::Bool(flag)), ValueType::Bool) => KeyValue::Bool(*flag),
                _ => KeyValue::Null,
            },
        }
    }
}

/// The type that values of a free field are ordered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ValueType {
    Number,
    Text,
    Bool,
}

impl ValueType {
    /// All of them, as they are ordered among each other.
    const ALL: [Self; 3] = [Self::Number, Self::Text, Self::Bool];
}

/// Which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Direction {
    #[default]
    Ascending,
    Descending,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// By what.
    pub field: SortField,
    /// Which way.
    pub direction: Direction,
}

/// Reads the keys of a request, each a name, a direction and a type; what is wrong is noted below `sort`.
///
/// A path into free data without a type becomes a key for each type: absent values come last, so the values
/// of the first type come first, by value, then those of the next.
pub fn parse_sort(
    keys: impl ExactSizeIterator<Item = (String, Direction, Option<ValueType>)>,
    bad: &mut Violations,
) -> Vec<SortKey> {
    if keys.len() > MAX_SORT_KEYS {
        bad.add("sort", format!("must be at most {MAX_SORT_KEYS} keys"));
    }
    let mut read: Vec<SortKey> = Vec::new();
    for (at, (name, direction, ty)) in keys.take(MAX_SORT_KEYS).enumerate() {
        let path = format!("sort[{at}].field");
        match SortField::parse(&name, ty) {
            Err(refusal) => bad.add(path, refusal),
            Ok(fields) if read.iter().any(|key| fields.contains(&key.field)) => {
                bad.add(path, "must not be given twice");
            }
            Ok(mut fields) => {
                if direction == Direction::Descending {
                    fields.reverse();
                }
                read.extend(fields.into_iter().map(|field| SortKey { field, direction }));
            }
        }
    }
    read
}

/// A total order of users: at least one key, `id` the last one and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<SortKey>);

impl Order {
    /// The order that `sort` asks for; without one, the newest first, or ids from the highest where they
    /// are bounded.
    pub fn new(sort: &[SortKey], ids: &IdBounds) -> Self {
        let newest = [SortKey { field: SortField::CreatedAt, direction: Direction::Descending }];
        let asked: &[SortKey] = match sort {
            [] if ids.is_bounded() => &[],
            [] => &newest,
            sort => sort,
        };
        // What follows an id decides nothing.
        let mut keys: Vec<SortKey> =
            asked.iter().take_while(|key| key.field != SortField::Id).cloned().collect();
        let last = asked.get(keys.len()).or(keys.last()).map_or(Direction::Descending, |key| key.direction);
        keys.push(SortKey { field: SortField::Id, direction: last });
        Self(keys)
    }

    /// The keys, the first one first.
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// The reference: how two users are ordered, without any database.
    pub fn compare(&self, left: &User, right: &User) -> Ordering {
        self.compare_values(&cursor_of(left, self), &cursor_of(right, self))
    }

    /// The reference: whether `user` comes after `cursor`.
    pub fn is_after(&self, user: &User, cursor: &Cursor) -> bool {
        self.compare_values(&cursor_of(user, self), cursor).is_gt()
    }

    fn compare_values(&self, left: &Cursor, right: &Cursor) -> Ordering {
        let pairs = left.0.iter().zip(&right.0).zip(&self.0);
        pairs.fold(Ordering::Equal, |so_far, ((left, right), key)| {
            so_far.then_with(|| compare_by(key.direction, left, right))
        })
    }
}

fn compare_by(direction: Direction, left: &KeyValue, right: &KeyValue) -> Ordering {
    let ascending = match (left, right) {
        (KeyValue::Null, KeyValue::Null) => return Ordering::Equal,
        (KeyValue::Null, _) => return Ordering::Greater,
        (_, KeyValue::Null) => return Ordering::Less,
        (KeyValue::Bool(left), KeyValue::Bool(right)) => left.cmp(right),
        (KeyValue::Time(left), KeyValue::Time(right)) => left.cmp(right),
        (KeyValue::Number(left), KeyValue::Number(right)) => left.total_cmp(right),
        (KeyValue::Text(left), KeyValue::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        // Values under one key are of one type.
        _ => Ordering::Equal,
    };
    match direction {
        Direction::Ascending => ascending,
        Direction::Descending => ascending.reverse(),
    }
}

/// What a user has under one key of an order. The names are short: page tokens hold them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum KeyValue {
    /// Absent, or of another type than asked for.
    #[serde(rename = "-")]
    Null,
    /// Of free data.
    #[serde(rename = "b")]
    Bool(bool),
    /// Of free data.
    #[serde(rename = "n")]
    Number(f64),
    /// In microseconds since the epoch.
    #[serde(rename = "t")]
    Time(i64),
    /// Of whatever field.
    #[serde(rename = "s")]
    Text(String),
}

/// The place of a user in an order: its values, key by key. The next page begins strictly after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(Vec<KeyValue>);

impl Cursor {
    /// The values, key by key.
    pub fn values(&self) -> &[KeyValue] {
        &self.0
    }

    /// Whether this is a place in `order`.
    pub fn fits(&self, order: &Order) -> bool {
        let fits = |(value, key): (&KeyValue, &SortKey)| match (value, &key.field) {
            (KeyValue::Null, field) => field.is_optional(),
            (KeyValue::Bool(_), field) => matches!(field, SortField::Custom(_, ValueType::Bool)),
            (KeyValue::Number(_), field) => matches!(field, SortField::Custom(_, ValueType::Number)),
            (KeyValue::Time(_), field) => {
                matches!(field, SortField::CreatedAt | SortField::UpdatedAt | SortField::LastActive)
            }
            (KeyValue::Text(_), SortField::Custom(_, ty)) => *ty == ValueType::Text,
            (KeyValue::Text(_), field) => matches!(field, SortField::Id | SortField::Name | SortField::Role),
        };
        self.0.len() == order.0.len() && self.0.iter().zip(&order.0).all(fits)
    }
}

/// The place of `user` in `order`.
pub fn cursor_of(user: &User, order: &Order) -> Cursor {
    Cursor(order.keys().iter().map(|key| key.field.of(user)).collect())
}
