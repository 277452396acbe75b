//! What the law of queries is tried on: users, filters, orders and pages, made at random.
//!
//! The words are few so that they meet often; among them is whatever databases like to see differently.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value as Json, json};
use usher::model::query::{Direction, ValueType};
use usher::model::user::UserInput;

/// Users, and questions about them.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) users: Vec<Seed>,
    pub(crate) asks: Vec<Ask>,
}

/// A user to store before the questions. Ids are the same in every case: storing them replaces those before.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    pub(crate) input: UserInput,
    pub(crate) deactivated: bool,
}

/// A question, as a caller puts it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Null is left out. [`check_case`] puts times of stored users for `at:0`, `at:1`...
    pub(crate) filter: Json,
    pub(crate) sort: Vec<Sort>,
    pub(crate) id_gt: String,
    pub(crate) id_gte: String,
    pub(crate) id_lt: String,
    pub(crate) id_lte: String,
    pub(crate) limit: i32,
    pub(crate) offset: i32,
    pub(crate) include_deactivated: bool,
    pub(crate) page_token: String,
}

/// One key of the order asked for.
#[derive(Debug, Clone)]
pub(crate) struct Sort {
    pub(crate) field: String,
    pub(crate) descending: bool,
    pub(crate) ty: Option<ValueType>,
}

impl Sort {
    /// As `parse_sort` takes it.
    pub(crate) fn key(&self) -> (String, Direction, Option<ValueType>) {
        let direction = if self.descending { Direction::Descending } else { Direction::Ascending };
        (self.field.clone(), direction, self.ty)
    }
}

pub(crate) const IDS: [&str; 14] =
    ["a", "A", "b", "B", "_", "-a", "Z9", "@z", "0", "9", "10", "aa", "a-b", "a_b"];
const WORDS: [&str; 27] = [
    "",
    "1",
    "0",
    "true",
    "null",
    "a",
    "A",
    "b",
    "Z",
    "é",
    "e\u{301}",
    "[1]",
    "{}",
    "a\nb",
    "\"'\\",
    "%_",
    "\u{ffff}",
    "\u{10000}",
    "Ada B. Lovelace",
    "ADA's stra\u{df}e",
    "a1-b2_c3",
    "\u{c9}a b a",
    "田中花子",
    "花中子田 a",
    "ヤマダタロウ",
    "たなかはなこさんじゅうろうです",
    "สมชาย ใจดี",
];
/// What somebody types to find them.
const TYPED: [&str; 21] = [
    "a",
    "A",
    "b",
    "AD",
    "ada b",
    "lov",
    "strass",
    "STRASSE",
    "é",
    "e\u{301}a",
    "1",
    "b2",
    "z9",
    "\u{ffff} a",
    "田中",
    "子",
    "中花 a",
    "タロ",
    "たなかはなこさんじゅうろう",
    "ใจดี สมชาย",
    "a b c d e f g h i j k l",
];
const NUMBERS: [f64; 14] = [
    0.0,
    1.0,
    -1.0,
    2.0,
    10.0,
    1.5,
    0.1,
    0.300_000_000_000_000_04,
    9_007_199_254_740_992.0,
    1e17,
    1e300,
    5e-324,
    // SQLite reads these a last digit off.
    -1.711_488_800_458_074e203,
    -4.366_508_223_114_724e-137,
];
/// Keys in data; the last ones no path can name.
const KEYS: [&str; 14] =
    ["a", "b", "0", "é ü", "a b", "x$", "a[0]", "name", "?", "username", "", "a.b", "$a", "q\"\\"];
const PATHS: [&str; 22] = [
    "a",
    "b",
    "0",
    "é ü",
    "a b",
    "x$",
    "a[0]",
    "?",
    "a.b",
    "a.a",
    "b.0",
    "a.b.a",
    "custom.a",
    "custom.b.a",
    "custom.0",
    "custom.name",
    "custom.id",
    "custom.custom",
    "missing",
    "a.missing",
    "custom.username",
    "username.a",
];

