//! The app `default`, made at the first start, so that a new user has something to call with.
//!
//! `default.secret` is complete before the app is committed and gets its name afterwards: a crash in
//! between loses nothing, and of replicas that start together one makes the app.

use std::fs;
use std::path::{Path, PathBuf};

use super::config::{Config, read_secret};
use super::open::{Opened, StartError, make_data_dir, sync_dir, write_secret};
use super::own_key::own_key;
use crate::domain::apps::create::{Made, create_app};
use crate::domain::apps::keys::NewKey;
use crate::domain::vault::stored;
use crate::model::clock::{Clock, SystemClock};
use crate::model::id::AppId;
use crate::storage::apps;

/// The name of the first app.
pub(super) const DEFAULT: &str = "default";
/// A secret before its app is committed; the name goes on with the kid.
const PENDING: &str = "default.secret.";

/// The key of the app `default`.
#[derive(Debug, Clone)]
pub(super) struct DefaultKey {
    pub(super) kid: String,
    /// Where its secret lies, if it lies here.
    pub(super) secret_file: Option<PathBuf>,
    /// The app was made just now.
    pub(super) is_new: bool,
}

/// The key that the app `default` gets if it is to be made, as far as it is configured.
///
/// Checked at every start, so that a mistake is seen before anything is stored.
pub(super) fn first_key(config: &Config) -> Result<NewKey, StartError> {
    Ok(own_key(config.default_kid.as_deref(), config.default_secret_file.as_deref())?)
}

/// Finds the app `default`, or makes it with the key `first` where there is no app at all. `None` where it was
/// never made.
pub(super) async fn default_key(
    opened: &Opened,
    config: &Config,
    first: &NewKey,
) -> Result<Option<DefaultKey>, StartError> {
    let data_dir = config.data_dir.as_path();
    let secret_file = data_dir.join("default.secret");
    let db = opened.store.read(None).await?;
    let mut is_new = false;
    if apps::list_apps(&db).await?.is_empty() {
        let pending = data_dir.join(format!("{PENDING}{}", first.kid));
        make_data_dir(data_dir)?;
        write_secret(&pending, &first.secret)?;
        let now = SystemClock.now();
        let made = create_app(&opened.store, &opened.vault, DEFAULT, first, now).await;
        // Otherwise another replica has made it just now.
        is_new = made.map_err(|err| StartError::Other(err.to_string()))? == Made::Done;
        if is_new {
            rename(&pending, &secret_file)?;
        } else {
            fs::remove_file(&pending).ok();
        }
    }

    let db = opened.store.read(None).await?;
    let Some(app) = apps::find_app(&db, DEFAULT).await? else { return Ok(None) };
    let keys = apps::list_verifying_keys(&db, AppId(app.id)).await?;
    let Some(signing) = keys.first() else { return Ok(None) };
    recover(data_dir, &secret_file, &signing.kid)?;
    let of_secret = |secret: &str| {
        let opens =
            |key: &&_| stored::open_secret(&opened.vault, key).is_some_and(|of| of == secret.as_bytes());
        keys.iter().find(opens)
    };
    // Keys may have been rotated: `default.key` names the key that the secret belongs to.
    let here = read_secret(&secret_file).ok().and_then(|secret| of_secret(&secret));
    if config.default_secret_file.is_some() && of_secret(&first.secret).is_none() {
        tracing::warn!(
            "the app `default` was made before: USHER_DEFAULT_SECRET_FILE is no secret of it, and is not used"
        );
    }
    if let Some(here) = here {
        write_secret(&data_dir.join("default.key"), &here.kid)?;
    }
    let kid = here.unwrap_or(signing).kid.clone();
    Ok(Some(DefaultKey { kid, secret_file: here.map(|_| secret_file), is_new }))
}

/// Gives its name to a secret that a crash kept from getting it, and removes those of apps that never came
/// to be.
fn recover(data_dir: &Path, secret_file: &Path, kid: &str) -> Result<(), StartError> {
    let Ok(entries) = fs::read_dir(data_dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        let of = path.file_name().and_then(|name| name.to_str()?.strip_prefix(PENDING));
        match of {
            Some(of) if of == kid && !secret_file.exists() => rename(&path, secret_file)?,
            Some(_) => fs::remove_file(&path).unwrap_or(()),
            None => {}
        }
    }
    Ok(())
}

/// Another process over the same directory may have done it already.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StartError> {
    match fs::rename(from, to) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound && to.exists() => Ok(()),
        Err(err) => Err(StartError::File("rename", from.to_owned(), err)),
        Ok(()) => sync_dir(to),
    }
}
