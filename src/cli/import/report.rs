//! How an import is told: a bar on a terminal, a line a second in a pipe, JSON lines on request.
//!
//! An import goes on where standard output fails; the failure is told at the end.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::archive::{Place, Summary};
use super::tally::Counts;
use crate::cli::failure::Failure;
use crate::cli::meter::{self, Meter};
use crate::cli::{output, text};
use crate::proto::v1::ImportRefusal;

/// Refusals listed for people; `--json` lists all.
const LISTED: u64 = 100;
const PAUSE: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{wide_bar} {percent:>3}% {msg}";

/// How far an import is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// Of the whole import.
    pub(super) counts: Counts,
    pub(super) of_this_run: u64,
    pub(super) committed: Option<i64>,
    /// Items that wait for what they refer to.
    pub(super) waiting: u64,
    /// Bytes of the file that are dealt with.
    pub(super) position: u64,
    pub(super) size: u64,
    /// Since this run began.
    pub(super) elapsed: Duration,
}

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    Interrupted,
    Failed,
}

/// Where elements come from.
pub(super) enum Origin {
    File(String),
    /// Files that hold archives, and where in them each line comes from.
    Archives(Vec<String>, Vec<Place>),
}

impl Origin {
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(file) => file.clone(),
            Self::Archives(files, _) => files.join(", "),
        }
    }

    /// The file and the line in it of what begins in this line of what is sent.
    fn place(&self, line: Option<u64>) -> (String, Option<u64>) {
        if let Self::Archives(files, places) = self
            && let Some(line) = line.and_then(|line| usize::try_from(line).ok())
            && let Some(place) = places.get(line.saturating_sub(1))
            && let Some(file) = files.get(place.file)
        {
            return (file.clone(), Some(place.line));
        }
        (self.name(), line)
    }
}

/// Which part of an import a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What is made before archives are imported: where it goes well, nothing is said of it.
    Stubs,
}

pub(super) struct Report {
    style: Style,
    origin: Origin,
    part: Part,
    /// Said at the end, to people.
    remarks: Vec<String>,
    refusals: u64,
    items: Meter,
    bytes: Meter,
    last: Option<Instant>,
    broken: Option<Failure>,
}

enum Style {
    Bar(ProgressBar),
    Lines,
    Json,
}

impl Report {
    pub(super) fn new(json: bool, origin: Origin) -> Self {
        let style = match json {
            true => Style::Json,
            false if std::io::stderr().is_terminal() => Style::Bar(bar()),
            false => Style::Lines,
        };
        let (items, bytes) = (Meter::default(), Meter::default());
        let (part, remarks) = (Part::Whole, Vec::new());
        Self { style, origin, part, remarks, refusals: 0, items, bytes, last: None, broken: None }
    }

    /// The same for a part of an import.
    pub(super) fn of(self, part: Part) -> Self {
        Self { part, ..self }
    }

    /// What is read, for people.
    pub(super) fn name(&self) -> String {
        self.origin.name()
    }

    /// Tells what was made of archives: programs now, people at the end.
    pub(super) fn archives(&mut self, summary: &Summary) {
        self.event(&summary.event());
        self.remarks = summary.lines();
    }