/// Some keys and paths more often than others, so that questions meet answers.
fn often(
    few: &'static [&'static str],
    all: &'static [&'static str],
) -> impl Strategy<Value = &'static str> + Clone {
    prop_oneof![select(few), select(all)]
}

fn key() -> impl Strategy<Value = &'static str> + Clone {
    often(&["a", "b"], &KEYS)
}

fn path() -> impl Strategy<Value = &'static str> + Clone {
    often(&["a", "b", "custom.a"], &PATHS)
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        2 => any::<bool>().prop_map(Json::from),
        4 => select(&NUMBERS[..]).prop_map(Json::from),
        4 => select(&WORDS[..]).prop_map(Json::from),
    ]
}

fn data() -> impl Strategy<Value = Json> {
    let inner = scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            btree_map(key(), inner, 0..4).prop_map(object),
        ]
    });
    btree_map(key(), inner, 0..6).prop_map(object)
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn seed(id: &'static str) -> impl Strategy<Value = Seed> {
    let texts =
        (select(&WORDS[..]), select(&["", "user", "admin", "guest"][..]), select(&["", "en", "de"][..]));
    let teams = subsequence(vec!["a", "b", "red team"], 0..=3);
    (texts, teams, data(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        move |((name, role, language), teams, custom, invisible, deactivated)| Seed {
            input: UserInput {
                id: id.to_owned(),
                name: name.to_owned(),
                role: role.to_owned(),
                language: language.to_owned(),
                custom: custom.as_object().cloned().unwrap_or_default(),
                invisible,
                teams: teams.into_iter().map(str::to_owned).collect(),
                ..UserInput::default()
            },
            deactivated,
        },
    )
}

/// A field with a test of it.
fn test() -> impl Strategy<Value = (String, Json)> {
    let text = |words: &'static [&'static str]| {
        prop_oneof![8 => select(words).prop_map(Json::from), 1 => Just(Json::Null)].boxed()
    };
    let time = || (0..40_usize).prop_map(|at| json!(format!("at:{at}"))).boxed();
    let timed =
        (select(vec!["created_at", "updated_at", "last_active", "deactivated_at"]), ranged(time(), false));
    prop_oneof![
        2 => (Just("id"), ranged(text(&IDS), true)),
        1 => (Just("role"), ranged(text(&["user", "admin", "x"]), true)),
        1 => (Just("name"), listed(text(&WORDS))),
        2 => (select(vec!["id", "name", "username", "custom.username"]), typed()),
        1 => (select(vec!["banned", "shadow_banned"]), op(&["", "$eq", "$ne"], any::<bool>().prop_map(Json::from))),
        1 => (Just("language"), listed(text(&["", "en", "fr"]))),
        1 => (Just("invisible"), op(&["", "$eq", "$ne"], any::<bool>().prop_map(Json::from))),
        1 => timed,
        2 => (Just("teams"), teams()),
        1 => (Just("username"), listed(scalar().boxed())),
        8 => (path(), free()),
    ]
    .prop_map(|(field, test)| (field.to_owned(), test))
}

fn op(names: &'static [&'static str], value: impl Strategy<Value = Json> + 'static) -> BoxedStrategy<Json> {
    let test = |(name, value): (&str, Json)| if name.is_empty() { value } else { object([(name, value)]) };
    (select(names), value).prop_map(test).boxed()
}

fn listed(value: BoxedStrategy<Json>) -> BoxedStrategy<Json> {
    let list = vec(value.clone(), 0..4).prop_map(Json::from);
    prop_oneof![op(&["", "$eq"], value), op(&["$in"], list)].boxed()
}

fn ranged(value: BoxedStrategy<Json>, negations: bool) -> BoxedStrategy<Json> {
    let comparable = value.clone().prop_filter("ranges take no null", |value| !value.is_null());
    let list = vec(value.clone(), 0..4).prop_map(Json::from);
    let negated = if negations { op(&["$ne"], value.clone()) } else { op(&["$eq"], value.clone()) };
    let listed_out = if negations { op(&["$nin"], list) } else { op(&["$in"], list) };
    prop_oneof![op(&["$gt", "$gte", "$lt", "$lte"], comparable), listed(value), negated, listed_out].boxed()
}

