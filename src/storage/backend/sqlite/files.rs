//! The files of one database: who may serve them, and whether they are still the ones that were opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::OpenError;
use crate::model::clock::Deadline;

/// How long a start waits for the server before it to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What SQLite keeps open in WAL mode: the database, its log, the index of the log.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// A file, whatever its name: device and inode.
type Identity = (u64, u64);

/// The files that are served.
pub(super) struct Files {
    paths: [PathBuf; 3],
    opened: Mutex<[Option<Identity>; 3]>,
}

impl Files {
    pub(super) fn new(file: &Path) -> Self {
        let paths = SUFFIXES.map(|suffix| {
            let mut path = file.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        });
        Self { paths, opened: Mutex::default() }
    }

    /// Whether each name still leads to the file that was found there first. A few system calls.
    pub(super) fn are_in_place(&self) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        self.paths.iter().zip(opened.iter_mut()).all(|(path, opened)| {
            let found = identity(path);
            if opened.is_none() {
                *opened = found;
            }
            found == *opened
        })
    }
}

/// An emptied file is not the one that was opened; only the log may be empty.
fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    let may_be_empty =
        path.extension().is_some_and(|extension| extension.as_encoded_bytes().ends_with(b"-wal"));
    (found.len() > 0 || may_be_empty).then_some((found.dev(), found.ino()))
}

/// Opens the database file, made where there is none, readable by its owner only: SQLite would leave it to
/// everybody to read, and gives the files that it adds the same mode.
pub(super) fn open_private(file: &Path) -> Result<File, OpenError> {
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file);
    opened.map_err(|err| OpenError::Io(file.to_owned(), err))
}

/// Locks the database file for one server, by whatever name it is opened. A server that was killed just now may
/// still be letting go of it.
///
/// The lock is one of `flock`, which SQLite's own locks do not see. It must be released after SQLite has closed
/// the file: closing any handle of it ends the locks of the process.
pub(super) async fn lock(file: &Path, handle: &File) -> Result<(), OpenError> {
    let patience = Deadline::after(LOCK_PATIENCE);
    loop {
        match handle.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if patience.left().is_zero() => {
                return Err(OpenError::InUse(file.to_owned()));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PATIENCE / 40).await,
            // Some file systems have no locks: better one server unguarded than none.
            Err(TryLockError::Error(err)) if err.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(err)) => return Err(OpenError::Io(file.to_owned(), err)),
        }
    }
}
