//! What has to reach the database before anybody can call: used by the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{Config, ConfigError, read_secret};
use super::database_url::{DatabaseAt, database};
use super::first_start::DEFAULT;
use super::open::{Opened, StartError, make_secret, open, replace_secret};
use super::own_key::own_key;
use crate::domain::apps::create::{self, Made};
use crate::domain::vault::MasterKey;
use crate::domain::vault::stored::{self, Rotation};
use crate::model::clock::{Clock, SystemClock, Timestamp};
use crate::model::id::AppId;
use crate::storage::apps;
use crate::storage::backend::maintenance::Maintained;
use crate::storage::backend::sqlite::Sharing;

/// A key as it is made; its secret is shown once.
pub struct ShownKey {
    /// Public name.
    pub kid: String,
    /// The secret's characters.
    pub secret: String,
}

/// An app in a list.
#[expect(missing_docs, reason = "the names say it")]
pub struct AppLine {
    pub name: String,
    pub keys: Vec<String>,
    pub created_at: String,
}

/// Makes an app with its first key. Without a name or a secret for the key, they are random.
pub async fn create_app(
    config: &Config,
    name: &str,
    kid: Option<&str>,
    secret_file: Option<&Path>,
) -> Result<ShownKey, StartError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(StartError::Other(
            "an app's name must be 1 to 64 characters of A-Z a-z 0-9 _ - .".into(),
        ));
    }
    let key = own_key(kid, secret_file)?;
    let Opened { store, vault } = open(config, Sharing::Shared).await?;
    let made = create::create_app(&store, &vault, name, &key, SystemClock.now()).await;
    store.close().await;
    check_made(made, name, &key.kid)?;
    Ok(ShownKey { kid: key.kid, secret: key.secret })
}

/// Makes a new signing key for an app whose secrets are lost. That of the app `default` is kept in the data
/// directory too, where there is one.
pub async fn new_key(
    config: &Config,
    name: &str,
    kid: Option<&str>,
    secret_file: Option<&Path>,
) -> Result<ShownKey, StartError> {
    let key = own_key(kid, secret_file)?;
    let Opened { store, vault } = open(config, Sharing::Shared).await?;
    let made = create::add_key(&store, &vault, name, &key, SystemClock.now()).await;
    store.close().await;
    check_made(made, name, &key.kid)?;
    if name == DEFAULT && config.data_dir.is_dir() {
        keep_default_key(&config.data_dir, &key.kid, &key.secret)?;
    }
    Ok(ShownKey { kid: key.kid, secret: key.secret })
}

fn check_made(made: Result<Made, crate::domain::Error>, name: &str, kid: &str) -> Result<(), StartError> {
    let text = match made.map_err(|err| StartError::Other(err.to_string()))? {
        Made::Done => return Ok(()),
        Made::NameTaken => format!("there is an app called {name} already"),
        Made::AppUnknown => {
            format!("there is no app called {name}; `usher app list` shows the apps there are")
        }
        Made::KidTaken => {
            format!("a key called {kid} exists already, in this or another app; choose another name")
        }
    };
    Err(StartError::Other(text))
}

/// All apps and the names of their keys.
pub async fn list_apps(config: &Config) -> Result<Vec<AppLine>, StartError> {
    let Opened { store, .. } = open(config, Sharing::Shared).await?;
    let db = store.read(None).await?;
    let mut lines = Vec::new();
    for app in apps::list_apps(&db).await? {
        let keys = apps::list_verifying_keys(&db, AppId(app.id)).await?;
        lines.push(AppLine {
            name: app.name,
            keys: keys.into_iter().map(|key| key.kid).collect(),
            created_at: Timestamp::from_micros(app.created_at).to_string(),
        });
    }
    drop(db);
    store.close().await;
    Ok(lines)
}

/// Brings the database up to date.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let Opened { store, .. } = open(config, Sharing::Shared).await?;
    store.close().await;
    Ok(())
}

/// Puts a rotated key of the app `default` where the one before it lies.
pub fn keep_default_key(data_dir: &Path, kid: &str, secret: &str) -> Result<(), StartError> {
    // A start in between finds out by itself which key the secret belongs to.
    replace_secret(&data_dir.join("default.secret"), secret)?;
    replace_secret(&data_dir.join("default.key"), kid)
}

/// What a rotation of the master key leaves to do.
pub enum MasterKeyRotation {
    /// Nothing: the new one lies in this file. The old one opens the database until the server starts again.
    Done(PathBuf),
    /// Both open the database, until every replica has the new one and the old one is retired.
    Both,
}

/// Makes the master key in the file `new` open the database too. Without one, and where the master key lies in
/// the data directory of SQLite, makes a new one and puts it there; done again after a crash, it goes on.
pub async fn rotate_master_key(config: &Config, new: Option<&Path>) -> Result<MasterKeyRotation, StartError> {
    let own_file = config.data_dir.join("master.key");
    let draft = config.data_dir.join("master.key.new");
    let Opened { store, vault } = open(config, Sharing::Shared).await?;
    let file = if let Some(file) = new {
        file
    } else {
        let elsewhere = config.master_key.is_some() || config.master_key_file.is_some();
        if elsewhere || matches!(database(config)?, DatabaseAt::Postgres(_)) {
            let text =
                "give the new master key with --new-master-key-file; make one with `openssl rand -hex 32`";
            return Err(ConfigError(text.to_owned()).into());
        }
        if !draft.exists() {
            make_secret(&draft, &MasterKey::generate())?;
        }
        &draft
    };
    let parsed = MasterKey::parse(&read_secret(file)?).map_err(|text| ConfigError(text.to_owned()))?;
    let done = stored::rotate(&store, &vault, parsed, SystemClock.now()).await;
    match done.map_err(|err| StartError::Other(err.to_string()))? {
        Rotation::Done => {}
        Rotation::Same => return Err(StartError::Other("this master key is the one in use".to_owned())),
        Rotation::Unfinished => {
            let text = "two master keys are in use already: give every replica the newer one, then run \
                        `usher master-key retire` with it";
            return Err(StartError::Other(text.to_owned()));
        }
    }
    let rotated = if new.is_some() {
        MasterKeyRotation::Both
    } else {
        replace_secret(&own_file, &read_secret(&draft)?)?;
        std::fs::remove_file(&draft).ok();
        MasterKeyRotation::Done(own_file)
    };
    store.close().await;
    Ok(rotated)
}

/// Makes the configured master key the only one; tells how many others there were.
pub async fn retire_master_keys(config: &Config) -> Result<u64, StartError> {
    let Opened { store, vault } = open(config, Sharing::Shared).await?;
    let retired = stored::retire_others(&store, &vault).await;
    store.close().await;
    retired.map_err(|err| StartError::Other(err.to_string()))
}

/// Ends what removed rows leave in the database's files; see [`crate::storage::backend::Backend::maintain`]. On SQLite no server may run.
pub async fn maintain(
    config: &Config,
    patience: Duration,
    told: &mut (dyn FnMut(Maintained) + Send),
) -> Result<(), StartError> {
    let Opened { store, .. } = open(config, Sharing::Exclusive).await?;
    let done = store.backend().maintain(patience, told).await;
    store.close().await;
    done.map_err(|err| StartError::Other(err.to_string()))
}
