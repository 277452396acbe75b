//! A real PgBouncer in transaction mode, in front of a test's database.

use std::net::TcpListener;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::backend::Backend;
use super::reaper::Ward;
use super::setting::{is_on, tell};
use super::wait::eventually;

/// Ends when dropped.
pub(crate) struct PgBouncer {
    /// The way through it.
    pub(crate) url: String,
    _child: Child,
    _ward: Ward,
}

impl Backend {
    /// Starts a PgBouncer with `servers` connections to PostgreSQL; `None` where there is none, which is then
    /// said.
    pub(crate) async fn pgbouncer(&self, servers: u32) -> Option<PgBouncer> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let Some(program) = program.into_iter().find(|path| std::path::Path::new(path).exists()) else {
            assert!(!is_on("USHER_REQUIRE_FOREIGN"), "pgbouncer is required");
            tell("A test behind a pooler is skipped: pgbouncer is missing.");
            return None;
        };
        let url = self.url().expect("a PostgreSQL database");
        let (_, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("postgres", authority));
        let (host, to) = host.split_once(':').unwrap_or((host, "5432"));
        let (user, password) = user
            .split_once(':')
            .map_or((user, String::new()), |(user, password)| (user, format!(" password={password}")));
        let database = path.split('?').next().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

        // It gives up the rights of root, and must still read this.
        let dir = tempfile::Builder::new().prefix("usher-it-pgbouncer-").tempdir().unwrap().keep();
        let file = dir.join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n{database} = host={host} port={to} user={user}{password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {servers}\nmax_client_conn = 500\n"
        );
        std::fs::write(&file, settings).unwrap();
        for (path, mode) in [(&dir, 0o755), (&file, 0o644)] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let mut command = Command::from(super::postgres::as_postgres());
        command.arg(program).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("pgbouncer can be run");
        let ward = Ward::of(child.id().expect("it was not waited for"));
        eventually("a pooler that listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        std::fs::remove_dir_all(&dir).unwrap();
        let url = format!("postgres://{user}@127.0.0.1:{port}/{database}");
        Some(PgBouncer { url, _child: child, _ward: ward })
    }
}
