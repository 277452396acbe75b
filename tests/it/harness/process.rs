//! The real program, in a process of its own that can be killed, paused and asked to end.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::backend::{Backend, MASTER_KEY, Place};
use super::client::{Caller, Credentials};
use super::proxy::Proxy;
use super::reaper::Ward;
use super::server::arguments;
use super::setting::{is_on, tell, usher_variables};

/// A program that says nothing for so long has failed to start.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Where Debian and others keep libfaketime.
const LIBFAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// How a process is to be started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    backend: Backend,
    place: Place,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
}

/// A running `usher serve`, killed when dropped. Calls go to it with a server token.
pub(crate) struct Process {
    child: Child,
    launch: Launch,
    caller: Caller,
    log: PathBuf,
    _ward: Ward,
    /// Kept open: the program may want to write more.
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Deref for Process {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Backend {
    /// Prepares a server process at a place of its own.
    pub(crate) fn launch(&self) -> Launch {
        Launch { backend: self.clone(), place: self.place(), flags: Vec::new(), variables: Vec::new() }
    }
}

impl Backend {
    /// Makes another app with the program, beside whatever server runs.
    pub(crate) async fn create_app(&self, name: &str, place: &Place) -> Credentials {
        create_app(place, name, &[]).await.unwrap()
    }

    /// The same with a secret of one's own, as it stands in a file; what the program says where it refuses.
    pub(crate) async fn try_create_app(
        &self,
        name: &str,
        place: &Place,
        secret: &str,
    ) -> Result<Credentials, String> {
        let file = self.dir().join(format!("{name}.secret"));
        std::fs::write(&file, secret).unwrap();
        create_app(place, name, &["--secret-file", file.to_str().unwrap()]).await
    }
}

async fn create_app(place: &Place, name: &str, flags: &[&str]) -> Result<Credentials, String> {
    let mut command = program(place);
    command.args(["app", "create", name, "--json", "--data-dir"]).arg(&place.data_dir).args(flags);
    let output = command.output().await.unwrap();
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let app: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| app[name].as_str().unwrap().to_owned();
    Ok(Credentials { kid: text("key"), secret: text("secret") })
}

impl Backend {
    /// Brings the database up to date with the program.
    pub(crate) async fn migrate(&self) {
        let place = self.place();
        let output =
            program(&place).args(["migrate", "--data-dir"]).arg(&place.data_dir).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The program, to be run over the database at `place` and with no other settings.
pub(crate) fn program(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
    for name in usher_variables() {
        command.env_remove(name);
    }
    if let Some(url) = &place.url {
        command.env("USHER_DATABASE_URL", url).env("USHER_MASTER_KEY", MASTER_KEY);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

impl Launch {
    /// Where the server keeps its files.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Adds a flag.
    #[must_use]
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Leads the server to another database URL.
    #[must_use]
    pub(crate) fn database(mut self, url: &str) -> Self {
        self.place.url = Some(url.to_owned());
        self
    }

    /// Sets, or replaces, the crash points: `name=2*off->return` dies at the third passing.
    #[must_use]
    pub(crate) fn failpoints(self, points: &str) -> Self {
        let mut launch = self.without_failpoints();
        launch.variables.push(("FAILPOINTS".to_owned(), points.to_owned()));
        launch
    }

    /// Removes the crash points.
    #[must_use]
    pub(crate) fn without_failpoints(mut self) -> Self {
        self.variables.retain(|(name, _)| name != "FAILPOINTS");
        self
    }

    /// Moves the server's files elsewhere.
    #[must_use]
    pub(crate) fn with_data_dir(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.place.data_dir);
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes all variables that were set.
    #[must_use]
    pub(crate) fn without_variables(mut self) -> Self {
        self.variables.clear();
        self
    }

    /// Lets the program see another time of day, as `+3600s`; the monotonic clock stays what it is. `None` where
    /// there is no libfaketime, which is then said.
    pub(crate) fn at_another_time(self, offset: &str) -> Option<Self> {
        Some(self.with_false_clock()?.variable("FAKETIME", offset))
    }

    /// The same with an offset that is read from `file` each time, so that the clock steps when it is written.
    pub(crate) fn with_clock_in(self, file: &Path) -> Option<Self> {
        let launch = self.with_false_clock()?.variable("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap());
        Some(launch.variable("FAKETIME_NO_CACHE", "1"))
    }

    fn with_false_clock(self) -> Option<Self> {
        let Some(library) = LIBFAKETIME.into_iter().find(|path| Path::new(path).exists()) else {
            assert!(!is_on("USHER_REQUIRE_FOREIGN"), "libfaketime is required");
            tell("A test with another clock is skipped: libfaketime is missing.");
            return None;
        };
        Some(self.variable("LD_PRELOAD", library).variable("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
    }

    /// Leads the server to its database by way of `proxy`.
    #[must_use]
    pub(crate) async fn through_proxy(mut self) -> (Self, Proxy) {
        let url = self.place.url.take().expect("a PostgreSQL database");
        let (before, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("postgres", authority));
        let target = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
        let proxy = Proxy::to(target).await;
        self.place.url = Some(format!("{before}://{user}@{}/{path}", proxy.address()));
        (self, proxy)
    }

    /// Starts the program and waits until it serves.
    pub(crate) async fn start(&self) -> Process {
        match self.try_start().await {
            Ok(process) => process,
            Err((status, log)) => panic!("the server does not start, but ends with {status}: {log}"),
        }
    }

    /// Starts the program; where it ends instead of serving, tells how, and what it logged.
    pub(crate) async fn try_start(&self) -> Result<Process, (ExitStatus, String)> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = self.backend.dir().join(format!("process-{number}.log"));
        let mut command = self.command();
        command.stderr(std::fs::File::create(&log).unwrap());
        let mut child = command.spawn().expect("the program can be run");
        let ward = Ward::of(child.id().expect("it was not waited for"));
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();

        let line =
            timeout(START_LIMIT, stdout.next_line()).await.expect("the program says something").unwrap();
        let Some(line) = line else {
            let status = timeout(START_LIMIT, child.wait()).await.expect("the program ends").unwrap();
            return Err((status, std::fs::read_to_string(&log).unwrap()));
        };
        let address =
            line.strip_prefix("listening on ").unwrap_or_else(|| panic!("not the first line: {line}"));
        let address: SocketAddr = address.parse().unwrap();
        let caller = Caller::new(address, self.backend.credentials());
        Ok(Process { child, launch: self.clone(), caller, log, _ward: ward, stdout })
    }

    fn command(&self) -> Command {
        let mut command = program(&self.place);
        command.arg("serve").args(arguments(&self.place, &self.flags));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Process {
    /// How it was started, to start it again.
    pub(crate) const fn launch(&self) -> &Launch {
        &self.launch
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Bytes of memory that the program holds.
    pub(crate) fn memory(&self) -> u64 {
        self.bytes_of("VmRSS:")
    }

    /// Bytes of memory that the program has held at most.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.bytes_of("VmHWM:")
    }

    fn bytes_of(&self, entry: &str) -> u64 {
        let pid = self.child.id().expect("the program runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(entry)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What the program has written to standard output since its first line, once it has ended.
    pub(crate) async fn rest_of_output(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    /// Kills the program as a power cut would, and tells how it was started.
    pub(crate) async fn kill(mut self) -> Launch {
        self.child.kill().await.unwrap();
        self.launch
    }

    /// Sends a signal, such as `STOP`, `CONT` or `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the program runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await.unwrap();
        assert!(sent.success(), "SIG{name} can be sent");
    }

    /// Waits until the program ends by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let Ok(status) = timeout(within, self.child.wait()).await else {
            panic!("the program should end within {within:?}; it logged: {}", self.log());
        };
        status.unwrap()
    }
}