    /// One whose reader has gone.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        let mut report = Self::new(true, Origin::File("f".to_owned()));
        report.broken = Some(Failure::failed("silent"));
        report
    }

    pub(super) fn started(&mut self, import_id: &str, size: u64) {
        if self.part == Part::Whole {
            let file = self.origin.name();
            self.event(&json!({"event": "started", "import_id": import_id, "file": file, "bytes": size}));
        }
    }

    /// Tells that earlier runs of the same import got as far as `committed`.
    pub(super) fn resumed(&mut self, committed: i64) {
        if self.part == Part::Stubs {
            return;
        }
        self.event(&json!({"event": "resumed", "committed_offset": committed}));
        self.note(&format!("going on after item {committed}"));
    }

    /// Tells of a refused item; `line` is where it begins, if that is known.
    pub(super) fn refused(&mut self, line: Option<u64>, refusal: &ImportRefusal) {
        self.refusals += 1;
        let (file, line) = self.origin.place(line);
        self.event(&json!({
            "event": "refused", "file": file, "line": line, "offset": refusal.offset,
            "reason": refusal.reason, "field": refusal.field, "message": refusal.message,
        }));
        if self.refusals <= LISTED {
            self.note(&refusal_line(&file, line, refusal));
        } else if self.refusals == LISTED + 1 {
            self.note("more refusals are counted, not listed; --json lists all");
        }
    }

    /// Tells something that has no event.
    pub(super) fn warn(&self, warning: &str) {
        match &self.style {
            Style::Bar(bar) => bar.suspend(|| output::note(warning)),
            Style::Lines | Style::Json => output::note(warning),
        }
    }

    /// Tells people what an event tells programs.
    fn note(&self, note: &str) {
        if !matches!(self.style, Style::Json) {
            self.warn(note);
        }
    }

    /// Tells how far it is, if that is due.
    pub(super) fn progress(&mut self, standing: &Standing, now: Instant) {
        if self.part == Part::Stubs {
            return;
        }
        self.items.note(now, standing.of_this_run);
        // What earlier runs did is passed too fast to say how long the rest will take.
        if standing.of_this_run > 0 {
            self.bytes.note(now, standing.position);
        }
        if let Style::Bar(bar) = &self.style {
            bar.set_length(standing.size);
            bar.set_position(standing.position);
            bar.set_message(self.pace(standing, now));
            return;
        }
        if self.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return;
        }
        // The first line would tell that nothing happened yet.
        if self.last.replace(now).is_none() {
            return;
        }
        let mut event = json!({"event": "progress"});
        append(&mut event, standing);
        self.event(&event);
        let percent = percent(standing);
        self.note(&format!("{percent}%: {}", self.pace(standing, now)));
    }

    /// Tells how it ended. What could not be written to standard output is told here.
    pub(super) fn ended(mut self, ending: Ending, standing: &Standing) -> Result<(), Failure> {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
        if self.part == Part::Stubs && ending == Ending::Complete {
            return self.broken.map_or(Ok(()), Err);
        }
        let mut event = json!({"event": match ending {
            Ending::Complete => "done",
            Ending::Interrupted => "interrupted",
            Ending::Failed => "failed",
        }});
        append(&mut event, standing);
        self.event(&event);
        if !matches!(self.style, Style::Json) {
            if self.refusals > LISTED {
                output::note(format_args!("{} refusals are not listed", text::count(self.refusals - LISTED)));
            }
            for line in summary(ending, standing).into_iter().chain(std::mem::take(&mut self.remarks)) {
                let written = output::line(line);
                self.broken = self.broken.take().or(written.err());
            }
        }
        self.broken.map_or(Ok(()), Err)
    }

    fn event(&mut self, event: &Value) {
        if matches!(self.style, Style::Json) && self.broken.is_none() {
            self.broken = output::json(event).err();
        }
    }

    /// Such as `1,200 items, 340/s, 2 refused, 12s left`.
    fn pace(&self, standing: &Standing, now: Instant) -> String {
        let refused = standing.counts.refused;
        let left = standing.size.saturating_sub(standing.position);
        let left = self.bytes.time_for(now, standing.position, left).filter(|left| !left.is_zero());
        let parts = [
            Some(text::plural(standing.counts.sum(), "item")),
            self.items.per_second(now, standing.of_this_run).map(text::rate),
            (refused > 0).then(|| format!("{} refused", text::count(refused))),
            (standing.waiting > 0).then(|| format!("{} waiting", text::count(standing.waiting))),
            left.map(|left| format!("{} left", text::duration(left))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    // The template is a constant that a test checks; the default is a bar as well.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar
}

fn append(event: &mut Value, standing: &Standing) {
    let Some(fields) = event.as_object_mut() else { return };
    let Counts { accepted, skipped, refused } = standing.counts;
    fields.insert("committed_offset".to_owned(), json!(standing.committed));
    fields.insert("accepted".to_owned(), json!(accepted));
    fields.insert("skipped".to_owned(), json!(skipped));
    fields.insert("refused".to_owned(), json!(refused));
    fields.insert("waiting".to_owned(), json!(standing.waiting));
    fields.insert("of_this_run".to_owned(), json!(standing.of_this_run));
    fields.insert("bytes_done".to_owned(), json!(standing.position));
    fields.insert("bytes".to_owned(), json!(standing.size));
    fields.insert("elapsed_seconds".to_owned(), json!(standing.elapsed.as_secs_f64()));
}

fn percent(standing: &Standing) -> u64 {
    standing.position.saturating_mul(100).checked_div(standing.size).unwrap_or(100)
}

/// `FILE:LINE: item OFFSET: REASON field: message`.
fn refusal_line(file: &str, line: Option<u64>, refusal: &ImportRefusal) -> String {
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    let ImportRefusal { offset, reason, field, message } = refusal;
    let field = if field.is_empty() { String::new() } else { format!(" {field}") };
    format!("{place}: item {offset}: {reason}{field}: {message}").replace('\n', " ")
}

fn summary(ending: Ending, standing: &Standing) -> Vec<String> {
    let Standing { counts, of_this_run, elapsed, committed, .. } = standing;
    let mut lines = Vec::new();
    if ending == Ending::Complete && *of_this_run == 0 && committed.is_some() {
        lines.push("nothing to do: this import was complete".to_owned());
    }
    lines.push(format!("accepted: {}", counts.accepted));
    lines.push(format!("skipped: {}", counts.skipped));
    lines.push(format!("refused: {}", counts.refused));
    if standing.waiting > 0 {
        lines.push(format!("waiting: {}, for what they refer to", standing.waiting));
    }
    lines.push(format!("elapsed: {}", text::duration(*elapsed)));
    lines.push(format!("rate: {}", text::rate(meter::of(*of_this_run, elapsed.as_secs_f64()))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_file_line_item_reason_and_field() {
        let mut refusal = ImportRefusal {
            offset: 6,
            reason: "INVALID_FIELD".to_owned(),
            field: "teams[0]".to_owned(),
            message: "must not be empty".to_owned(),
        };
        let line = refusal_line("u.jsonl", Some(7), &refusal);
        assert_eq!(line, "u.jsonl:7: item 6: INVALID_FIELD teams[0]: must not be empty");
        refusal.field = String::new();
        assert_eq!(
            refusal_line("u.jsonl", None, &refusal),
            "u.jsonl: item 6: INVALID_FIELD: must not be empty"
        );
    }

    #[test]
    fn the_summary_tells_when_there_was_nothing_to_do() {
        let counts = Counts { accepted: 7, skipped: 0, refused: 1 };
        let elapsed = Duration::from_secs(2);
        let mut standing = Standing { counts, committed: Some(7), elapsed, ..Default::default() };
        assert!(summary(Ending::Complete, &standing)[0].starts_with("nothing to do"));

        standing.of_this_run = 8;
        let lines = ["accepted: 7", "skipped: 0", "refused: 1", "elapsed: 2.0s", "rate: 4.0/s"];
        assert_eq!(summary(Ending::Complete, &standing), lines);
    }

    #[test]
    fn an_empty_file_is_done_from_the_start() {
        assert_eq!(percent(&Standing::default()), 100);
        assert_eq!(percent(&Standing { position: 50, size: 200, ..Default::default() }), 25);
    }

    #[test]
    fn the_template_of_the_bar_is_sound() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
