//! What an import reads: what it is, its fingerprint, and its elements, read on a thread of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::archive::Spool;
use super::split::{Element, Splitter};
use crate::cli::failure::Failure;
use crate::server::text_file::check_encoding;

const CHUNK: usize = 64 * 1024;
/// Chunks read ahead at most.
const AHEAD: usize = 4;

/// Something that can be read again.
#[derive(Debug, Clone)]
pub(super) struct Source {
    text: Text,
    /// Its size when it was looked at, in bytes.
    pub(super) size: u64,
}

#[derive(Debug, Clone)]
enum Text {
    File(PathBuf),
    /// What was made of archives.
    Spool(Spool),
}

impl Text {
    fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Spool(spool) => Box::new(spool.reader()),
        })
    }
}

impl From<Spool> for Source {
    fn from(spool: Spool) -> Self {
        Self { size: spool.size, text: Text::Spool(spool) }
    }
}

/// What reading a file yields.
#[derive(Debug)]
pub(super) enum Step {
    /// The elements of one chunk.
    Elements(Vec<Element>),
    /// Nothing more comes; if that is not the end of the file, why.
    End(Result<(), String>),
}

impl Source {
    /// Looks at the file: it must be one that can be read again, and not UTF-16.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let again = "an import reads its file more than once, to resume after an interruption: \
                     write the data to a file first, and give its name";
        if path.as_os_str() == "-" {
            return Err(Failure::usage(format!("standard input cannot be read twice: {again}")));
        }
        let about = std::fs::metadata(path)
            .map_err(|err| Failure::usage(format!("cannot read {}: {err}", path.display())))?;
        if !about.is_file() {
            return Err(Failure::usage(format!("{} is not a regular file: {again}", path.display())));
        }
        let mut start = Vec::new();
        File::open(path)
            .and_then(|file| file.take(2).read_to_end(&mut start))
            .map_err(|err| Failure::usage(format!("cannot read {}: {err}", path.display())))?;
        check_encoding(&start).map_err(|problem| Failure::usage(format!("{} {problem}", path.display())))?;
        Ok(Self { text: Text::File(path.to_owned()), size: about.len() })
    }

    /// The SHA-256 of its content, in hexadecimal digits.
    pub(super) async fn fingerprint(&self) -> Result<String, Failure> {
        let text = self.text.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut hash = Sha256::new();
            each_chunk(&text, |chunk| {
                hash.update(chunk);
                true
            })?;
            io::Result::Ok(format!("{:x}", hash.finalize()))
        });
        let hashed = work.await.map_err(|err| Failure::failed(err.to_string()))?;
        let name = match &self.text {
            Text::File(path) => path.display().to_string(),
            Text::Spool(_) => "what was read of the archives".to_owned(),
        };
        hashed.map_err(|err| Failure::failed(format!("cannot read {name}: {err}")))
    }

    /// Reads its elements from the start. With a `fingerprint`, checks at the end that the file still has it.
    pub(super) fn elements(&self, fingerprint: Option<String>) -> mpsc::Receiver<Step> {
        let (steps, read) = mpsc::channel(AHEAD);
        let text = self.text.clone();
        tokio::task::spawn_blocking(move || {
            let end = read_elements(&text, fingerprint.as_deref(), &steps);
            // The session has ended where nothing receives it any more.
            let _ = steps.blocking_send(Step::End(end));
        });
        read
    }
}

/// Tells in which lines elements begin that were refused in an earlier run, by reading the file beside.
#[derive(Debug)]
pub(super) struct Lines {
    source: Source,
    steps: Option<mpsc::Receiver<Step>>,
    chunk: std::vec::IntoIter<Element>,
    last: Option<(i64, u64)>,
}

impl Lines {
    pub(super) fn new(source: Source) -> Self {
        Self { source, steps: None, chunk: Vec::new().into_iter(), last: None }
    }

