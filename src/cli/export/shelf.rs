//! Where archives lie: the file of each user, and what was downloaded of it so far.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::archive::{Archives, Line};
use crate::cli::failure::Failure;
use crate::proto::v1::ExportedFile;

/// Bytes of an id in the name of a file. Names of files are shorter than ids can be.
const MAX_NAME: usize = 200;

/// The file of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    user_id: String,
    /// Where the archive will lie.
    pub(super) file: PathBuf,
    part: PathBuf,
}

/// What was downloaded so far. Nobody else writes it as long as it is open.
pub(super) struct Part {
    place: Place,
    file: File,
    pub(super) length: u64,
}

/// What was found of a download that is complete.
pub(super) enum Settled {
    /// The archive lies in its place.
    Here,
    /// The bytes are of another archive.
    Different(Part),
    /// The archive is not whole on the server either.
    Bad(Failure),
}

/// Makes the directory for archives. They are personal data: only their owner gets to them.
pub(in crate::cli) fn make(dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|err| Failure::usage(format!("cannot make the directory {}: {err}", dir.display())))
}

/// Has the disk keep which files are in the directory, and the directory itself.
pub(in crate::cli) fn sync(dir: &Path) -> Result<(), Failure> {
    let above = dir.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    let synced = std::iter::once(dir).chain(above).try_for_each(|dir| File::open(dir)?.sync_all());
    synced.map_err(|err| Failure::failed(format!("cannot write the directory {}: {err}", dir.display())))
}

/// An archive that lies in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Kept {
    /// The name of the file in the directory.
    pub(in crate::cli) file: String,
    pub(in crate::cli) records: i64,
    pub(in crate::cli) bytes: i64,
    pub(in crate::cli) sha256: String,
}

impl Kept {
    pub(super) fn of(place: &Place, made: &ExportedFile) -> Self {
        let name = place.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { file: name, records: made.records, bytes: made.bytes, sha256: made.sha256.clone() }
    }

    /// Reads the archive of a user where it lies: it must be there byte for byte, and whole. Has the disk keep it. Takes
    /// long where it is large.
    pub(in crate::cli) fn verify(&self, dir: &Path, user_id: &str) -> Result<(), String> {
        let path = dir.join(&self.file);
        let open = || File::open(&path).map_err(|err| err.to_string());
        if checksum(open()?).map_err(|err| err.to_string())? != self.sha256 {
            return Err("its SHA-256 is not the one of the archive that was made".to_owned());
        }
        check(&path, user_id, self.records)?;
        open()?.sync_all().map_err(|err| err.to_string())
    }
}

impl Place {
    pub(super) fn new(dir: &Path, user_id: &str) -> Self {
        let name = name_of(user_id);
        let [file, part] = [".jsonl.gz", ".jsonl.gz.part"].map(|end| dir.join(format!("{name}{end}")));
        Self { user_id: user_id.to_owned(), file, part }
    }

    /// Why nothing may be written there, where something is that is not the archive wanted.
    pub(super) fn taken(&self) -> Failure {
        Failure::failed(format!("{} is another archive; --force overwrites it", self.file.display()))
    }

    pub(super) fn is_taken(&self) -> bool {
        fs::symlink_metadata(&self.file).is_ok()
    }

    /// Whether the archive wanted is there.
    pub(super) fn holds(&self, wanted: &ExportedFile) -> Result<bool, Failure> {
        let Ok(about) = fs::metadata(&self.file) else { return Ok(false) };
        Ok(i64::try_from(about.len()) == Ok(wanted.bytes)
            && File::open(&self.file).and_then(checksum).map_err(|err| self.broken(&err))? == wanted.sha256)
    }

    /// Removes what was downloaded of an archive that is gone.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.part) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(self.broken(&err)),
            _ => Ok(()),
        }
    }

    /// Opens what was downloaded so far, if anything.
    pub(super) fn open(&self) -> Result<Part, Failure> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(&self.part).map_err(|err| self.broken(&err))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let part = self.part.display();
                return Err(Failure::failed(format!("another `usher export` is writing {part}")));
            }
            Err(TryLockError::Error(err)) => return Err(self.broken(&err)),
        }
        let length = file.metadata().map_err(|err| self.broken(&err))?.len();
        Ok(Part { place: self.clone(), file, length })
    }

    fn broken(&self, err: &io::Error) -> Failure {
        Failure::failed(format!(
            "cannot keep the archive of {} in {}: {err}",
            self.user_id,
            self.file.display()
        ))
    }
}

