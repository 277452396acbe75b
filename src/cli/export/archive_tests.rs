use std::io::{BufReader, Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::*;

fn record(kind: &str, item: &Value) -> String {
    json!({"type": kind, "basis": "provided", "item": item}).to_string()
}

/// The lines of an archive of `user` with so many messages.
fn lines(user: &str, messages: usize) -> Vec<String> {
    let item = json!({"format": FORMAT, "user_id": user, "references": "PSEUDONYM", "scope": "ACCESS"});
    let mut lines = vec![
        json!({"type": "export", "item": item}).to_string(),
        json!({"type": "about", "item": {}}).to_string(),
        record("user", &json!({"id": user})),
    ];
    lines.extend(
        (0..messages).map(|at| record("message", &json!({"id": format!("{user}-{at}"), "user": user}))),
    );
    let counts = match messages {
        0 => json!({"user": 1}),
        _ => json!({"user": 1, "message": messages}),
    };
    lines.push(json!({"type": "end", "item": {"records": counts, "read_to": ""}}).to_string());
    lines
}

/// Compressed as the server does it: two members.
fn packed(lines: &[String]) -> Vec<u8> {
    let (first, second) = lines.split_at(lines.len() / 2);
    let member = |lines: &[String]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for line in lines {
            writeln!(encoder, "{line}").unwrap();
        }
        encoder.finish().unwrap()
    };
    [member(first), member(second)].concat()
}

/// Users whose archives are whole, and the fault behind which nothing is read.
fn read(bytes: &[u8]) -> (Vec<String>, Option<Fault>) {
    let source = BufReader::with_capacity(7, Cursor::new(bytes.to_vec()));
    let (mut users, mut fault) = (Vec::new(), None);
    for line in Archives::read(source).unwrap() {
        match line {
            Ok(Line::End(End { header, .. })) => users.push(header.user_id),
            Ok(_) => {}
            Err(found) => fault = Some(found),
        }
    }
    (users, fault)
}

fn fault(lines: &[String]) -> (u64, String) {
    let (_, fault) = read(&packed(lines));
    let Fault { line, what } = fault.expect("a fault");
    (line, what)
}

#[test]
fn archives_one_after_the_other_are_read_packed_and_plain() {
    let (ada, bob) = (lines("ada", 5), lines("b@b", 0));
    let packed = [packed(&ada), packed(&bob)].concat();
    let plain = [ada, bob].concat().join("\n") + "\n";
    for bytes in [packed.as_slice(), plain.as_bytes()] {
        let (users, fault) = read(bytes);
        assert_eq!(users, ["ada", "b@b"]);
        assert_eq!(fault, None);
    }
}

#[test]
fn records_are_counted_by_type() {
    let source = Cursor::new(packed(&lines("ada", 3)));
    let Some(Ok(Line::End(end))) = Archives::read(source).unwrap().last() else { panic!("no end") };
    let counts = [("message".to_owned(), 3), ("user".to_owned(), 1)];
    assert_eq!(end.counts, BTreeMap::from(counts));
}

#[test]
fn a_cut_at_any_byte_is_found() {
    let whole = packed(&lines("ada", 20));
    let plain = lines("ada", 2).join("\n") + "\n";
    for bytes in [whole.as_slice(), plain.as_bytes()] {
        assert_eq!(read(bytes).1, None);
        for length in 0..bytes.len() {
            let (users, fault) = read(&bytes[..length]);
            assert!(users.is_empty() || fault.is_some(), "{length}");
            assert!(fault.is_some(), "{length}");
        }
    }
    // With another archive before it, a cut is found as well.
    let two = [whole.clone(), whole.clone()].concat();
    for length in (whole.len() + 1)..two.len() {
        let (users, fault) = read(&two[..length]);
        assert_eq!(users[0], "ada");
        assert!(fault.is_some(), "{length}");
    }
}

#[test]
fn a_cut_is_named_with_its_line() {
    let all = lines("ada", 4);
    let (line, what) = fault(&all[..5]);
    assert_eq!((line, what.as_str()), (5, "the file ends here, and the archive of `ada` has no `end`"));
    let packed = packed(&all);
    let cut = read(&packed[..packed.len() - 3]).1.unwrap();
    assert_eq!(cut.what, "the file is cut off here");
    assert_eq!(read(b"").1.unwrap().to_string(), "line 1: the file is empty");
}

