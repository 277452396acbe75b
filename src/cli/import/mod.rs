//! `usher import`: a file of users and content into the server, resumable and in constant memory.
//!
//! `source` reads the file and `split` cuts it, or `archive` makes what is read of archives; `window` holds what is
//! on its way and `tally` keeps the books; `session` moves it all; `report` shows it. An import is named after the
//! content of its file, so that the same command, given again, goes on where it was interrupted.

mod archive;
mod report;
mod session;
mod source;
mod split;
mod tally;
mod window;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::connect::{Client, Connection};
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output;
use crate::proto::v1::ImportMode;
use archive::{Manner, Place, Prepared, Spool};
use report::{Ending, Origin, Part, Report};
use session::{AGAIN, Finish, Plan, Session};
use source::Source;

/// Imports users and content from a file: a JSON array or JSON lines. Or from archives of users.
///
/// The file holds objects such as `{"type": "user", "item": {"id": "ada"}}`, of any kind that
/// ContentService.ImportContent describes, in any order. An import that was interrupted is resumed by the same
/// command. Exits with 3 if items were refused; each is shown with its file, line and reason.
///
/// With `--archive` it reads archives that UserService.ExportUsers has made with references KEEP, checks all of
/// them before it sends anything, and lists at the end what it left out. Users, channels, calls and feeds that are
/// named but are in none of the archives are made as stubs where they do not exist: so give all archives that belong
/// together to one command. Roles, teams and bans are dropped unless `--trusted` is given.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file: a JSON array, or JSON lines. Of archives, several files, each with one archive or more.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The files are archives of users.
    #[arg(long, conflicts_with = "id")]
    archive: bool,
    /// Keep roles, teams and bans of archives. Only for archives that were kept where no one else could change them.
    #[arg(long, requires = "archive")]
    trusted: bool,
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
        if self.archive {
            return self.run_archives().await;
        }
        let [file] = self.files.as_slice() else {
            return Err(Failure::usage(
                "an import reads one file; only archives may be several: see --archive",
            ));
        };
        let source = Source::open(file)?;
        let client = self.connection.open()?;
        let fingerprint = source.fingerprint().await?;
        let report = Report::new(self.json, Origin::File(file.display().to_string()));
        let import_id = self.id.unwrap_or_else(|| self.mode.name(&fingerprint));
        let plan = Plan { import_id, mode: self.mode.to_proto(), source, fingerprint };
        import(client, plan, report).await
    }

    /// Imports archives: first stubs, which leave alone what exists, then everything else.
    async fn run_archives(self) -> Outcome {
        let client = self.connection.open()?;
        let names: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let manner = Manner { trusted: self.trusted, replaces: matches!(self.mode, Mode::Upsert) };
        let Prepared { stubs, items, summary } = archive::prepare(self.files, manner).await?;
        let part = async |(spool, places): (Spool, Vec<Place>)| {
            let source = Source::from(spool);
            let fingerprint = source.fingerprint().await?;
            Ok((source, fingerprint, Report::new(self.json, Origin::Archives(names.clone(), places))))
        };
        let (source, fingerprint, mut report) = part(items).await?;
        report.archives(&summary);
        let is_empty = stubs.0.size == 0;
        let mut worst = Exit::Success;
        if !is_empty {
            let (source, of_stubs, report) = part(stubs).await?;
            // Named after what follows too: with other archives, they are another import.
            let import_id = format!("stubs-{}-{fingerprint}", self.mode.as_str());
            let plan = Plan { import_id, mode: ImportMode::Insert, source, fingerprint: of_stubs };
            worst = import(client.clone(), plan, report.of(Part::Stubs)).await?;
            if !matches!(worst, Exit::Success | Exit::Partly) {
                return Ok(worst);
            }
        }
        let plan =
            Plan { import_id: self.mode.name(&fingerprint), mode: self.mode.to_proto(), source, fingerprint };
        let exit = import(client, plan, report).await?;
        Ok(if exit == Exit::Success { worst } else { exit })
    }
}

async fn import(client: Client, plan: Plan, report: Report) -> Outcome {
    let import_id = plan.import_id.clone();
    let mut session = Session::new(client, plan, Interrupt::new(), report);
    let finish = session.run().await;
    conclude(session, finish, &import_id)
}

/// Reports how it ended, and decides the exit code.
fn conclude(session: Session, finish: Result<Finish, Failure>, import_id: &str) -> Outcome {
    let (standing, file) = (session.standing(), session.name());
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

    const fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Insert => "insert",
        }
    }

    /// The name of the import of a file with this fingerprint.
    fn name(self, fingerprint: &str) -> String {
        format!("{}-sha256-{fingerprint}", self.as_str())
    }
}

fn import_id(text: &str) -> Result<String, &'static str> {
    if (1..=128).contains(&text.len()) { Ok(text.to_owned()) } else { Err("must be 1 to 128 bytes long") }
}
