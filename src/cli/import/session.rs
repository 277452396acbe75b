//! Moves the elements of a file to the server, over as many streams as it takes.
//!
//! One loop does it all: it reads ahead, sends, and books acknowledgements, each when it is possible.
//! What is not acknowledged stays in the window, so that a new stream goes on where the old one broke.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::report::{Report, Standing};
use super::source::{Lines, Source, Step};
use super::split::{Content, Element, MAX_ITEM};
use super::tally::Tally;
use super::window::{Item, Window};
use crate::cli::connect::Client;
use crate::cli::failure::{self, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::retry::Patience;
use crate::proto::v1::import_content_request::Step as Message;
use crate::proto::v1::{
    ImportContentRequest, ImportContentResponse, ImportItem, ImportMode, ImportRefusal, ImportStart,
};

/// What to do after an import that broke off.
pub(super) const AGAIN: &str =
    "hint: what was stored stays stored; run the same command again to go on from there";
/// Messages handed to the connection ahead of what it takes.
const SEND_AHEAD: usize = 64;
/// After Ctrl-C: how long to wait until what was sent is acknowledged.
const FAREWELL: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(200);
/// Without progress for this long, it gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is imported, and how.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) import_id: String,
    pub(super) mode: ImportMode,
    pub(super) source: Source,
    /// SHA-256 of the file, which it must still have at its end.
    pub(super) fingerprint: String,
}

/// How moving a file ended, where the server did not refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// All that could be read is dealt with; the fault behind which the file could not be read, if any.
    Read(Option<String>),
    Interrupted,
}

pub(super) struct Session {
    client: Client,
    plan: Plan,
    file: mpsc::Receiver<Step>,
    lines: Lines,
    interrupt: Interrupt,
    report: Report,
    window: Window,
    tally: Tally,
    patience: Patience,
    began: Instant,
    /// Since when the server owes an answer, if it does.
    heard: Instant,
    position: u64,
    last_read: Option<i64>,
    /// Set once the file is read, to how that ended.
    read: Option<Result<(), String>>,
    /// Our side of the last stream. To let go of it says that nothing more comes, which is true at the end of
    /// the file only: a stream that broke, or is given up, is cancelled from the other side.
    open: Option<mpsc::Sender<ImportContentRequest>>,
    farewell: Duration,
    /// Set by Ctrl-C, to when it is over.
    stop: Option<Instant>,
}

impl Session {
    pub(super) fn new(client: Client, plan: Plan, interrupt: Interrupt, report: Report) -> Self {
        let began = Instant::now();
        let file = plan.source.elements(Some(plan.fingerprint.clone()));
        let lines = Lines::new(plan.source.clone());
        Self {
            client,
            plan,
            file,
            lines,
            interrupt,
            report,
            window: Window::default(),
            tally: Tally::default(),
            patience: Patience::new(PATIENCE, began),
            began,
            heard: began,
            position: 0,
            last_read: None,
            read: None,
            open: None,
            farewell: FAREWELL,
            stop: None,
        }
    }

    /// Goes on, stream after stream, until the file is done, or there is no hope.
    pub(super) async fn run(&mut self) -> Result<Finish, Failure> {
        self.report.started(&self.plan.import_id, self.plan.source.size);
        loop {
            let status = match self.one_stream().await {
                Ok(finish) => return Ok(finish),
                Err(_) if self.stop.is_some() => return Ok(Finish::Interrupted),
                Err(status) => status,
            };
            let first = self.patience.is_fresh();
            let delay = self.patience.next(Instant::now(), failure::retry_delay(&status));
            let Some(delay) = delay.filter(|_| self.client.may_recover(&status)) else {
                return Err(self.client.failure(&status).and(advice(&status)));
            };
            if first && !failure::is_routine(&status) {
                self.report.warn(&format!("{}\ntrying again", self.client.failure(&status)));
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.interrupt.wait() => return Ok(Finish::Interrupted),
            }
        }
    }

