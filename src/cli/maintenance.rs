//! `usher maintenance`: opens the database directly.

use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;
use serde_json::json;

use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::settings::Settings;
use crate::server::admin;
use crate::storage::backend::maintenance::Maintained;

/// Scrubs deleted data from the database's files: rewrites tables and statistics, so that no deleted row stays in
/// them, and gives back their space. Opens the database directly.
///
/// On SQLite, stop the server first. On PostgreSQL the server may run: each table is locked while it is
/// rewritten, and calls wait. Exits with 3 if a step is left that only a superuser may do.
#[derive(Debug, Args)]
pub(super) struct Maintenance {
    /// How long to wait for transactions that still see deleted rows, and for the lock on each table.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Print a JSON object for each step, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Maintenance {
    pub(super) async fn run(self) -> Outcome {
        let (mut exit, mut lost) = (Exit::Success, None);
        let mut told = |step: Maintained| {
            if matches!(step, Maintained::NotAllowed(_)) {
                exit = Exit::Partly;
            }
            let shown = if self.json { output::json(&as_json(&step)) } else { output::line(line(&step)) };
            lost = lost.take().or(shown.err());
        };
        let done = admin::maintain(&self.settings.0, self.wait, &mut told).await;
        done.map_err(|err| Failure::start(&err))?;
        lost.map_or(Ok(exit), Err)
    }
}

fn line(step: &Maintained) -> String {
    match step {
        Maintained::Rewritten { name, before, after } => {
            format!("wrote {name} anew: {} before, {} now", HumanBytes(*before), HumanBytes(*after))
        }
        Maintained::LogClosed(segment) => {
            format!("closed the write-ahead log: {segment} and those before it are recycled in time")
        }
        Maintained::NotAllowed(sql) => format!("left for a superuser to run: {sql}"),
    }
}

fn as_json(step: &Maintained) -> serde_json::Value {
    match step {
        Maintained::Rewritten { name, before, after } => {
            json!({"step": "rewritten", "name": name, "bytes_before": before, "bytes_after": after})
        }
        Maintained::LogClosed(segment) => json!({"step": "log_closed", "segment": segment}),
        Maintained::NotAllowed(sql) => json!({"step": "not_allowed", "sql": sql}),
    }
}
