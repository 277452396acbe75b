//! A PostgreSQL for the tests: the one named by `USHER_TEST_POSTGRES_URL`, else a private cluster.
//!
//! The cluster belongs to a shell that waits on a pipe this process holds. However this process
//! ends, the pipe closes, and the shell stops the cluster and removes its files.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, FromQueryResult,
    JsonValue, Statement,
};

use super::setting::{is_on, setting, tell};

const WATCHER: &str = r#"
trap '' HUP INT TERM
bin=$1 port=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/usher-it-postgres.XXXXXX") || exit 1
stop() {
    [ -f "$dir/data/postmaster.pid" ] && "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$dir"
}
trap stop EXIT
cd "$dir"
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$dir/log" 2>&1 &&
"$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-p $port -h 127.0.0.1 -k $dir -F \
    -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB" start >/dev/null 2>&1 ||
{ cat "$dir/log" >&2; exit 1; }
echo ready
cat >/dev/null
"#;

/// Where databases are made, and as whom.
struct Cluster {
    /// Up to and without the name of the database.
    base: String,
    /// Behind the name of the database.
    parameters: String,
    /// The database to be connected to while others are made.
    maintenance: String,
    /// Holds the pipe; the shell ends with it.
    watcher: Option<Child>,
}

static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database of one test, dropped with it.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    name: String,
}

impl TestDatabase {
    /// Makes an empty database; `None` where there is no PostgreSQL to make it in.
    pub(crate) fn create() -> Option<Self> {
        let cluster = CLUSTER.get_or_init(find).as_ref()?;
        let name = format!("usher_it_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // A collation unlike that of bytes, so that an order left to the database shows.
        let icu = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        let created = cluster
            .administer(&format!("CREATE DATABASE {name} {icu}"))
            .or_else(|_| cluster.administer(&format!("CREATE DATABASE {name} TEMPLATE template0")));
        created.expect("the test database can be made");
        Some(Self { url: cluster.url(&name), name })
    }
}

/// Runs a statement on a connection of its own.
pub(crate) async fn run_at(url: &str, statement: &str) -> Result<(), DbErr> {
    let mut options = ConnectOptions::new(url.to_owned());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await?;
    db.execute_unprepared(statement).await?;
    db.close().await
}

/// Reads rows on a connection of its own, each as text.
pub(crate) async fn select_at(url: &str, query: &str) -> Vec<String> {
    select_each_at(url, &[query.to_owned()]).await.remove(0)
}

/// Reads the rows of several queries on one connection.
pub(crate) async fn select_each_at(url: &str, queries: &[String]) -> Vec<Vec<String>> {
    let mut options = ConnectOptions::new(url.to_owned());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let mut found = Vec::new();
    for query in queries {
        let statement = Statement::from_string(db.get_database_backend(), query.as_str());
        let rows = JsonValue::find_by_statement(statement).all(&db).await.expect("the query is sound");
        found.push(rows.iter().map(JsonValue::to_string).collect());
    }
    db.close().await.unwrap();
    found
}

/// A connection in a transaction that sees the database as it is now.
pub(crate) async fn reader_at(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url.to_owned());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let begin = match db.get_database_backend() {
        DbBackend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        _ => "BEGIN",
    };
    db.execute_unprepared(begin).await.unwrap();
    let look = Statement::from_string(db.get_database_backend(), "SELECT count(*) FROM users");
    db.query_one_raw(look).await.unwrap();
    db
}

/// Whether `text` stands in the files of a test's PostgreSQL database, beside its rows or in them.
pub(crate) async fn files_hold(url: &str, text: &str) -> bool {
    let file = "'base/' || d.oid || '/' || f";
    let files = format!(
        "SELECT 1 AS found FROM pg_database d, pg_ls_dir('base/' || d.oid) f \
         WHERE d.datname = current_database() AND f ~ '^[0-9]+$' \
         AND position('{text}'::bytea IN pg_read_binary_file({file})) > 0"
    );
    !select_at(url, &files).await.is_empty()
}

/// A session of its own in which `statements` have been run, and which stays as they leave it until closed.
pub(crate) async fn session_at(url: &str, statements: &[&str]) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url.to_owned());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    for statement in statements {
        db.execute_unprepared(statement).await.expect("the statement is sound");
    }
    db
}

/// Ends every connection to a test's database and lets no new one in, or lets them in again.
pub(crate) async fn cut_off(url: &str, off: bool) {
    let cluster = CLUSTER.get().and_then(Option::as_ref).expect("the database is in the cluster");
    let path = url.split('?').next().unwrap();
    let name = path.rsplit('/').next().unwrap();
    cluster.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !off)).await.unwrap();
    if off {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
        cluster.run(&format!("{end} '{name}'")).await.unwrap();
    }
}

/// Ends every connection to a test's database and lets new ones only read, or lets them write again.
pub(crate) async fn only_reads(url: &str, on: bool) {
    let cluster = CLUSTER.get().and_then(Option::as_ref).expect("the database is in the cluster");
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
    cluster.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}")).await.unwrap();
    if on {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
        cluster.run(&format!("{end} '{name}'")).await.unwrap();
    }
}

