//! Everything that can be set, in one place: flags over environment over file over defaults.
//!
//! A file (TOML) holds the flags by name without the dashes, such as `data-dir = "/var/lib/usher"`.
//! Secrets are taken from the environment or from files only: other processes can read a command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};

use super::text_file::{Source, read_text};

/// Where usher keeps its files unless it is set.
pub(super) const DEFAULT_DATA_DIR: &str = "./usher-data";

/// Settings of `usher serve`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Settings file, TOML.
    #[arg(long, env = "USHER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where usher keeps its files: the embedded database, the master key made at the first start, secrets.
    #[arg(long, env = "USHER_DATA_DIR", value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,

    /// Address and port of the gRPC API; port 0 takes a free one.
    #[arg(long, env = "USHER_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// Address and port of the operations listener: /livez, /readyz and /metrics over HTTP. Not set: none.
    #[arg(long, env = "USHER_OPS_LISTEN", value_name = "ADDR")]
    pub ops_listen: Option<SocketAddr>,

    /// `sqlite:PATH` or `postgres://...`. With a password: from the environment or a file only.
    /// [default: `usher.db` in the data directory]
    #[arg(long, env = "USHER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Secret>,

    /// File that holds the database URL.
    #[arg(long, env = "USHER_DATABASE_URL_FILE", value_name = "FILE", conflicts_with = "database_url")]
    pub database_url_file: Option<PathBuf>,

    /// PostgreSQL: the URL for LISTEN and migrations, where the other one leads through a pooler; as the same
    /// user.
    #[arg(long, env = "USHER_DATABASE_LISTEN_URL", value_name = "URL", hide_env_values = true)]
    pub database_listen_url: Option<Secret>,

    /// PostgreSQL: what the database URL leads through. `transaction` is a pooler such as PgBouncer that hands
    /// a server to each transaction; it needs `--database-listen-url`.
    #[arg(long, env = "USHER_DATABASE_POOLER", value_name = "MODE", default_value = "none")]
    pub database_pooler: Pooler,

    /// Most connections to PostgreSQL, without three for LISTEN, for health and to cancel statements; on SQLite
    /// there are a quarter as many readers.
    #[arg(long, env = "USHER_DATABASE_CONNECTIONS", value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_connections: u32,

    /// Where archives of exports are kept instead of the database: `s3://BUCKET/PREFIX` or `file:///DIRECTORY`, the
    /// same for all replicas. S3 takes credentials, region and endpoint from the variables AWS_*.
    #[arg(long, env = "USHER_OBJECT_STORE_URL", value_name = "URL")]
    pub object_store_url: Option<String>,

    /// Encrypts what must not lie bare in the database: 32 random characters or more. Environment only.
    /// Required on PostgreSQL; on SQLite made at the first start.
    #[arg(long, env = "USHER_MASTER_KEY", value_name = "HEX", hide = true, hide_env_values = true)]
    pub master_key: Option<Secret>,

    /// File that holds the master key. [default: on SQLite `master.key` in the data directory]
    #[arg(long, env = "USHER_MASTER_KEY_FILE", value_name = "FILE", conflicts_with = "master_key")]
    pub master_key_file: Option<PathBuf>,

    /// First start: file that holds the secret of the first app's key, 32 to 512 random characters.
    /// [default: a random one]
    #[arg(long, env = "USHER_DEFAULT_SECRET_FILE", value_name = "FILE")]
    pub default_secret_file: Option<PathBuf>,

    /// First start: name of the first app's key. [default: a random one]
    #[arg(long, env = "USHER_DEFAULT_KID", value_name = "KID")]
    pub default_kid: Option<String>,

    /// Tasks that run at the same time; 0 leaves tasks to other replicas.
    #[arg(long, env = "USHER_WORKERS", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(0..=256))]
    pub workers: u32,

    /// How long a silent worker keeps its task before another may take it over.
    #[arg(long, env = "USHER_TASK_LEASE", value_name = "TIME", default_value = "2s",
          value_parser = duration(Duration::from_millis(500), Duration::from_secs(600)))]
    pub task_lease: Duration,

    /// Users, or rows of their content, that a task changes in one transaction.
    #[arg(long, env = "USHER_TASK_BATCH", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub task_batch: u32,

    /// Attempts without progress after which a task fails.
    #[arg(long, env = "USHER_TASK_MAX_FAILURES", value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub task_max_failures: u32,

    /// Days after which ended tasks are forgotten, with their items.
    #[arg(long, env = "USHER_TASK_RETENTION_DAYS", value_name = "DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub task_retention_days: u32,

    /// The longest a unary call may take; a shorter deadline of the caller counts.
    #[arg(long, env = "USHER_REQUEST_TIMEOUT", value_name = "TIME", default_value = "30s",
          value_parser = duration(Duration::from_millis(100), Duration::from_secs(600)))]
    pub request_timeout: Duration,

    /// Largest message that is accepted, in bytes.
    #[arg(long, env = "USHER_MAX_MESSAGE_BYTES", value_name = "BYTES", default_value_t = 4 * 1024 * 1024,
          value_parser = clap::value_parser!(u32).range(64 * 1024..=64 * 1024 * 1024))]
    pub max_message_bytes: u32,

    /// Most calls and streams that may be open at the same time on one connection.
    #[arg(long, env = "USHER_MAX_STREAMS", value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_streams: u32,

    /// Most calls that run at the same time, half of them of one app; further calls are refused with OVERLOADED.
    /// Open streams do not count.
    #[arg(long, env = "USHER_MAX_CONCURRENT_CALLS", value_name = "N", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrent_calls: u32,

    /// How long a new connection may take to speak HTTP/2 before it is closed.
    #[arg(long, env = "USHER_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "5s",
          value_parser = duration(Duration::from_millis(100), Duration::from_secs(60)))]
    pub handshake_timeout: Duration,

    /// Age at which a connection is asked to close, so that load spreads again. Not set: none.
    #[arg(long, env = "USHER_MAX_CONNECTION_AGE", value_name = "TIME",
          value_parser = duration(Duration::from_secs(1), Duration::from_secs(7 * 86_400)))]
    pub max_connection_age: Option<Duration>,

    /// On SIGTERM: how long health says `NOT_SERVING` before connections are refused.
    #[arg(long, env = "USHER_DRAIN_DELAY", value_name = "TIME", default_value = "500ms",
          value_parser = duration(Duration::ZERO, Duration::from_secs(300)))]
    pub drain_delay: Duration,

    /// On SIGTERM: how long running calls may go on after that.
    #[arg(long, env = "USHER_DRAIN_GRACE", value_name = "TIME", default_value = "10s",
          value_parser = duration(Duration::ZERO, Duration::from_secs(600)))]
    pub drain_grace: Duration,

    /// Whether gRPC reflection is served; `auto` means on a loopback address only.
    #[arg(long, env = "USHER_REFLECTION", value_name = "WHEN", default_value = "auto")]
    pub reflection: Reflection,

    /// What is logged: a level, or directives such as `info,usher::engine=debug`.
    #[arg(long, env = "USHER_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How it is logged, to standard error.
    #[arg(long, env = "USHER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// See [`Config::reflection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "named at the field")]
