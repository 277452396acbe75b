//! Servers inside the test process.

use std::ops::Deref;

use clap::Parser;
use usher::server::config::Config;
use usher::server::{Running, StartError};

use super::backend::{Backend, Kind, Place};
use super::client::Caller;

/// The settings of tests: nothing waits longer than it must.
const DEFAULTS: [&str; 6] = ["--listen", "127.0.0.1:0", "--drain-delay", "0ms", "--drain-grace", "2s"];

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// A running server. Calls go to it with a server token.
pub(crate) struct TestServer {
    backend: Backend,
    place: Place,
    flags: Vec<String>,
    running: Running,
    caller: Caller,
}

impl Deref for TestServer {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Backend {
    /// Starts a server.
    pub(crate) async fn start(&self) -> TestServer {
        self.start_with(&[]).await
    }

    /// Starts a server with special flags.
    pub(crate) async fn start_with(&self, flags: &[&str]) -> TestServer {
        self.try_start(flags).await.expect("the server starts")
    }

    /// Starts a server that may refuse to.
    pub(crate) async fn try_start(&self, flags: &[&str]) -> Result<TestServer, StartError> {
        let flags = flags.iter().map(ToString::to_string).collect();
        TestServer::start(self.clone(), self.place(), flags).await
    }

    /// Starts a server that may refuse to, at a place of the test's choice.
    pub(crate) async fn try_start_at(&self, place: &Place) -> Result<TestServer, StartError> {
        TestServer::start(self.clone(), place.clone(), Vec::new()).await
    }

    /// Starts servers at the same moment.
    pub(crate) async fn start_together(&self, count: usize) -> Vec<TestServer> {
        let places: Vec<Place> = std::iter::repeat_with(|| self.place()).take(count).collect();
        let starts = places.iter().map(|place| usher::server::start(config(place, &[])));
        let started = futures_util::future::try_join_all(starts).await.expect("all servers start");
        let server = |(running, place): (Running, Place)| {
            let caller = Caller::new(running.address(), self.credentials());
            TestServer { backend: self.clone(), place, flags: Vec::new(), running, caller }
        };
        started.into_iter().zip(places).map(server).collect()
    }
}

impl TestServer {
    async fn start(backend: Backend, place: Place, flags: Vec<String>) -> Result<Self, StartError> {
        let running = usher::server::start(config(&place, &flags)).await?;
        let caller = Caller::new(running.address(), backend.credentials());
        Ok(Self { backend, place, flags, running, caller })
    }

    pub(crate) const fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.backend.kind()
    }

    /// Where this server keeps its files.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Drains and stops, as on SIGTERM.
    pub(crate) async fn stop(self) {
        self.running.shutdown().await;
    }

    /// Stops and starts again with the same settings; the port is another one.
    pub(crate) async fn restart(self) -> Self {
        let flags = self.flags.clone();
        self.restart_as(flags).await
    }

    /// Stops and starts again with other settings.
    pub(crate) async fn restart_with(self, flags: &[&str]) -> Self {
        self.restart_as(flags.iter().map(ToString::to_string).collect()).await
    }

    async fn restart_as(self, flags: Vec<String>) -> Self {
        self.running.shutdown().await;
        Self::start(self.backend, self.place, flags).await.expect("the server starts again")
    }
}

/// The settings of a server at `place`.
fn config(place: &Place, flags: &[String]) -> Config {
    let mut line = arguments(place, flags);
    line.insert(0, "usher".to_owned());
    line.extend(place.url.iter().flat_map(|url| ["--database-url".to_owned(), url.clone()]));
    let key_file = place.master_key_file.iter();
    line.extend(key_file.flat_map(|file| ["--master-key-file".to_owned(), file.display().to_string()]));
    Flags::try_parse_from(line).unwrap_or_else(|err| panic!("{err}")).config
}

/// The settings of a server at `place` that may stand on a command line.
pub(crate) fn arguments(place: &Place, flags: &[String]) -> Vec<String> {
    let mut line: Vec<String> = Vec::new();
    // A flag that is given twice is refused, so the defaults give way.
    for default in DEFAULTS.chunks(2).filter(|default| !flags.iter().any(|flag| flag == default[0])) {
        line.extend(default.iter().map(ToString::to_string));
    }
    line.extend(["--data-dir".to_owned(), place.data_dir.display().to_string()]);
    line.extend(flags.iter().cloned());
    line
}
