//! The database of one test, and the settings with which servers run over it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::DatabaseConnection;
use tempfile::TempDir;
use usher::storage::Store;
use usher::storage::backend::postgres::{Postgres, Settings};
use usher::storage::backend::sqlite::{Claim, Sharing, Sqlite};

use super::client::Credentials;
use super::postgres::TestDatabase;

/// Encrypts what the PostgreSQL tests store; SQLite makes its own.
pub(crate) const MASTER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// An empty database, and directories for the servers over it.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    kind: Kind,
    /// Of the PostgreSQL database.
    url: Option<String>,
    dir: PathBuf,
    replicas: Arc<AtomicUsize>,
    credentials: Arc<OnceLock<Credentials>>,
}

/// Removes what a test leaves behind.
pub(crate) struct Cleaner(
    Option<TestDatabase>,
    #[expect(dead_code, reason = "removed when dropped")] TempDir,
);

/// Where one server keeps its files. On PostgreSQL each has its own place; on SQLite the place is the
/// database.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) data_dir: PathBuf,
    pub(crate) master_key_file: Option<PathBuf>,
    pub(crate) url: Option<String>,
}

impl Backend {
    /// Makes the database; `None` where there is none of this kind.
    pub(crate) fn prepare(kind: Kind) -> Option<(Self, Cleaner)> {
        let database = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(TestDatabase::create()?),
        };
        let dir = tempfile::Builder::new().prefix("usher-it-").tempdir().unwrap();
        let backend = Self {
            kind,
            url: database.as_ref().map(|database| database.url.clone()),
            dir: dir.path().to_owned(),
            replicas: Arc::default(),
            credentials: Arc::default(),
        };
        Some((backend, Cleaner(database, dir)))
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// A directory of the test, for whatever it wants to keep.
    pub(crate) const fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// The place of one more server.
    pub(crate) fn place(&self) -> Place {
        let number = self.replicas.fetch_add(1, Ordering::Relaxed);
        match self.kind {
            Kind::Sqlite => Place { data_dir: self.dir.join("data"), master_key_file: None, url: None },
            Kind::Postgres => {
                let file = self.dir.join("master.key");
                std::fs::write(&file, MASTER_KEY).unwrap();
                let data_dir = self.dir.join(format!("replica-{number}"));
                Place { data_dir, master_key_file: Some(file), url: self.url.clone() }
            }
        }
    }

    /// Takes PostgreSQL away from the servers of this test, or gives it back.
    pub(crate) async fn cut_off(&self, off: bool) {
        super::postgres::cut_off(self.url.as_deref().expect("a PostgreSQL database"), off).await;
    }

    /// Changes the database behind the server's back, which on SQLite must have stopped.
    pub(crate) async fn meddle(&self, place: &Place, statement: &str) {
        let file = place.data_dir.join("usher.db");
        let url = place.url.clone().unwrap_or_else(|| format!("sqlite:{}", file.display()));
        super::postgres::run_at(&url, statement).await.expect("the statement is sound");
    }

    /// Whether `text` stands anywhere in the database; on SQLite the server must have stopped.
    pub(crate) async fn holds(&self, place: &Place, text: &str) -> bool {
        if let Some(url) = &self.url {
            return super::postgres::holds(url, text).await;
        }
        let files = ["usher.db", "usher.db-wal"].map(|file| std::fs::read(place.data_dir.join(file)));
        let found = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        files.iter().flatten().any(|bytes| found(bytes))
    }

    /// Whether `text` stands in the files of the database, in rows that are there or were.
    pub(crate) async fn files_hold(&self, place: &Place, text: &str) -> bool {
        match &self.url {
            Some(url) => super::postgres::files_hold(url, text).await,
            None => self.holds(place, text).await,
        }
    }

    /// The database at `place`, as usher itself sees it.
    pub(crate) async fn store(&self, place: &Place) -> Store {
        let backend: Arc<dyn usher::storage::backend::Backend> = match &place.url {
            None => {
                let claim = Claim::take(&place.data_dir.join("usher.db"), Sharing::Shared).await.unwrap();
                Sqlite::open(claim, 2).await.unwrap()
            }
            Some(url) => {
                let timeout = Duration::from_mins(1);
                let settings = Settings { url, listen_url: None, pooled: false, connections: 2, timeout };
                Postgres::open(&settings).await.unwrap()
            }
        };
        Store::new(backend)
    }

    /// Reads the database behind the server's back: each row as text, in no order.
    pub(crate) async fn select(&self, place: &Place, query: &str) -> Vec<String> {
        self.select_each(place, &[query.to_owned()]).await.remove(0)
    }

    /// The same with several queries, on one connection: to make one takes longer than most queries.
    pub(crate) async fn select_each(&self, place: &Place, queries: &[String]) -> Vec<Vec<String>> {
        let file = place.data_dir.join("usher.db");
        let url = place.url.clone().unwrap_or_else(|| format!("sqlite:{}?mode=ro", file.display()));
        super::postgres::select_each_at(&url, queries).await
    }

    /// Goes on seeing the database at `place` as it is now, until it is closed; it never writes.
    pub(crate) async fn reader(&self, place: &Place) -> DatabaseConnection {
        let file = place.data_dir.join("usher.db");
        let url = place.url.clone().unwrap_or_else(|| format!("sqlite:{}?mode=ro", file.display()));
        super::postgres::reader_at(&url).await
    }

    /// Where PostgreSQL is, if it is that.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Makes the servers of this test meet a PostgreSQL that only reads, or one that writes again.
    pub(crate) async fn only_reads(&self, on: bool) {
        super::postgres::only_reads(self.url().expect("a PostgreSQL database"), on).await;
    }

    /// A session beside the server's, in which `statements` have been run; until it is closed, it keeps what
    /// they lock.
    pub(crate) async fn session(&self, statements: &[&str]) -> DatabaseConnection {
        let url = self.url.as_deref().expect("a PostgreSQL database");
        super::postgres::session_at(url, statements).await
    }

    /// How often a task has been claimed.
    pub(crate) async fn claims_of(&self, task_id: &str) -> i64 {
        let url = self.url.as_deref().expect("a PostgreSQL database");
        super::postgres::claims_of(url, task_id).await
    }

    /// The key and the secret of the app `default`, which the first server to start has left in its directory.
    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials.get_or_init(|| self.find_credentials()).clone()
    }

    /// Directories of servers that hold the secret of the app `default`.
    pub(crate) fn secret_holders(&self) -> Vec<PathBuf> {
        let places = std::fs::read_dir(&self.dir).unwrap().flatten().map(|place| place.path());
        places.filter(|place| place.join("default.secret").is_file()).collect()
    }

    fn find_credentials(&self) -> Credentials {
        let place = self.secret_holders().pop().expect("the first server leaves `default.secret`");
        let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
        Credentials { kid: read("default.key").trim().to_owned(), secret: read("default.secret") }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