fn typed() -> BoxedStrategy<Json> {
    op(&["$autocomplete"], select(&TYPED[..]).prop_map(Json::from))
}

fn teams() -> impl Strategy<Value = Json> {
    let name = || select(vec!["a", "b", "red team", "x"]).prop_map(Json::from);
    let set = vec(name(), 0..4).prop_map(Json::from);
    prop_oneof![
        op(&["", "$eq"], prop_oneof![3 => name(), 1 => Just(Json::Null)]),
        op(&["", "$eq"], set),
        op(&["$in"], vec(prop_oneof![4 => name(), 1 => Just(Json::Null)], 0..3).prop_map(Json::from)),
        op(&["$contains"], name()),
    ]
}

fn free() -> impl Strategy<Value = Json> {
    let ordered =
        prop_oneof![select(&NUMBERS[..]).prop_map(Json::from), select(&WORDS[..]).prop_map(Json::from)];
    let list = vec(scalar(), 0..5).prop_map(Json::from);
    let both = (ordered.clone(), ordered.clone()).prop_map(|(low, high)| json!({"$gte": low, "$lt": high}));
    prop_oneof![
        3 => op(&["", "$eq", "$ne"], scalar()),
        2 => op(&["$in", "$nin"], list),
        4 => op(&["$gt", "$gte", "$lt", "$lte"], ordered),
        1 => both,
        1 => op(&["$exists"], any::<bool>().prop_map(Json::from)),
        2 => op(&["$contains"], scalar()),
    ]
}

fn filter() -> impl Strategy<Value = Json> {
    let leaf = vec(test(), 1..3).prop_map(|tests| Json::Object(tests.into_iter().collect::<Map<_, _>>()));
    let filter = leaf.prop_recursive(4, 12, 3, |inner| {
        (select(vec!["$and", "$or", "$nor"]), vec(inner, 1..4), prop::option::of(test())).prop_map(
            |(name, members, beside)| {
                let mut object = Map::from_iter(beside);
                object.insert(name.to_owned(), Json::from(members));
                Json::Object(object)
            },
        )
    });
    prop_oneof![12 => filter, 1 => Just(Json::Null)]
}

fn sort() -> impl Strategy<Value = Vec<Sort>> {
    let field = prop_oneof![
        1 => select(vec!["id", "name", "role", "created_at", "updated_at", "last_active"]),
        1 => path(),
    ];
    let ty = prop::option::weighted(0.6, select(vec![ValueType::Text, ValueType::Number, ValueType::Bool]));
    let key = (field, any::<bool>(), ty).prop_map(|(field, descending, ty)| Sort {
        field: field.to_owned(),
        descending,
        ty,
    });
    vec(key, 0..=5).prop_map(|mut keys| {
        let mut seen: Vec<String> = Vec::new();
        keys.retain(|key| {
            let name = key.field.trim_start_matches("custom.").to_owned();
            !seen.contains(&name) && {
                seen.push(name);
                true
            }
        });
        keys
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let bound = || prop_oneof![4 => Just(""), 1 => select(&IDS[..])].prop_map(str::to_owned);
    let bounds = (bound(), bound(), any::<bool>(), any::<bool>());
    let pages = (1..8_i32, prop_oneof![3 => Just(0), 1 => 0..6_i32]);
    (filter(), sort(), bounds, pages, any::<bool>()).prop_map(
        |(filter, sort, (low, high, low_in, high_in), (limit, offset), include_deactivated)| Ask {
            filter,
            sort,
            id_gt: if low_in { String::new() } else { low.clone() },
            id_gte: if low_in { low } else { String::new() },
            id_lt: if high_in { String::new() } else { high.clone() },
            id_lte: if high_in { high } else { String::new() },
            limit,
            offset,
            include_deactivated,
            page_token: String::new(),
        },
    )
}

/// All of it, `asks` questions on an average.
pub(crate) fn case(asks: usize) -> impl Strategy<Value = Case> {
    (IDS.map(seed), vec(ask(), 1..2 * asks)).prop_map(|(users, asks)| Case { users: users.into(), asks })
}
