//! `usher export`: everything about users, as archives or as a stream.
//!
//! `order` has the server make the archives, `download` fetches one over as many streams as it takes, and `shelf`
//! says where it lies. `archive` reads archives over `lines` and finds what is wrong with them; `verify` says it.

pub(in crate::cli) mod archive;
mod download;
mod lines;
mod order;
mod report;
mod shelf;
mod stream;
mod verify;

use std::path::PathBuf;

use clap::Args;

use super::connect::Connection;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::selection::Selection;
use crate::domain::export;
use crate::proto::v1::{ExportReferences, ExportScope};
pub(in crate::cli) use order::{Got, Order, find_taken, items};
pub(in crate::cli) use report::Report;
pub(in crate::cli) use shelf::{Kept, make as make_dir, sync as sync_dir};

/// Exports everything about users: an archive of each, made by a task of the server.
///
/// The archive of `ada` is the file `ada.jsonl.gz`: a JSON object on each line, as docs/export.md describes them. It is
/// checked before it gets that name. A download that was interrupted goes on where it was, if the same command
/// is given with the same --request-id. Exits with 3 if an archive could not be made or is gone.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Ids of the users.
    #[arg(value_name = "USER", required_unless_present_any = ["file", "verify", "schema"])]
    users: Vec<String>,
    /// File with further users: an id on each line, or the objects that `usher users query --json` prints; `-`
    /// reads standard input.
    #[arg(long, value_name = "LIST")]
    file: Option<PathBuf>,
    /// Directory for the archives; made if it does not exist.
    #[arg(long, short, value_name = "DIR", required_unless_present_any = ["stream", "verify", "schema"],
          conflicts_with_all = ["stream", "verify", "schema"])]
    out: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    order: Order,
    /// Print a JSON object for each archive, one a line.
    #[arg(long, conflicts_with_all = ["stream", "schema"])]
    json: bool,
    /// Write the records of one user to standard output, one a line, instead of making an archive.
    #[arg(long, conflicts_with_all = ["verify", "schema"])]
    stream: bool,
    /// Check these archives, without a server: that they are whole, and all lines are of one user. A file may
    /// hold several, one after the other. Exits with 1 if one is not whole, and says in which line and why.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["users", "file", "schema"])]
    verify: Vec<PathBuf>,
    /// Print the JSON Schema of a record (draft 2020-12), which every line of an archive meets.
    #[arg(long, conflicts_with_all = ["users", "file"])]
    schema: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What of a user is exported.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(in crate::cli) struct Choice {
    /// Keep the ids of other people, to move the data to another system. Such archives are kept for a short time.
    /// [default: they are replaced by `~1`, `~2`]
    #[arg(long, conflicts_with_all = ["verify", "schema"])]
    keep_references: bool,
    /// Only what the user provided (GDPR article 20).
    #[arg(long, conflicts_with_all = ["verify", "schema"])]
    portability: bool,
    /// Add the messages of others that reached the user alone, or with a few.
    #[arg(long, conflicts_with_all = ["portability", "verify", "schema"])]
    include_received: bool,
}

impl Export {
    pub(super) async fn run(self) -> Outcome {
        let Self { users, file, out, choice, order, json, connection, verify, schema, .. } = self;
        if !verify.is_empty() {
            return verify::run(&verify, json);
        }
        if schema {
            output::line(format_args!("{:#}", export::schema()))?;
            return Ok(Exit::Success);
        }
        let users = Selection::new(users, file).read()?;
        match (out, users.as_slice()) {
            (Some(dir), _) => order.run(&connection.open()?, &users, choice, &dir, json).await,
            (None, [user]) => stream::run(&connection.open()?, user, choice).await,
            (None, _) => Err(Failure::usage("--stream takes exactly one user")),
        }
    }
}

impl Choice {
    const fn references(self) -> ExportReferences {
        if self.keep_references { ExportReferences::Keep } else { ExportReferences::Pseudonym }
    }

    const fn scope(self) -> ExportScope {
        if self.portability { ExportScope::Portability } else { ExportScope::Access }
    }
}
