//! `usher import`: a file of users and content into the server, resumable and in constant memory.
//!
//! `source` reads the file and `split` cuts it; `window` holds what is on its way and `tally` keeps the
//! books; `session` moves it all; `report` shows it. An import is named after the content of its file,
//! so that the same command, given again, goes on where it was interrupted.

mod report;
mod session;
mod source;
mod split;
mod tally;
mod window;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::connect::Connection;
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output;
use crate::proto::v1::ImportMode;
use report::{Ending, Report};
use session::{AGAIN, Finish, Plan, Session};
use source::Source;

/// Imports users and content from a file: a JSON array or JSON lines.
///
/// The file holds objects such as `{"type": "user", "item": {"id": "ada"}}`, of any kind that
/// ContentService.ImportContent describes, in any order. An import that was interrupted is resumed by the same
/// command. Exits with 3 if items were refused; each is shown with its file, line and reason.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file: a JSON array, or JSON lines.
    file: PathBuf,
    /// What happens to items that exist.
    #[arg(long, value_name = "MODE", default_value = "upsert")]
    mode: Mode,
    /// Name of the import, by which it is resumed. A name belongs to the content of one file. [default: derived
    /// from the content of the file]
    #[arg(long = "import-id", value_name = "ID", value_parser = import_id)]
    id: Option<String>,
    /// Print a JSON object for each event, one a line: started, resumed, progress, refused, and done, failed or
    /// interrupted.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Replace what exists.
    Upsert,
    /// Skip what exists.
    Insert,
}

impl Import {
    pub(super) async fn run(self) -> Outcome {
        let source = Source::open(&self.file)?;
        let client = self.connection.open()?;
        let fingerprint = source.fingerprint().await?;
        let (name, report) = (source.name(), Report::new(self.json, source.name()));
        let import_id = self.id.unwrap_or_else(|| self.mode.name(&fingerprint));
        let plan = Plan { import_id: import_id.clone(), mode: self.mode.to_proto(), source, fingerprint };
        let mut session = Session::new(client, plan, Interrupt::new(), report);

        let finish = session.run().await;
        conclude(session, finish, &name, &import_id)
    }
}

/// Reports how it ended, and decides the exit code.
fn conclude(session: Session, finish: Result<Finish, Failure>, file: &str, import_id: &str) -> Outcome {
    let standing = session.standing();
    let (ending, outcome) = match finish {
        Err(failure) => (Ending::Failed, Err(failure)),
        Ok(Finish::Interrupted) => (Ending::Interrupted, Ok(Exit::Interrupted)),
        Ok(Finish::Read(Some(fault))) => {
            (Ending::Failed, Err(Failure::failed(format!("{file}: {fault}")).and(AGAIN)))
        }
        Ok(Finish::Read(None)) if session.is_of_another_file() => {
            let failure = Failure::failed(format!(
                "the import `{import_id}` is committed beyond the end of {file}: it was begun with another file"
            ));
            (Ending::Failed, Err(failure.and("hint: give another --import-id")))
        }
        Ok(Finish::Read(None)) if standing.counts.refused > 0 => (Ending::Complete, Ok(Exit::Partly)),
        Ok(Finish::Read(None)) => (Ending::Complete, Ok(Exit::Success)),
    };
    let told = session.into_report().ended(ending, &standing);
    if ending == Ending::Interrupted {
        output::note(
            "interrupted; what is stored stays stored: run the same command again to go on from there",
        );
    }
    // What went wrong with the import is worse than what went wrong with telling it.
    let exit = outcome?;
    told.map(|()| exit)
}

impl Mode {
    const fn to_proto(self) -> ImportMode {
        match self {
            Self::Upsert => ImportMode::Upsert,
            Self::Insert => ImportMode::Insert,
        }
    }

    /// The name of the import of a file with this fingerprint.
    fn name(self, fingerprint: &str) -> String {
        match self {
            Self::Upsert => format!("upsert-sha256-{fingerprint}"),
            Self::Insert => format!("insert-sha256-{fingerprint}"),
        }
    }
}

fn import_id(text: &str) -> Result<String, &'static str> {
    if (1..=128).contains(&text.len()) { Ok(text.to_owned()) } else { Err("must be 1 to 128 bytes long") }
}