pub enum Reflection {
    Auto,
    On,
    Off,
}

/// See [`Config::database_pooler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "named at the field")]
pub enum Pooler {
    None,
    Transaction,
}

/// See [`Config::log_format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "named at the field")]
pub enum LogFormat {
    Text,
    Json,
}

/// Text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself; state at the call site why it is needed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A setting that cannot be used. The text says which and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Config {
    /// Reads the settings from parsed flags of `command`, after the file they name was laid beneath.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, ConfigError> {
        for (id, name) in [("master_key", "USHER_MASTER_KEY"), ("database_url", "USHER_DATABASE_URL")] {
            let on_command_line = matches.value_source(id) == Some(ValueSource::CommandLine);
            let bare = id == "database_url"
                && matches.get_one::<Secret>(id).is_some_and(|url| !has_password(url.expose()));
            if on_command_line && !bare {
                return Err(ConfigError(format!(
                    "a secret on the command line can be read by every process: use {name} or {name}_FILE"
                )));
            }
        }
        let mut config = Self::from_arg_matches(matches).map_err(|err| ConfigError(err.to_string()))?;
        // A file named by flag or environment goes before a value that stands in the settings file.
        let from_file = |id| matches.value_source(id) == Some(ValueSource::DefaultValue);
        if config.database_url_file.is_some() && from_file("database_url") && !from_file("database_url_file")
        {
            config.database_url = None;
        }
        if config.master_key_file.is_some() && from_file("master_key") && !from_file("master_key_file") {
            config.master_key = None;
        }
        Ok(config)
    }

    /// Lays the settings of a file beneath `command`, as defaults that environment and flags override.
    ///
    /// An unknown name is an error: a misspelt limit must not be silently off.
    pub fn with_file(command: Command, file: &Path) -> Result<Command, ConfigError> {
        let text = read_secret(file)?;
        let table: toml::Table = text
            .parse()
            .map_err(|err| ConfigError(format!("{} is not valid TOML: {err}", file.display())))?;

        let mut command = command;
        for (name, value) in table {
            let id = name.replace('-', "_");
            if !command.get_arguments().any(|arg| arg.get_id() == id.as_str()) || id == "config" {
                return Err(ConfigError(format!("{}: there is no setting `{name}`", file.display())));
            }
            let value = match value {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            command = command.mut_arg(id, |arg| arg.default_value(value));
        }
        Ok(command)
    }

    /// The database URL, from wherever it is set.
    pub fn database_url(&self) -> Result<Option<String>, ConfigError> {
        match (&self.database_url, &self.database_url_file) {
            (Some(url), _) => Ok(Some(url.expose().to_owned())),
            (None, Some(file)) => read_secret(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Reads a file of settings or with a secret.
pub fn read_secret(file: &Path) -> Result<String, ConfigError> {
    read_text(Source::File(file)).map_err(ConfigError)
}

fn has_password(url: &str) -> bool {
    // A password may hold what would end it in a well-formed URL.
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) || url.contains("password=")
}

fn duration(
    min: Duration,
    max: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let value =
            humantime::parse_duration(text).map_err(|err| format!("{err}; write it like 5s or 500ms"))?;
        if value < min || value > max {
            return Err(format!(
                "must be from {} to {}",
                humantime::format_duration(min),
                humantime::format_duration(max)
            ));
        }
        Ok(value)
    }
}
