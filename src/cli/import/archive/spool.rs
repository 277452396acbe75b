//! The items of archives in the order in which they are sent: JSON lines in a file without a name.
//!
//! It is there so that an import can be resumed and a refusal traced without reading the archives again. Nobody
//! else can open it, and it is gone when the program ends, however it does.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

/// A line of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli::import) struct Place {
    /// Which one of the files.
    pub(in crate::cli::import) file: usize,
    pub(in crate::cli::import) line: u64,
}

/// Lines that are being written, and where each comes from.
pub(super) struct Draft {
    file: BufWriter<File>,
    size: u64,
    places: Vec<Place>,
}

impl Draft {
    pub(super) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("usher-import-{}", Uuid::new_v4()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self { file: BufWriter::new(file), size: 0, places: Vec::new() })
    }

    /// Adds an item.
    pub(super) fn put(&mut self, kind: &str, item: &Value, place: Place) -> io::Result<()> {
        let mut line = serde_json::to_vec(&serde_json::json!({"type": kind, "item": item}))?;
        line.push(b'\n');
        self.put_line(&line, place)
    }

    /// Adds a line as it is, with its line break.
    pub(super) fn put_line(&mut self, line: &[u8], place: Place) -> io::Result<()> {
        self.size += line.len() as u64;
        self.places.push(place);
        self.file.write_all(line)
    }

    /// Bytes so far.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn finish(self) -> io::Result<(Spool, Vec<Place>)> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((Spool { file: Arc::new(file), size: self.size }, self.places))
    }
}

/// Lines that are written.
#[derive(Debug, Clone)]
pub(in crate::cli::import) struct Spool {
    file: Arc<File>,
    pub(in crate::cli::import) size: u64,
}

impl Spool {
    /// The bytes from `start` to `end`.
    pub(super) fn between(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Reads it from its start; several can at the same time.
    pub(in crate::cli::import) fn reader(&self) -> impl Read + Send + use<> {
        Reader { file: Arc::clone(&self.file), at: 0 }
    }
}

struct Reader {
    file: Arc<File>,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
