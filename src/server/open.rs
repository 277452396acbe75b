//! Opening the database and the master key that belongs to it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, ConfigError, Pooler, Secret, read_secret};
use super::database_url::{DatabaseAt, database};
use super::open_sqlite;
use crate::domain::content::distinct;
use crate::domain::vault::{MasterKey, Vault, stored};
use crate::model::clock::{Clock, SystemClock};
use crate::storage::backend::Backend;
use crate::storage::backend::postgres::{self, Postgres};
use crate::storage::backend::sqlite::{self, Sharing};
use crate::storage::{Store, StoreError};

/// Why usher could not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file.
    #[error("cannot {0} {1}: {2}")]
    File(&'static str, PathBuf, std::io::Error),
    /// The embedded database.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// The database.
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The operations listener's address.
    #[error("cannot listen on {0} for operations: {1}; `--ops-listen` takes another address")]
    Operations(std::net::SocketAddr, std::io::Error),
    /// An address.
    #[error("cannot listen on {0}: {1}; `--listen` takes another address")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StartError {
    /// Whether a setting is wrong, and not the world.
    pub const fn is_setting(&self) -> bool {
        use postgres::OpenError::{NoWayPastPooler, Url};
        matches!(self, Self::Config(_) | Self::Postgres(Url(_) | NoWayPastPooler))
    }
}

/// An open database, up to date, and the vault over its secrets.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) vault: Arc<Vault>,
}

/// Opens what `config` names and brings it up to date.
pub(super) async fn open(config: &Config, sharing: Sharing) -> Result<Opened, StartError> {
    match database(config)? {
        DatabaseAt::Sqlite(file) => {
            let opened = open_sqlite::open(config, file, sharing).await?;
            let (store, master) = (opened.store.clone(), opened.master.clone());
            store.backend().migrate().await.map_err(|err| opened.unusable(err))?;
            opened.refuse_other(config).await?;
            let with_vault = open_vault(store, master).await?;
            opened.settle()?;
            Ok(with_vault)
        }
        DatabaseAt::Postgres(url) => {
            let master = master_key(config)?;
            let settings = postgres::Settings {
                url: &url,
                listen_url: config.database_listen_url.as_ref().map(Secret::expose),
                pooled: config.database_pooler == Pooler::Transaction,
                connections: config.database_connections,
                timeout: config.request_timeout,
            };
            let postgres: Arc<dyn Backend> = Postgres::open(&settings).await?;
            let store = Store::new(postgres);
            store.backend().migrate().await?;
            open_vault(store, master).await
        }
    }
}

async fn open_vault(store: Store, master: MasterKey) -> Result<Opened, StartError> {
    let vault = stored::open_vault(&store, master, SystemClock.now()).await;
    let vault = vault.map_err(|err| StartError::Other(err.to_string()))?.ok_or_else(|| {
        let text = "the master key does not fit this database, which was set up under another one: give that \
                    one, or the one it was last rotated to";
        ConfigError(text.to_owned())
    })?;
    let vault = Arc::new(vault);
    let ended = distinct::end_forsaken(&store, &vault).await;
    ended.map_err(|err| StartError::Other(err.to_string()))?;
    Ok(Opened { store, vault })
}

pub(super) fn make_data_dir(dir: &Path) -> Result<(), StartError> {
    // Users' data lies here: nobody else on the machine is to look in.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|err| StartError::File("make", dir.to_owned(), err))
}

/// The master key that is configured for PostgreSQL.
fn master_key(config: &Config) -> Result<MasterKey, StartError> {
    let in_data_dir = config.data_dir.join("master.key");
    let text = match (&config.master_key, &config.master_key_file) {
        (Some(key), _) => key.expose().to_owned(),
        (None, Some(file)) => read_secret(file)?,
        (None, None) if in_data_dir.exists() => read_secret(&in_data_dir)?,
        (None, None) => {
            let text = "PostgreSQL needs a master key: set USHER_MASTER_KEY, the same for all \
                        replicas; make one with `openssl rand -hex 32`";
            return Err(ConfigError(text.to_owned()).into());
        }
    };
    MasterKey::parse(&text).map_err(|text| ConfigError(text.to_owned()).into())
}

/// Writes a file that only its owner can read, and is there after a power cut.
pub(super) fn write_secret(file: &Path, text: &str) -> Result<(), StartError> {
    let write = || -> std::io::Result<()> {
        let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    write().map_err(|err| StartError::File("write", file.to_owned(), err))
}

/// Writes a secret that is not there yet, whole or not at all; of several who try, one succeeds.
pub(super) fn make_secret(file: &Path, text: &str) -> Result<(), StartError> {
    let draft = file.with_extension(format!("key.{}", std::process::id()));
    write_secret(&draft, text)?;
    // A link, unlike a rename, never replaces what another one made.
    let linked = match fs::hard_link(&draft, file) {
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&draft).ok();
    linked.map_err(|err| StartError::File("make", file.to_owned(), err))?;
    sync_dir(file)
}

/// Writes a secret in the place of another one: whoever reads finds the one or the other, whole.
pub(super) fn replace_secret(file: &Path, text: &str) -> Result<(), StartError> {
    let draft = file.with_extension(format!("draft.{}", std::process::id()));
    write_secret(&draft, text)?;
    fs::rename(&draft, file).map_err(|err| StartError::File("replace", file.to_owned(), err))?;
    sync_dir(file)
}

/// Makes sure that the name of `file` is there after a power cut.
pub(super) fn sync_dir(file: &Path) -> Result<(), StartError> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|err| StartError::File("write", dir.to_owned(), err))
}
