//! Logs to standard error, metrics on the operations listener. Set up once per process.

use std::io::IsTerminal as _;
use std::net::SocketAddr;

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

use super::config::{Config, ConfigError, LogFormat};

/// Libraries that would log statements, headers or frames.
const QUIET: &str =
    "sqlx=warn,sea_orm=warn,sea_orm_migration=info,h2=info,hyper=info,hyper_util=info,tonic=info,tower=info";

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

/// Serves Prometheus metrics at `/metrics` of `address`. Needs a runtime.
pub fn serve_metrics(address: SocketAddr) -> Result<(), ConfigError> {
    PrometheusBuilder::new()
        .with_http_listener(address)
        .install()
        .map_err(|err| ConfigError(format!("metrics cannot be served on {address}: {err}")))
}
