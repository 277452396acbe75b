//! A server in a process of its own, so that its memory and its processor time are its own.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::harness::{Backend, Caller, Place, program};

/// A running server; killed when dropped.
pub(crate) struct Served {
    child: Child,
    place: Place,
    caller: Caller,
}

/// Kernels count processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

impl Served {
    /// Starts the program, as it was built for this measurement, and waits until it takes calls.
    pub(crate) async fn start(backend: &Backend, place: Place) -> Self {
        let mut command = program(&place);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&place.data_dir);
        command.args(["--drain-delay", "0ms", "--request-timeout", "10m"]).stderr(Stdio::null());
        // A thousand watchers come at once.
        command.args(["--max-concurrent-calls", "8192"]);
        let mut child = command.spawn().expect("the program can be run");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the server starts");
        let address = line.strip_prefix("listening on ").expect("its first line names its address");
        let caller = Caller::new(address.parse().unwrap(), backend.credentials());
        Self { child, place, caller }
    }

    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where it keeps its files.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Stops it and starts it again: its memory is that of a server that has done nothing yet.
    pub(crate) async fn restart(self, backend: &Backend) -> Self {
        let place = self.place.clone();
        self.stop().await;
        Self::start(backend, place).await
    }

    /// Ends it in good order.
    pub(crate) async fn stop(mut self) {
        let id = self.id().to_string();
        tokio::process::Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap();
        self.child.wait().await.unwrap();
    }

    /// KiB of memory that it holds.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// KiB of memory that it has held at most.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, entry: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(entry)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the server runs")
    }
}

/// Processor time that a process has used, in all its threads.
pub(crate) fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name, which is in parentheses: user time and system time are the 12th and 13th.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum();
    TICK * ticks
}