impl Part {
    pub(super) fn append(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.file.write_all(data).map_err(|err| self.place.broken(&err))?;
        self.length += data.len() as u64;
        Ok(())
    }

    /// Drops what was downloaded: it is of another archive.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(|err| self.place.broken(&err))?;
        self.length = 0;
        Ok(())
    }

    /// Removes it: the archive is gone.
    pub(super) fn remove(self) -> Result<(), Failure> {
        self.place.forget()
    }

    /// Checks that it is what the server has, byte for byte, and one whole archive of the user, and gives it its
    /// name. Takes long where it is large.
    pub(super) fn settle(self, wanted: &ExportedFile, force: bool) -> Result<Settled, Failure> {
        let read = || {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            checksum(file)
        };
        if read().map_err(|err| self.place.broken(&err))? != wanted.sha256 {
            return Ok(Settled::Different(self));
        }
        if let Err(what) = check(&self.place.part, &self.place.user_id, wanted.records) {
            let said = format!("the server has no whole archive of {}: {what}", self.place.user_id);
            self.remove()?;
            return Ok(Settled::Bad(Failure::failed(said)));
        }
        if !force && self.place.is_taken() {
            return Err(self.place.taken());
        }
        let Place { part, file, .. } = &self.place;
        let named = self.file.sync_all().and_then(|()| fs::rename(part, file));
        named.map(|()| Settled::Here).map_err(|err| self.place.broken(&err))
    }
}

/// Whether a file is one whole archive of the user, with so many records.
fn check(file: &Path, user_id: &str, wanted: i64) -> Result<(), String> {
    let mut ends = Vec::new();
    for line in Archives::open(file).map_err(|err| err.to_string())? {
        if let Line::End(end) = line.map_err(|fault| fault.to_string())? {
            ends.push(end);
        }
    }
    let [end] = ends.as_slice() else { return Err("there are several".to_owned()) };
    if end.header.user_id != user_id {
        return Err(format!("it is of {}", end.header.user_id));
    }
    let records: u64 = end.counts.values().sum();
    if i64::try_from(records) != Ok(wanted) {
        return Err(format!("it has {records} records, not {wanted}"));
    }
    Ok(())
}

/// An id as the name of a file; a hash of it where it is too long or cannot be one.
fn name_of(user_id: &str) -> String {
    let is_name = user_id.len() <= MAX_NAME && !user_id.contains(['/', '\0']);
    if is_name { user_id.to_owned() } else { format!("~{:x}", Sha256::digest(user_id)) }
}

fn checksum(mut file: File) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(format!("{:x}", hash.finalize())),
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_names_of_users() {
        let place = Place::new(Path::new("d"), "ada@example.com");
        assert_eq!(place.file, Path::new("d/ada@example.com.jsonl.gz"));
        assert_eq!(place.part, Path::new("d/ada@example.com.jsonl.gz.part"));
        let long = ["x".repeat(255), "y".repeat(255), "../x".to_owned()].map(|id| name_of(&id));
        assert!(long.iter().all(|name| name.len() == 65 && name.starts_with('~')), "{long:?}");
        assert_ne!(long[0], long[1]);
    }

    #[test]
    fn a_part_is_written_by_one_program() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "ada");
        let mut part = place.open().unwrap();
        part.append(b"abc").unwrap();
        let refused = place.open().err().unwrap().to_string();
        assert!(refused.starts_with("another `usher export` is writing "), "{refused}");
        drop(part);
        let mut part = place.open().unwrap();
        assert_eq!(part.length, 3);
        part.clear().unwrap();
        part.append(b"d").unwrap();
        assert_eq!(fs::read(&place.part).unwrap(), b"d");
        part.remove().unwrap();
        assert!(!place.part.exists());
    }
}
