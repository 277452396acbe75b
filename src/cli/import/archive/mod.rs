//! Archives of users as a source of imports.
//!
//! They are read several times, so that what is large is never held: first to check all of them and to `survey`
//! what is in them, then once for each kind of items that others refer to. `rewrite` makes an item of a record,
//! `compose` brings items into an order in which none waits, `stubs` makes what is missing, and `spool` keeps all until
//! it is sent.

mod compose;
mod rewrite;
mod spool;
mod stubs;
mod summary;
mod survey;
mod together;

use std::io;
use std::path::{Path, PathBuf};

use compose::{Composer, Pass};
use spool::Draft;
use survey::Survey;
use together::Together;

use crate::cli::export::archive::{Archives, Line, Record};
use crate::cli::failure::Failure;

pub(super) use spool::{Place, Spool};
pub(super) use summary::Summary;

/// What archives hold, ready to be sent.
pub(super) struct Prepared {
    /// What is made where it does not exist.
    pub(super) stubs: (Spool, Vec<Place>),
    pub(super) items: (Spool, Vec<Place>),
    pub(super) summary: Summary,
}

/// How archives are imported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// With roles, teams and bans.
    pub(super) trusted: bool,
    /// What exists is replaced, but never by a stub: stubs are apart. Otherwise it is skipped, and they are not.
    pub(super) replaces: bool,
}

/// Reads the archives in these files. Nothing was sent where it fails.
pub(super) async fn prepare(files: Vec<PathBuf>, manner: Manner) -> Result<Prepared, Failure> {
    let work = tokio::task::spawn_blocking(move || prepare_now(&files, manner));
    work.await.map_err(|err| Failure::failed(err.to_string()))?
}

fn prepare_now(files: &[PathBuf], Manner { trusted, replaces }: Manner) -> Result<Prepared, Failure> {
    let mut survey = Survey::default();
    each_record(files, |user, place, record| {
        survey.take(user, place, record, trusted);
        Ok(())
    })?;
    survey.conclude();

    let mut stubs = new_draft()?;
    if replaces {
        stubs::write_before(&mut survey, &mut stubs).map_err(|err| unwritten(&err))?;
    }
    let (records, passes) = (survey.records, Pass::needed(&survey, !replaces));
    let together = if replaces { None } else { Some(Together::new().map_err(|err| unwritten(&err))?) };
    let composer = Composer::new(&mut survey, new_draft()?, trusted, together);
    let mut composer = composer.map_err(|err| unwritten(&err))?;
    for pass in passes {
        let mut read = 0;
        each_record(files, |_, place, record| {
            read += 1;
            composer.take(pass, place, record)
        })?;
        if read != records {
            return Err(Failure::failed("an archive was changed while it was being read"));
        }
        composer.end(pass).map_err(|err| unwritten(&err))?;
    }
    let items = composer.draft.finish().map_err(|err| unwritten(&err))?;
    let stubs = stubs.finish().map_err(|err| unwritten(&err))?;
    Ok(Prepared { stubs, items, summary: survey.summary })
}

fn new_draft() -> Result<Draft, Failure> {
    Draft::new().map_err(|err| unwritten(&err))
}

/// Hands over every record, with the user whose archive has it and where it is.
fn each_record(
    files: &[PathBuf],
    mut take: impl FnMut(&str, Place, Record) -> io::Result<()>,
) -> Result<(), Failure> {
    for (file, path) in files.iter().enumerate() {
        let shown = path.display();
        let lines = open(path)?;
        let mut user = String::new();
        for line in lines {
            match line.map_err(|fault| Failure::failed(format!("{shown}:{}: {}", fault.line, fault.what)))? {
                Line::Export(header) if header.references != "KEEP" => {
                    return Err(Failure::failed(format!(
                        "{shown}: the archive of `{}` has pseudonyms in the place of other people's ids: export it \
                         again with references KEEP",
                        header.user_id
                    )));
                }
                Line::Export(header) => user = header.user_id,
                Line::Record(record) => {
                    let place = Place { file, line: record.line };
                    take(&user, place, record).map_err(|err| unwritten(&err))?;
                }
                Line::About | Line::End(_) => {}
            }
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Archives, Failure> {
    let unread = |err: io::Error| Failure::usage(format!("cannot read {}: {err}", path.display()));
    // A pipe could be read once, and archives are read several times.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(Failure::usage(format!("{} is not a regular file", path.display())));
    }
    Archives::open(path).map_err(unread)
}

fn unwritten(err: &io::Error) -> Failure {
    Failure::failed(format!(
        "cannot write to the temporary directory {}: {err}\nhint: it holds what is imported until that is sent; \
         TMPDIR names another one",
        std::env::temp_dir().display()
    ))
}

#[cfg(test)]
mod tests;
