//! Orders, and the places in them.

use super::*;

fn order(sort: &[(&str, Direction)], ids: &IdBounds) -> Vec<(SortField, Direction)> {
    let mut bad = Violations::new();
    let keys: Vec<_> = sort.iter().map(|&(name, direction)| (name.to_owned(), direction, None)).collect();
    let sort = parse_sort(keys.into_iter(), &mut bad);
    assert!(bad.is_empty());
    Order::new(&sort, ids).keys().iter().map(|key| (key.field.clone(), key.direction)).collect()
}

#[test]
fn every_order_ends_on_id_in_the_direction_of_the_last_key() {
    use Direction::{Ascending as Up, Descending as Down};
    let bounded = IdBounds { lower: Bound::Excluded("a".to_owned()), ..IdBounds::ALL };
    let all = &IdBounds::ALL;

    assert_eq!(order(&[], all), [(SortField::CreatedAt, Down), (SortField::Id, Down)]);
    assert_eq!(order(&[], &bounded), [(SortField::Id, Down)]);
    assert_eq!(order(&[("name", Up)], &bounded), [(SortField::Name, Up), (SortField::Id, Up)]);
    assert_eq!(
        order(&[("role", Up), ("name", Down)], all),
        [(SortField::Role, Up), (SortField::Name, Down), (SortField::Id, Down)]
    );
    assert_eq!(
        order(&[("role", Down), ("id", Up), ("name", Down)], all),
        [(SortField::Role, Down), (SortField::Id, Up)]
    );
}

#[test]
fn free_data_without_a_type_is_ordered_by_type_first() {
    let path = || CustomPath::parse("custom.v").unwrap();
    let of = |ty| SortField::Custom(path(), ty);
    let [number, text, flag] = [ValueType::Number, ValueType::Text, ValueType::Bool].map(of);
    let fields = |direction| -> Vec<SortField> {
        order(&[("v", direction)], &IdBounds::ALL).into_iter().map(|(field, _)| field).collect()
    };
    assert_eq!(fields(Direction::Ascending), [number.clone(), text.clone(), flag.clone(), SortField::Id]);
    assert_eq!(fields(Direction::Descending), [flag, text, number, SortField::Id]);

    let mut bad = Violations::new();
    let twice = [None, Some(ValueType::Text)].map(|ty| ("v".to_owned(), Direction::Ascending, ty));
    parse_sort(twice.into_iter(), &mut bad);
    assert_eq!(bad.into_result(()).unwrap_err()[0].field, "sort[1].field");
}

#[test]
fn wrong_keys_are_refused_with_their_place() {
    let key = |name: &str| (name.to_owned(), Direction::Ascending, Some(ValueType::Number));
    let refused = |names: &[&str]| -> Vec<String> {
        let mut bad = Violations::new();
        parse_sort(names.iter().map(|name| key(name)).collect::<Vec<_>>().into_iter(), &mut bad);
        bad.into_result(()).unwrap_err().into_iter().map(|one| one.field).collect()
    };
    assert_eq!(
        refused(&["id", "language", "a..b", "id", ""]),
        [1, 2, 3, 4].map(|at| format!("sort[{at}].field"))
    );
    assert_eq!(refused(&["custom.a", "a"]), ["sort[1].field"]);
    assert_eq!(refused(&["a", "b", "c", "d", "e", "f"]), ["sort"]);
}

#[test]
fn cursors_survive_their_token_to_the_last_digit() {
    let values =
        [0.1, 1e300, 5e-324, -1.711_488_800_458_074e203, 0.300_000_000_000_000_04].map(KeyValue::Number);
    let more =
        [KeyValue::Null, KeyValue::Bool(true), KeyValue::Time(i64::MAX), KeyValue::Text("é\"".to_owned())];
    let cursor = Cursor(values.into_iter().chain(more).collect());
    let text = serde_json::to_string(&cursor).unwrap();
    assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
}

#[test]
fn bounds_of_one_side_exclude_each_other() {
    let mut bad = Violations::new();
    let parse = |gt: &str, gte: &str, bad: &mut Violations| {
        IdBounds::parse(gt.to_owned(), gte.to_owned(), String::new(), "m".to_owned(), bad)
    };
    let bounds = parse("b", "", &mut bad);
    assert_eq!(["a", "b", "ba", "m", "ma"].map(|id| bounds.hold(id)), [false, false, true, true, false]);
    assert!(bad.is_empty());
    parse("b", "b", &mut bad);
    assert_eq!(bad.into_result(()).unwrap_err()[0].field, "id_gt");
}
