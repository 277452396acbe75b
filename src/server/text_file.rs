//! Reading text that people and other programs write: settings, secrets, lists, tokens.
//!
//! Every file and all of standard input pass here, so that a byte order mark, CRLF and blank lines at the end
//! mean the same everywhere. Imports stream their file and use [`check_encoding`] only.

use std::io::{self, Read as _};
use std::path::Path;

/// Where the text comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A file.
    File(&'a Path),
    /// Standard input, at most so many bytes of it.
    Stdin(u64),
}

/// The text without a byte order mark and without blank lines at its end, lines ended by `\n`; or a sentence
/// that names the source and what is wrong with it.
pub fn read_text(source: Source<'_>) -> Result<String, String> {
    let (name, bytes) = match source {
        Source::File(file) => (file.display().to_string(), std::fs::read(file)),
        Source::Stdin(limit) => ("standard input".to_owned(), read_stdin(limit)),
    };
    let bytes = bytes.map_err(|err| format!("cannot read {name}: {err}"))?;
    decode(bytes).map_err(|problem| format!("{name} {problem}"))
}

/// Refuses text whose first bytes say that it is UTF-16, with or without a byte order mark.
pub fn check_encoding(start: &[u8]) -> Result<(), &'static str> {
    match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Err("is UTF-16, not UTF-8: save it as UTF-8 and try again")
        }
        _ => Ok(()),
    }
}

fn read_stdin(limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String, &'static str> {
    check_encoding(&bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    let (words, rest) = text.split_at(text.trim_end().len());
    if words.is_empty() {
        return Ok(String::new());
    }
    // A space at the end of the last line is kept: a secret that ends with one is refused, not shortened.
    let end_of_line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    Ok(format!("{words}{end_of_line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn marks_line_ends_and_blank_ends_do_not_count() {
        for written in ["a\nb", "a\nb\n", "a\r\nb\r\n", "\u{feff}a\nb", "\u{feff}a\r\nb\r\n\r\n \t\r\n\n"] {
            assert_eq!(decode(written.into()).unwrap(), "a\nb", "{written:?}");
        }
        for empty in ["", "\u{feff}", "\r\n", " \n\n"] {
            assert_eq!(decode(empty.into()).unwrap(), "", "{empty:?}");
        }
        assert_eq!(decode("  a".into()).unwrap(), "  a", "what is before the text is kept");
        assert_eq!(decode("a \t\n\n".into()).unwrap(), "a \t", "the end of the last line is kept");
    }

    #[test]
    fn utf16_is_refused_with_a_sentence() {
        for text in ["ada\n", "\u{feff}ada\n", "{\"id\": \"ada\"}", "\u{feff}"] {
            for little in [true, false] {
                let problem = decode(utf16(text, little)).unwrap_err();
                assert!(problem.contains("UTF-16"), "{text:?}: {problem}");
            }
        }
    }

    #[test]
    fn other_bytes_are_refused_with_a_sentence() {
        for bytes in [&b"ad\xe4"[..], b"\x1f\x8b\x08", b"\x80"] {
            assert_eq!(decode(bytes.into()), Err("is not UTF-8 text"));
        }
        assert!(read_text(Source::File(Path::new("/nowhere"))).unwrap_err().contains("cannot read /nowhere"));
    }
}
