//! Of the splitter: every file is also cut in two at every byte, and fed byte by byte.

use super::*;

type Read = (Vec<Element>, Option<SyntaxError>);

fn read_in(chunks: &[&[u8]]) -> Read {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    for chunk in chunks {
        if let Err(err) = splitter.feed(chunk, &mut found) {
            return (found, Some(err));
        }
    }
    let end = splitter.finish(&mut found).err();
    (found, end)
}

fn read(file: &[u8]) -> Read {
    let whole = read_in(&[file]);
    for at in 0..=file.len() {
        let (left, right) = file.split_at(at);
        assert_eq!(read_in(&[left, right]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = file.chunks(1).collect();
    assert_eq!(read_in(&single), whole, "byte by byte");
    whole
}

/// Line and text of each element; what is not JSON in angle brackets.
fn shown(file: &str) -> Vec<(u64, String)> {
    let (found, err) = read(file.as_bytes());
    assert_eq!(err, None, "{file}");
    let offsets: Vec<_> = found.iter().map(|element| element.offset).collect();
    assert_eq!(offsets, (0..).take(found.len()).collect::<Vec<i64>>());
    found.into_iter().map(|element| (element.line, show(element.content))).collect()
}

fn show(content: Content) -> String {
    match content {
        Content::Json(bytes) => String::from_utf8(bytes).unwrap(),
        Content::TooLarge => "<too large>".to_owned(),
        Content::Malformed(problem) => format!("<{problem}>"),
    }
}

fn own(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}

fn fault(file: &str) -> String {
    read(file.as_bytes()).1.unwrap().to_string()
}

#[test]
fn an_array_is_cut_at_its_own_commas_only() {
    let file = "\n[ {\"a\":[1,{\"b\":2}]},\n  {\"c\":\",]}\"} ,\n\n{\n\"d\":\"\\\"]\\\\\"\n}\n]\n ";
    let elements = [(2, r#"{"a":[1,{"b":2}]}"#), (3, r#"{"c":",]}"}"#), (5, "{\n\"d\":\"\\\"]\\\\\"\n}")];
    assert_eq!(shown(file), own(&elements));
}

#[test]
fn lines_are_cut_at_line_breaks_and_blank_ones_do_not_count() {
    let file = "\u{feff}{\"a\":1}\r\n\r\n  {\"b\":\"é\\n\"}  \n\t\n{\"c\":3}";
    assert_eq!(shown(file), own(&[(1, "{\"a\":1}"), (3, "{\"b\":\"é\\n\"}"), (5, "{\"c\":3}")]));
}

#[test]
fn an_array_may_begin_with_a_byte_order_mark() {
    assert_eq!(shown("\u{feff}[1,2]"), own(&[(1, "1"), (1, "2")]));
}

#[test]
fn files_without_elements_have_none() {
    for file in ["", " \n\r\n", "[]", " [ \n ] \n", "\u{feff}"] {
        assert_eq!(shown(file), [], "{file:?}");
    }
}

#[test]
fn a_bad_line_is_an_element_and_the_next_line_is_read() {
    let elements = shown("{\"a\":1}\n{\"a\":\n{\"a\":3}\n{} {}\n");
    assert_eq!(elements[0], (1, "{\"a\":1}".to_owned()));
    assert_eq!(elements[1], (2, "<not valid JSON: EOF while parsing a value, column 5>".to_owned()));
    assert_eq!(elements[2], (3, "{\"a\":3}".to_owned()));
    assert_eq!(elements[3], (4, "<not valid JSON: trailing characters, column 4>".to_owned()));
}

#[test]
fn a_line_that_is_not_utf8_is_a_bad_line() {
    let (found, err) = read(b"{\"a\":\"\xff\"}\n{}\n");
    assert_eq!(err, None);
    assert_eq!(
        found[0].content,
        Content::Malformed("not valid JSON: this is not UTF-8, column 7".to_owned())
    );
    assert_eq!(found[1].content, Content::Json(b"{}".to_vec()));
}

#[test]
fn a_fault_in_an_array_is_told_by_line_and_column() {
    for (file, said) in [
        ("[{}", "line 1, column 4: the file ends within the array"),
        ("[", "line 1, column 2: the file ends within the array"),
        ("[{},\n", "line 2, column 1: the file ends within the array"),
        ("[{\"a\":\"x", "line 1, column 9: the file ends within the array"),
        ("[{},]", "line 1, column 5: an element is missing here"),
        ("[,{}]", "line 1, column 2: an element is missing here"),
        ("[{}]\n{}", "line 2, column 1: nothing may follow the array"),
        ("[\n{\"a\":1]", "line 2, column 7: this bracket closes none that is open"),
        ("[\n{\"a\nb\":1}]", "line 2, column 4: a string does not end, or holds a control character"),
        ("[{},\n {} {}]", "line 2, column 5: not valid JSON: trailing characters"),
        ("[{},\n{\n\"a\" 1}]", "line 3, column 5: not valid JSON: expected `:`"),
    ] {
        assert_eq!(fault(file), said, "{file:?}");
    }
}

#[test]
fn what_comes_before_a_fault_is_found() {
    let (found, err) = read(b"[{\"a\":1},{\"a\":2},x]");
    assert_eq!(found.len(), 2);
    assert!(err.is_some());
}

#[test]
fn other_formats_are_recognised() {
    assert!(fault("\u{1f}\u{8b}").contains("compressed"));
    assert!(read(b"\xff\xfe[\0").1.unwrap().to_string().contains("UTF-8"));
}

#[test]
fn an_element_beyond_the_limit_is_told_and_passed() {
    let fits = format!("\"{}\"", "x".repeat(MAX_ITEM - 2));
    let large = format!("\"{}\"", "x".repeat(MAX_ITEM - 1));
    for file in [format!("[{fits},{large},1]"), format!("{fits} \r\n{large}\n1\n")] {
        let (found, err) = read_in(&[file.as_bytes()]);
        assert_eq!(err, None);
        let shown: Vec<_> = found.into_iter().map(|element| element.content).collect();
        assert_eq!(
            shown,
            [Content::Json(fits.clone().into()), Content::TooLarge, Content::Json(b"1".to_vec())]
        );
    }
}

#[test]
fn deep_nesting_is_no_way_to_fill_memory() {
    let file = format!("[{}", "[".repeat(1_000_000));
    let (_, err) = read_in(&[file.as_bytes()]);
    assert!(err.unwrap().to_string().contains("nests too deep"));
}

#[test]
fn ends_tell_how_much_of_the_file_is_read() {
    let (found, _) = read(b"{\"a\":1}\n{}\n");
    assert_eq!(found.iter().map(|element| element.end).collect::<Vec<_>>(), [7, 10]);
}
