//! Opening the database and the master key that belongs to it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, ConfigError, Secret, read_secret};
use crate::domain::apps::keys::seal_context;
use crate::domain::vault::{Vault, new_master_key, parse_master_key};
use crate::model::id::AppId;
use crate::storage::backend::Backend;
use crate::storage::backend::postgres::Postgres;
use crate::storage::backend::sqlite::{self, Sharing, Sqlite};
use crate::storage::{Store, StoreError, apps};

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
    /// The database.
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
    /// An address.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// An open database, up to date, and the vault over its secrets.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) vault: Arc<Vault>,
}

/// Opens what `config` names and brings it up to date.
pub(super) async fn open(config: &Config, sharing: Sharing) -> Result<Opened, StartError> {
    let url = config.database_url()?;
    let (store, master) = if let Some(file) = url.strip_prefix("sqlite:") {
        make_data_dir(&config.data_dir)?;
        let file = PathBuf::from(file.trim_start_matches("//"));
        let readers = (config.database_connections / 4).max(2);
        // Locked first: a second server must not get as far as the key.
        let sqlite: Arc<dyn Backend> = Sqlite::open(&file, readers, sharing).await?;
        (Store::new(sqlite), master_key(config, true)?)
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let master = master_key(config, false)?;
        let listen_url = config.database_listen_url.as_ref().map(Secret::expose);
        let timeout = config.request_timeout;
        let postgres: Arc<dyn Backend> =
            Postgres::open(&url, listen_url, config.database_connections, timeout).await?;
        (Store::new(postgres), master)
    } else {
        let text = "the database URL must begin with `sqlite:` or `postgres://`";
        return Err(ConfigError(text.to_owned()).into());
    };
    store.backend().migrate().await?;
    let vault = Arc::new(Vault::new(&master));
    check_master_key(&store, &vault).await?;
    Ok(Opened { store, vault })
}

pub(super) fn make_data_dir(dir: &Path) -> Result<(), StartError> {
    // Users' data lies here: nobody else on the machine is to look in.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|err| StartError::File("make", dir.to_owned(), err))
}

/// The master key that is configured; on SQLite one is made where there is none.
fn master_key(config: &Config, make: bool) -> Result<Vec<u8>, StartError> {
    let parse = |text: &str| parse_master_key(text).map_err(|text| ConfigError(text.to_owned()).into());
    if let Some(key) = &config.master_key {
        return parse(key.expose());
    }
    let in_data_dir = config.data_dir.join("master.key");
    let file = match &config.master_key_file {
        Some(file) => file,
        None if make || in_data_dir.exists() => &in_data_dir,
        None => {
            let text = "PostgreSQL needs a master key: set USHER_MASTER_KEY, the same for all \
                        replicas; make one with `openssl rand -hex 32`";
            return Err(ConfigError(text.to_owned()).into());
        }
    };
    if make && !file.exists() {
        make_secret(file, &new_master_key())?;
    }
    parse(&read_secret(file)?)
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
fn make_secret(file: &Path, text: &str) -> Result<(), StartError> {
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

/// Makes sure that the name of `file` is there after a power cut.
pub(super) fn sync_dir(file: &Path) -> Result<(), StartError> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|err| StartError::File("write", dir.to_owned(), err))
}

/// Refuses to start under a master key that does not open what another one sealed.
async fn check_master_key(store: &Store, vault: &Vault) -> Result<(), StartError> {
    let db = store.read(None).await?;
    for app in apps::list_apps(&db).await?.into_iter().take(1) {
        for key in apps::list_keys(&db, AppId(app.id)).await? {
            if vault.open(&seal_context(AppId(app.id), &key.kid), &key.secret_sealed).is_none() {
                let text = "the master key does not fit this database: it was set up under another one";
                return Err(ConfigError(text.to_owned()).into());
            }
        }
    }
    Ok(())
}