/// How often a task was claimed, from the table: no call tells.
pub(crate) async fn claims_of(url: &str, task_id: &str) -> i64 {
    let mut options = ConnectOptions::new(url.to_owned());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let query = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT lease_epoch FROM tasks WHERE id = $1",
        [task_id.into()],
    );
    let row = db.query_one_raw(query).await.unwrap().expect("the task is there");
    row.try_get("", "lease_epoch").unwrap()
}

/// Whether `text` stands in any row of a database, as text or as bytes.
pub(crate) async fn holds(url: &str, text: &str) -> bool {
    let mut options = ConnectOptions::new(url.to_owned());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let ask =
        async |sql: String| db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    let hex = usher::domain::vault::hex(text.as_bytes());
    let tables = "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'".to_owned();
    for table in ask(tables).await {
        let table: String = table.try_get("", "name").unwrap();
        for row in ask(format!("SELECT t::text AS line FROM {table} t")).await {
            let line: String = row.try_get("", "line").unwrap();
            if line.contains(text) || line.contains(&hex) {
                return true;
            }
        }
    }
    false
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(Some(cluster)) = CLUSTER.get() {
            let dropped = cluster.administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
            if let Err(err) = dropped {
                tell(&format!("The database {} could not be dropped: {err}.", self.name));
            }
        }
    }
}

impl Cluster {
    fn url(&self, database: &str) -> String {
        format!("{}/{database}{}", self.base, self.parameters)
    }

    /// Runs a statement on a runtime of its own: callers are outside of any.
    fn administer(&self, statement: &str) -> Result<(), DbErr> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.run(statement))
    }

    async fn run(&self, statement: &str) -> Result<(), DbErr> {
        run_at(&self.url(&self.maintenance), statement).await
    }

    /// The cluster behind a URL such as `postgres://user@host:5432/postgres?sslmode=disable`.
    fn at(url: &str) -> Self {
        let (address, parameters) =
            url.split_once('?').map_or((url, String::new()), |(address, rest)| (address, format!("?{rest}")));
        let (base, maintenance) = match address.split_once("://").and_then(|(_, rest)| rest.rsplit_once('/'))
        {
            Some((_, name)) if !name.is_empty() => (address.strip_suffix(name).unwrap(), name),
            _ => (address, "postgres"),
        };
        Self {
            base: base.trim_end_matches('/').to_owned(),
            parameters,
            maintenance: maintenance.to_owned(),
            watcher: None,
        }
    }
}

fn find() -> Option<Cluster> {
    if let Some(url) = setting("USHER_TEST_POSTGRES_URL") {
        return Some(Cluster::at(&url));
    }
    let started = match binaries() {
        Some(bin) => start(&bin),
        None => Err("neither USHER_TEST_POSTGRES_URL is set nor are PostgreSQL's programs found".to_owned()),
    };
    match started {
        Ok(cluster) => Some(cluster),
        Err(why) => {
            assert!(!is_on("USHER_REQUIRE_POSTGRES"), "PostgreSQL is required: {why}");
            tell(&format!("The tests over PostgreSQL are skipped: {why}."));
            None
        }
    }
}

/// The newest PostgreSQL on this machine.
fn binaries() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    let version = |bin: &PathBuf| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    installed.sort_by_key(|bin| std::cmp::Reverse(version(bin)));
    let path = setting("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let mut all = told.into_iter().chain(installed).chain(on_path);
    all.find(|bin| bin.join("initdb").is_file() && bin.join("pg_ctl").is_file())
}

fn start(bin: &Path) -> Result<Cluster, String> {
    let mut why = String::new();
    // Somebody else may take the free port before the cluster does.
    for _ in 0..3 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut watcher = as_postgres()
            .args(["sh", "-c", WATCHER, "sh"])
            .arg(bin)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|err| format!("the cluster's shell does not start: {err}"))?;
        let mut line = String::new();
        let _ = BufReader::new(watcher.stdout.take().unwrap()).read_line(&mut line);
        if line.trim() == "ready" {
            let mut cluster = Cluster::at(&format!("postgres://postgres@127.0.0.1:{port}/postgres"));
            cluster.watcher = Some(watcher);
            return Ok(cluster);
        }
        drop(watcher.stdin.take());
        let output = watcher.wait_with_output().map_err(|err| err.to_string())?;
        why = format!("the cluster does not start: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Err(why)
}

/// PostgreSQL refuses to run as root; everybody else runs it as themselves.
pub(super) fn as_postgres() -> Command {
    let id = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    if String::from_utf8_lossy(&id).trim() != "0" {
        return Command::new("env");
    }
    let exists = |program: &str| {
        let tried =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok()
    };
    let mut command;
    if exists("setpriv") {
        command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]);
    } else {
        command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]);
    }
    command
}
