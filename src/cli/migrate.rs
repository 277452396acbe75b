//! `usher migrate`: opens the database directly.

use clap::Args;

use super::failure::{Exit, Failure, Outcome};
use super::settings::Settings;
use crate::server::admin;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    settings: Settings,
}

impl Migrate {
    pub(super) async fn run(self) -> Outcome {
        admin::migrate(&self.settings.0).await.map_err(|err| Failure::start(&err))?;
        Ok(Exit::Success)
    }
}
