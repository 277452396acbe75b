//! `usher export`: everything about users, as archives.
//!
//! `archive` reads archives over `lines` and finds what is wrong with them; `verify` says it.

pub(in crate::cli) mod archive;
mod lines;
mod verify;

use std::path::PathBuf;

use clap::Args;

use super::failure::Outcome;

/// Checks archives of users.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Check these archives, without a server: that they are whole, and all lines are of one user. A file may
    /// hold several, one after the other. Exits with 1 if one is not whole, and says in which line and why.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    verify: Vec<PathBuf>,
    /// Print a JSON object for each archive, one a line.
    #[arg(long)]
    json: bool,
}

impl Export {
    #[expect(clippy::unused_async, reason = "as every command")]
    pub(super) async fn run(self) -> Outcome {
        verify::run(&self.verify, self.json)
    }
}