    /// How far it is.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            counts: self.tally.totals(),
            of_this_run: self.tally.of_this_run(),
            committed: self.tally.committed(),
            waiting: self.tally.waiting(),
            position: self.position,
            size: self.plan.source.size,
            elapsed: self.began.elapsed(),
        }
    }

    /// Whether the import goes beyond the end of the file: then it was begun with another one.
    pub(super) fn is_of_another_file(&self) -> bool {
        self.read == Some(Ok(())) && self.tally.committed() > self.last_read
    }

    /// What is read, for people.
    pub(super) fn name(&self) -> String {
        self.report.name()
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    async fn one_stream(&mut self) -> Result<Finish, Status> {
        let (items, outgoing) = mpsc::channel(SEND_AHEAD);
        let start = ImportStart {
            import_id: self.plan.import_id.clone(),
            mode: self.plan.mode.into(),
            content_sha256: self.plan.fingerprint.clone(),
        };
        // There is room: nothing was sent yet.
        let _ = items.try_send(message(Message::Start(start)));
        self.open = Some(items.clone());

        let mut content = self.client.content();
        let open = async {
            let mut acks = content.import_content(ReceiverStream::new(outgoing)).await?.into_inner();
            let first = acks.message().await?.ok_or_else(ended_early)?;
            Ok::<_, Status>((acks, first))
        };
        let (acks, first) = tokio::select! {
            opened = open => opened?,
            () = tokio::time::sleep_until(self.patience.end().into()) => return Err(silent()),
            () = self.interrupt.wait() => return Ok(Finish::Interrupted),
        };
        self.begin(first).await?;
        self.pump(items, acks).await
    }

    /// Takes the first acknowledgement of a stream, which tells how far the import is.
    async fn begin(&mut self, first: ImportContentResponse) -> Result<(), Status> {
        if first.committed_offset < self.tally.committed() {
            return Err(Status::data_loss("the server has lost a part of what it had acknowledged"));
        }
        if self.last_read.is_none() {
            self.patience.progress(Instant::now());
        }
        let known = self.tally.committed().is_some();
        self.tally.begin();
        self.window.rewind();
        self.acknowledge(first).await;
        if let (false, None, Some(committed)) = (known, self.last_read, self.tally.committed()) {
            self.report.resumed(committed);
        }
        Ok(())
    }

    async fn pump(
        &mut self,
        items: mpsc::Sender<ImportContentRequest>,
        mut acks: Streaming<ImportContentResponse>,
    ) -> Result<Finish, Status> {
        let mut items = Some(items);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            if self.all_sent() && self.read == Some(Ok(())) && self.stop.is_none() {
                items = None;
                self.open = None;
            }
            if let Some(finish) = self.broken_off() {
                return Ok(finish);
            }
            let waits = items.is_none() || self.window.awaits_answer();
            let wants_more = self.stop.is_none() && self.read.is_none() && self.window.has_room();
            let limit = self.stop.unwrap_or(self.heard + PATIENCE);
            tokio::select! {
                ack = acks.message() => match ack? {
                    Some(ack) => self.acknowledge(ack).await,
                    None => return self.ended(),
                },
                permit = room(items.as_ref()), if self.window.unsent().is_some() && self.stop.is_none() => self.send(permit, items.as_ref()),
                step = self.file.recv(), if wants_more => self.take(step),
                () = self.interrupt.wait() => match self.stop {
                    None => self.stop = Some(Instant::now() + self.farewell),
                    Some(_) => return Ok(Finish::Interrupted),
                },
                () = tokio::time::sleep_until(limit.into()), if waits => return Err(silent()),
                _ = tick.tick() => self.report.progress(&self.standing(), Instant::now()),
            }
        }
    }

    fn all_sent(&self) -> bool {
        self.read.is_some() && self.window.unsent().is_none()
    }

    /// How it ends where the file was not read to its end, once everything sent is acknowledged.
    fn broken_off(&mut self) -> Option<Finish> {
        if self.window.awaits_answer() {
            return None;
        }
        match &self.read {
            _ if self.stop.is_some() => Some(Finish::Interrupted),
            Some(Err(fault)) if self.window.is_empty() => {
                self.position = self.plan.source.size;
                Some(Finish::Read(Some(fault.clone())))
            }
            _ => None,
        }
    }

    /// Sends what there is room for.
    fn send(
        &mut self,
        permit: mpsc::Permit<'_, ImportContentRequest>,
        items: Option<&mpsc::Sender<ImportContentRequest>>,
    ) {
        let mut permit = Some(permit);
        while let (Some(room), Some(item)) = (permit.take(), self.window.unsent()) {
            room.send(message(Message::Item(ImportItem { offset: item.offset, json: item.json.clone() })));
            if !self.window.awaits_answer() {
                // Before, there was nothing to answer.
                self.heard = Instant::now();
            }
            self.window.mark_sent();
            permit = items.and_then(|items| items.try_reserve().ok());
        }
    }

    fn take(&mut self, step: Option<Step>) {
        match step {
            Some(Step::Elements(found)) => found.into_iter().for_each(|element| self.element(element)),
            Some(Step::End(end)) => self.read = Some(end),
            None => self.read = Some(Err("reading it broke off".to_owned())),
        }
    }

    fn element(&mut self, element: Element) {
        let Element { offset, line, end, content } = element;
        self.last_read = Some(offset);
        let refusal = match content {
            Content::Json(_) if self.tally.is_committed(offset) => {
                // To read what was dealt with before can take its time.
                self.patience.progress(Instant::now());
                None
            }
            Content::Json(json) => return self.window.push(Item { offset, line, end, json }),
            Content::TooLarge => {
                Some(("TOO_LARGE", format!("larger than {} KiB, the most an item may be", MAX_ITEM / 1024)))
            }
            Content::Malformed(problem) => Some(("INVALID_FIELD", problem)),
        };
        if let Some((reason, message)) = refusal {
            self.tally.refuse_locally();
            let reason = reason.to_owned();
            self.report.refused(Some(line), &ImportRefusal { offset, reason, field: String::new(), message });
        }
        if self.window.is_empty() {
            self.position = end;
        }
    }

    async fn acknowledge(&mut self, ack: ImportContentResponse) {
        self.heard = Instant::now();
        let before = self.tally.committed();
        for refusal in self.tally.book(ack) {
            let line = match self.window.line_of(refusal.offset) {
                Some(line) => Some(line),
                None => self.lines.of(refusal.offset).await,
            };
            self.report.refused(line, &refusal);
        }
        if let Some(committed) = self.tally.committed().filter(|committed| Some(*committed) > before) {
            self.patience.progress(Instant::now());
            self.position = self.window.commit(committed).unwrap_or(self.position);
        }
    }

    /// The server has ended the stream, as if all was well.
    fn ended(&mut self) -> Result<Finish, Status> {
        match &self.read {
            _ if self.stop.is_some() => Ok(Finish::Interrupted),
            Some(read) if self.window.is_empty() => {
                self.position = self.plan.source.size;
                Ok(Finish::Read(read.clone().err()))
            }
            _ => Err(ended_early()),
        }
    }
}

/// What to do after the server has refused an import.
fn advice(status: &Status) -> &'static str {
    match failure::reason(status).as_str() {
        "REQUEST_ID_REUSED" => {
            "hint: give another --import-id; without one, an import is named after its content"
        }
        _ => AGAIN,
    }
}

/// Waits for room to send. Where the call has ended, its status comes by the other way.
async fn room(items: Option<&mpsc::Sender<ImportContentRequest>>) -> mpsc::Permit<'_, ImportContentRequest> {
    if let Some(items) = items
        && let Ok(permit) = items.reserve().await
    {
        return permit;
    }
    std::future::pending().await
}

fn message(step: Message) -> ImportContentRequest {
    ImportContentRequest { step: Some(step) }
}

fn ended_early() -> Status {
    Status::unavailable("the server ended the stream before it had acknowledged everything")
}

fn silent() -> Status {
    Status::deadline_exceeded("the server does not answer")
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
