//! Logs to standard error, metrics for the operations listener. Set up once per process.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use super::config::{Config, ConfigError, LogFormat};

/// Libraries that would log statements, headers or frames, or repeat what a database says.
const QUIET: &str = "sqlx=off,sqlx::query=off,sqlx::pool=off,sqlx::postgres=off,sea_orm=off,\
                     sea_orm_migration=info,h2=info,hyper=info,hyper_util=info,tonic=info,tower=info";

/// Starts logging as configured.
pub fn init(config: &Config) -> Result<(), ConfigError> {
    // SQL, and what goes over the wire, is nobody's business, at whatever level the rest is wanted.
    let filter = EnvFilter::try_new(format!("{},{QUIET}", config.log))
        .map_err(|err| ConfigError(format!("`log` is not a filter: {err}")))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let set = match config.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    // A second server in one process logs where the first one does.
    set.unwrap_or(());
    Ok(())
}

/// The metrics of this process, which are collected from the first call on.
pub(super) fn metrics() -> Result<PrometheusHandle, ConfigError> {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = METRICS.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|err| ConfigError(format!("metrics cannot be collected: {err}")))?;
    Ok(METRICS.get_or_init(|| handle).clone())
}