#[test]
fn a_flipped_bit_is_found_or_changes_nothing_of_what_is_read() {
    let all = lines("ada", 20);
    let whole = packed(&all);
    let text = |bytes: &[u8]| {
        let mut text = Vec::new();
        MultiGzDecoder::new(bytes).read_to_end(&mut text).map(|_| text).ok()
    };
    let mut silent = 0;
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            if read(&flipped).1.is_none() {
                // gzip has a time, a system, and padding, which no checksum covers.
                assert_eq!(text(&flipped), text(&whole), "bit {bit} of byte {at}");
                silent += 1;
            }
        }
    }
    assert!(silent < 2 * (8 * 8 + 7), "{silent}");
}

#[test]
fn lines_that_do_not_belong_there_are_named() {
    let good = lines("ada", 4);
    let other = lines("bob", 4);
    let with = |at: usize, line: &str| {
        let mut lines = good.clone();
        line.clone_into(&mut lines[at]);
        fault(&lines)
    };
    for (at, line, said) in [
        (0, good[2].as_str(), "is `user`, where an archive must begin with `export`"),
        (
            0,
            r#"{"type":"export","item":{"format":"usher-export/2"}}"#,
            "is of the format `usher-export/2`; this program reads `usher-export/1`",
        ),
        (0, r#"{"type":"export","item":{"format":"usher-export/1"}}"#, "has no `user_id`"),
        (1, good[2].as_str(), "is `user`, where `about` must be"),
        (3, other[0].as_str(), "is `export`, but the archive of `ada` has not ended"),
        (3, other[3].as_str(), "is a record of `bob` in the archive of `ada`"),
        (3, r#"{"type":"message","basis":"provided","item":{}}"#, "has no `user`"),
        (3, r#"{"type":"message","item":{}}"#, "has another `basis` than a record of type `message` has"),
        (3, r#"{"type":"message","basis":"provided"}"#, "has no `item`"),
        (
            3,
            r#"{"type":"message","basis":"provided","item":{"user":"ada"},"x":1}"#,
            "has the field `x`, which no record has",
        ),
        (3, "[]", "is not an object"),
        (3, "{}", "has no `type`"),
        (3, "", "is empty"),
        (7, r#"{"type":"end","item":{}}"#, "`end` has no `records`"),
    ] {
        assert_eq!(with(at, line), (u64::try_from(at).unwrap() + 1, said.to_owned()));
    }
    let (line, what) = with(4, r#"{"type":"message"#);
    assert!(line == 5 && what.starts_with("is not JSON: "), "{what}");
    let (line, what) = with(4, "{\"type\":\"\u{0}");
    assert!(line == 5 && what.starts_with("is not JSON: "), "{what}");
}

#[test]
fn wrong_counts_are_found() {
    let good = lines("ada", 4);
    let mut fewer = good.clone();
    fewer.remove(4);
    assert_eq!(fault(&fewer), (7, "`end` counts 4 records of type `message`, but 3 are there".to_owned()));
    let mut more = good.clone();
    more.insert(4, record("flag", &json!({"user_id": "ada"})));
    assert_eq!(fault(&more), (9, "`end` counts 0 records of type `flag`, but 1 are there".to_owned()));
    let mut none = good;
    none[7] = r#"{"type":"end","item":{"records":{"message":"4","user":1}}}"#.to_owned();
    assert_eq!(fault(&none), (8, "`records` holds no counts".to_owned()));
}

#[test]
fn what_is_behind_the_end_is_no_part_of_the_archive() {
    let mut more = lines("ada", 4);
    more.push(record("message", &json!({"user": "ada"})));
    assert_eq!(fault(&more), (9, "is `message`, where an archive must begin with `export`".to_owned()));
    let trailed = [packed(&lines("ada", 4)), b"rest".to_vec()].concat();
    let (users, fault) = read(&trailed);
    assert_eq!((users.len(), fault.unwrap().line), (1, 9));
}
