//! `usher serve`.

use clap::Args;

use super::failure::{Exit, Failure, Outcome};
use super::settings::Settings;

#[derive(Debug, Args)]
#[command(mut_arg("default_kid", |arg| arg.visible_alias("kid")))]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    /// Serves until the server has drained. On a runtime of its own, with a thread per core.
    pub(super) fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|err| Failure::failed(format!("cannot start: {err}")))?;
        runtime
            .block_on(crate::server::run(self.settings.0))
            .map(|()| Exit::Success)
            .map_err(|err| Failure::start(&err))
    }
}
