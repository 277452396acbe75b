//! How fast calls are, beside a bare tonic echo: the same client, in the same run, turn by turn, on each database.
//!
//! `cargo bench --bench calls -- [sqlite] [postgres] [CASE]... [--seconds N] [--json]`; docs/performance.md says what
//! the figures mean.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it prints what it measured, and ends where it cannot measure"
)]

mod cases;
mod echo;
#[path = "../../tests/it/harness/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "a measurement needs less than the tests")]
mod harness;
mod load;
mod raw;
#[path = "../served/mod.rs"]
#[expect(dead_code, reason = "memory is measured elsewhere")]
mod served;
mod work;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use echo::Echo;
use harness::{Backend, Kind};
use load::{Measured, Target, Work, load};
use serde_json::json;
use served::Served;
use work::Unary;

/// Rounds of each side, turn by turn; one more before them warms up.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == echo::FLAG) {
        return runtime().block_on(echo::serve());
    }
    let settings = Settings::of(&arguments);
    let echo = Echo::start();
    settings.print_head();
    for (name, kind) in [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)] {
        if !settings.databases.is_empty() && !settings.databases.iter().any(|database| database == name) {
            continue;
        }
        let Some((backend, _cleaner)) = Backend::prepare(kind) else { continue };
        runtime().block_on(async {
            let server = Served::start(&backend, backend.place()).await;
            let echo = Target { address: echo.address, process: echo.id(), authorization: None };
            let bench = Bench { database: name, settings: &settings, server, echo };
            bench.seed().await;
            if kind == Kind::Postgres {
                // In a while it would find out by itself how many rows there are.
                backend.meddle(bench.server.place(), "ANALYZE").await;
            }
            bench.cases().await;
            bench.server.stop().await;
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What was asked for.
struct Settings {
    databases: Vec<String>,
    /// Parts of names of cases; none: all.
    cases: Vec<String>,
    round: Duration,
    json: bool,
}

impl Settings {
    fn of(arguments: &[String]) -> Self {
        let mut settings =
            Self { databases: Vec::new(), cases: Vec::new(), round: Duration::from_secs(2), json: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "sqlite" | "postgres" => settings.databases.push(argument.clone()),
                "--json" => settings.json = true,
                "--seconds" => {
                    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
                    settings.round = Duration::from_secs(seconds.expect("--seconds takes a number"));
                }
                // Cargo says so to every measurement.
                "--bench" => {}
                case => settings.cases.push(case.to_lowercase()),
            }
        }
        settings
    }

    fn print_head(&self) {
        if !self.json {
            println!(
                "{:<9} {:<36} {:>8} {:>9} {:>9} {:>11} {:>6} {:>9}",
                "database", "case", "calls/s", "p50", "p99", "CPU a call", "ratio", "echo/s"
            );
        }
    }
}

/// A server with users, and the echo.
struct Bench<'a> {
    database: &'static str,
    settings: &'a Settings,
    server: Served,
    echo: Target,
}

/// What is measured together.
struct Case<W> {
    name: &'static str,
    /// How many call at the same time.
    callers: usize,
    /// Calls that one turn of a caller counts as.
    parts: u32,
    work: W,
    /// What the echo is sent meanwhile.
    echoed: Vec<u8>,
}

impl Bench<'_> {
    /// The server, as its callers see it.
    fn target(&self) -> Target {
        let caller = self.server.caller();
        let token = format!("Bearer {}", caller.credentials().server_token());
        let authorization = Some(token.parse().unwrap());
        Target { address: caller.address(), process: self.server.id(), authorization }
    }

    fn wants(&self, name: &str) -> bool {
        let (name, cases) = (name.to_lowercase(), &self.settings.cases);
        cases.is_empty() || cases.iter().any(|case| name.contains(case.as_str()))
    }

    async fn run<W: Work>(&self, case: Case<W>) {
        let Case { name, callers, parts, work, echoed } = case;
        let (work, echo_work) = (Arc::new(work), Arc::new(Unary::always(echo::PATH, echoed)));
        let (next, echo_next) = (Arc::new(AtomicU64::new(0)), Arc::default());
        let (target, round) = (self.target(), self.settings.round);
        let (mut ours, mut echoes, mut ratios) = (Measured::default(), Measured::default(), Vec::new());
        for number in 0..=ROUNDS {
            let echo = load(&self.echo, &echo_work, callers, &echo_next, round).await;
            let own = load(&target, &work, callers, &next, round).await;
            if number > 0 {
                ratios.push(own.rate() * f64::from(parts) / echo.rate());
                ours.add(own);
                echoes.add(echo);
            }
        }
        ratios.sort_by(f64::total_cmp);
        self.tell(name, parts, ours, ratios[ROUNDS / 2], echoes.rate());
    }

    fn tell(&self, name: &str, parts: u32, mut ours: Measured, ratio: f64, echo: f64) {
        ours.calls.sort_unstable();
        let at = |share: usize| ours.calls[(ours.calls.len() - 1) * share / 100].as_secs_f64() * 1e3;
        let (rate, p50, p99) = (ours.rate() * f64::from(parts), at(50), at(99));
        let calls = ours.calls.len() as f64 * f64::from(parts);
        let processor = ours.processor.as_secs_f64() * 1e6 / calls;
        if self.settings.json {
            let row = json!({
                "database": self.database, "case": name, "calls_per_second": rate, "p50_ms": p50, "p99_ms": p99,
                "processor_us_per_call": processor, "ratio_to_echo": ratio, "echo_calls_per_second": echo,
            });
            println!("{row}");
        } else {
            println!(
                "{:<9} {name:<36} {rate:>8.0} {p50:>6.2} ms {p99:>6.2} ms {processor:>8.0} µs {ratio:>6.3} {echo:>9.0}",
                self.database
            );
        }
    }
}
