//! Opening SQLite with the master key that belongs to it. Nothing is made, and nothing is written, before it
//! is known that file and key fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, ConfigError, Secret, read_secret};
use super::first_start::rename;
use super::open::{StartError, make_data_dir, make_secret};
use crate::domain::vault::{MasterKey, stored};
use crate::storage::backend::Backend;
use crate::storage::backend::sqlite::{Claim, OpenError, Sharing, Sqlite};
use crate::storage::{Store, StoreError};

/// A master key that no database is known to need yet. It gets its name once the database has been set up
/// with it, so that a start that is cut off in between can be repeated.
const DRAFT: &str = "draft";

/// Files that a start with another database has left.
const LEFT: [&str; 3] = ["master.key", "default.key", "default.secret"];

/// The database file, with the key that should open it.
pub(super) struct OpenedFile {
    pub(super) store: Store,
    pub(super) master: MasterKey,
    file: PathBuf,
    key: KeySource,
}

/// Where the master key comes from.
enum KeySource {
    /// It is given, or in its file already.
    Settled,
    /// In a draft of this file.
    Draft(PathBuf),
}

/// Opens `file`, made where this is the first start.
pub(super) async fn open(config: &Config, file: PathBuf, sharing: Sharing) -> Result<OpenedFile, StartError> {
    refuse_misfit(config, &file)?;
    make_data_dir(&config.data_dir)?;
    let claim = Claim::take(&file, sharing).await?;
    // Again under the lock: another start may have come further meanwhile.
    let claimed = refuse_misfit(config, &file).and_then(|()| master_key(config, claim.is_empty()));
    let (master, key) = claimed.inspect_err(|_| claim.undo())?;
    let readers = (config.database_connections / 4).max(2);
    let sqlite: Arc<dyn Backend> = Sqlite::open(claim, readers).await?;
    Ok(OpenedFile { store: Store::new(sqlite), master, file, key })
}

impl OpenedFile {
    /// Refuses a database that was never set up where an earlier one has left its files.
    pub(super) async fn refuse_other(&self, config: &Config) -> Result<(), StartError> {
        match left_of_earlier_start(config) {
            Some(left) if !stored::is_set_up(&self.store).await? => {
                Err(misfit(&self.file, "is another one", &left))
            }
            _ => Ok(()),
        }
    }

    /// Gives the key its name, now that it is known to open the database.
    pub(super) fn settle(self) -> Result<(), StartError> {
        match self.key {
            KeySource::Draft(key_file) => rename(&draft_of(&key_file), &key_file),
            KeySource::Settled => Ok(()),
        }
    }

    /// The same error with the name of the file.
    pub(super) fn unusable(&self, err: StoreError) -> StartError {
        OpenError::of(&self.file, err).into()
    }
}

fn key_file(config: &Config) -> PathBuf {
    config.master_key_file.clone().unwrap_or_else(|| config.data_dir.join("master.key"))
}

fn draft_of(key_file: &Path) -> PathBuf {
    let mut name = key_file.as_os_str().to_owned();
    name.push(".");
    name.push(DRAFT);
    PathBuf::from(name)
}

/// Refuses a database without its key, and a key without its database.
fn refuse_misfit(config: &Config, file: &Path) -> Result<(), StartError> {
    let is_new = fs::metadata(file).map_or(true, |found| found.len() == 0);
    if is_new {
        let left = left_of_earlier_start(config);
        return left.map_or(Ok(()), |left| Err(misfit(file, "is missing or empty", &left)));
    }
    let key_file = key_file(config);
    if config.master_key.is_some() || key_file.exists() || draft_of(&key_file).exists() {
        return Ok(());
    }
    let text = format!(
        "{} needs its master key, but {} is missing: put it back, or name it with --master-key-file",
        file.display(),
        key_file.display()
    );
    Err(ConfigError(text).into())
}

fn left_of_earlier_start(config: &Config) -> Option<PathBuf> {
    LEFT.iter().map(|left| config.data_dir.join(left)).find(|left| left.exists())
}

fn misfit(file: &Path, state: &str, left: &Path) -> StartError {
    let text = format!(
        "{} {state}, but {} of an earlier start is there: restore the database from a backup, or give a new \
         --data-dir to start with nothing",
        file.display(),
        left.display()
    );
    ConfigError(text).into()
}

/// The master key, made as a draft for a database that is new.
fn master_key(config: &Config, is_new: bool) -> Result<(MasterKey, KeySource), StartError> {
    let parse = |text: &str| MasterKey::parse(text).map_err(|text| ConfigError(text.to_owned()));
    if let Some(key) = config.master_key.as_ref().map(Secret::expose) {
        return Ok((parse(key)?, KeySource::Settled));
    }
    let key_file = key_file(config);
    if key_file.exists() {
        return Ok((parse(&read_secret(&key_file)?)?, KeySource::Settled));
    }
    let draft = draft_of(&key_file);
    if is_new && !draft.exists() {
        make_secret(&draft, &MasterKey::generate())?;
    }
    Ok((parse(&read_secret(&draft)?)?, KeySource::Draft(key_file)))
}
