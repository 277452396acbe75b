//! The files of one database: who may serve them, and whether they are still the ones that were opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{OpenError, Sharing};
use crate::model::clock::Deadline;
use crate::storage::Outage;

/// How long a start waits for the server before it to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that must fit before a disk that was full counts as usable.
const ROOM: usize = 256 * 1024;

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

    /// The database proper.
    pub(super) fn database(&self) -> &Path {
        let [database, ..] = &self.paths;
        database
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

/// Writes and removes a file next to the database: where a disk was full, a page would fit before a write does.
pub(super) fn try_room(file: &Path) -> Result<(), Outage> {
    let mut name = file.as_os_str().to_owned();
    name.push("-probe");
    let probe = Path::new(&name);
    let written = File::create(probe).and_then(|mut opened| {
        opened.write_all(&vec![0; ROOM])?;
        opened.sync_all()
    });
    std::fs::remove_file(probe).ok();
    written.map_err(|err| match err.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Outage::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Outage::ReadOnly,
        _ => Outage::DiskError,
    })
}

/// The database file, held for one server by whatever name it is opened.
///
/// The lock is one of `flock`, which SQLite's own locks do not see. The handle must outlive SQLite's: closing
/// any handle of a file ends the process's POSIX locks on it.
pub struct Claim {
    pub(super) file: PathBuf,
    pub(super) handle: File,
    pub(super) sharing: Sharing,
    is_made: bool,
}

impl Claim {
    /// Opens the file, made where there is none, and locks it for a server. A server that was killed just now
    /// may still be letting go of it.
    pub async fn take(file: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        let is_made = !file.exists();
        // SQLite would leave a new file to everybody to read, and gives those that it adds the same mode.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let handle = options.open(file).map_err(|err| OpenError::Io(file.to_owned(), err))?;
        if sharing == Sharing::Exclusive {
            lock(file, &handle).await?;
        }
        Ok(Self { file: file.to_owned(), handle, sharing, is_made })
    }

    /// Whether there is no database in it yet.
    pub fn is_empty(&self) -> bool {
        self.handle.metadata().is_ok_and(|found| found.len() == 0)
    }

    /// Leaves no empty file where there was none.
    pub fn undo(&self) {
        if self.is_made && self.is_empty() {
            std::fs::remove_file(&self.file).ok();
        }
    }
}

async fn lock(file: &Path, handle: &File) -> Result<(), OpenError> {
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