    /// The line in which the element at `offset` begins. Asked in rising order, it reads the file once.
    pub(super) async fn of(&mut self, offset: i64) -> Option<u64> {
        if self.last.is_some_and(|(passed, _)| passed > offset) {
            (self.steps, self.chunk) = (None, Vec::new().into_iter());
        }
        let steps = self.steps.get_or_insert_with(|| self.source.elements(None));
        loop {
            if let Some((_, line)) = self.last.filter(|(passed, _)| *passed == offset) {
                return Some(line);
            }
            if let Some(element) = self.chunk.next() {
                self.last = Some((element.offset, element.line));
                continue;
            }
            match steps.recv().await {
                Some(Step::Elements(found)) => self.chunk = found.into_iter(),
                Some(Step::End(_)) | None => return None,
            }
        }
    }
}

fn read_elements(text: &Text, fingerprint: Option<&str>, steps: &mpsc::Sender<Step>) -> Result<(), String> {
    let mut splitter = Splitter::default();
    let mut hash = Sha256::new();
    let mut fault = None;
    let read = each_chunk(text, |chunk| {
        if fingerprint.is_some() {
            hash.update(chunk);
        }
        let mut found = Vec::new();
        fault = splitter.feed(chunk, &mut found).err();
        let heard = found.is_empty() || steps.blocking_send(Step::Elements(found)).is_ok();
        heard && fault.is_none()
    });
    read.map_err(|err| format!("cannot read it: {err}"))?;
    if fault.is_none() {
        let mut found = Vec::new();
        fault = splitter.finish(&mut found).err();
        let _ = steps.blocking_send(Step::Elements(found));
    }
    if let Some(fault) = fault {
        return Err(fault.to_string());
    }
    match fingerprint {
        Some(expected) if format!("{:x}", hash.finalize()) != expected => {
            Err("it was changed while it was being imported".to_owned())
        }
        _ => Ok(()),
    }
}

/// Hands over the text chunk by chunk, until `take` has enough.
fn each_chunk(text: &Text, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut file = text.open()?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) if take(buffer.get(..read).unwrap_or_default()) => {}
            Ok(_) => return Ok(()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content: &str, fingerprint: Option<String>) -> (usize, Result<(), String>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut steps = Source::open(file.path()).unwrap().elements(fingerprint);
        let mut elements = 0;
        loop {
            match steps.recv().await.unwrap() {
                Step::Elements(found) => elements += found.len(),
                Step::End(end) => return (elements, end),
            }
        }
    }

    #[tokio::test]
    async fn a_file_is_read_to_its_end_or_to_its_fault() {
        let lines = "{\"a\":1}\n".repeat(50_000);
        assert_eq!(read(&lines, None).await, (50_000, Ok(())));
        let (elements, end) = read("[1,2,", None).await;
        assert_eq!((elements, end), (2, Err("line 1, column 6: the file ends within the array".to_owned())));
    }

    #[tokio::test]
    async fn a_file_that_changes_between_two_readings_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[1]").unwrap();
        let fingerprint = Source::open(file.path()).unwrap().fingerprint().await.unwrap();
        assert_eq!(fingerprint.len(), 64);
        assert_eq!(read("[1]", Some(fingerprint.clone())).await.1, Ok(()));
        assert!(read("[2]", Some(fingerprint)).await.1.is_err());
    }

    #[tokio::test]
    async fn lines_are_found_in_any_order_and_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1\n\n2\n".repeat(20_000)).unwrap();
        let mut lines = Lines::new(Source::open(file.path()).unwrap());
        for (offset, line) in [(0, 1), (1, 3), (1, 3), (39_999, 60_000), (2, 4), (40_000, 0), (3, 6)] {
            assert_eq!(lines.of(offset).await, Some(line).filter(|line| *line > 0), "{offset}");
        }
    }

    #[test]
    fn utf16_is_refused_before_anything_is_sent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in [&b"\xff\xfe[\0]\0"[..], b"\xfe\xff\0[\0]", b"{\0\"\0", b"\0{\0\""] {
            std::fs::write(file.path(), content).unwrap();
            let refused = Source::open(file.path()).unwrap_err().to_string();
            assert!(refused.contains("is UTF-16, not UTF-8"), "{content:?}: {refused}");
        }
        for content in ["", "1", "\u{feff}[]"] {
            std::fs::write(file.path(), content).unwrap();
            assert!(Source::open(file.path()).is_ok(), "{content:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_twice_is_refused() {
        for path in ["-", "/", "/dev/null", "/nowhere"] {
            assert!(Source::open(Path::new(path)).is_err(), "{path}");
        }
    }
}
