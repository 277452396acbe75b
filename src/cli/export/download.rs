//! Fetches an archive, over as many streams as it takes: each goes on at the bytes that are there.

use std::time::{Duration, Instant};

use tonic::{Status, Streaming};

use super::shelf::{Part, Place, Settled};
use crate::cli::connect::{Client, unary};
use crate::cli::failure::{self, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::output;
use crate::cli::retry::Patience;
use crate::proto::v1::download_result_response::Part as Message;
use crate::proto::v1::{
    DownloadResultRequest, DownloadResultResponse, ExportedFile, ListTaskItemsRequest, TaskItem,
};

/// Without progress for this long, it gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Items of one answer.
const PAGE: i32 = 1_000;

/// How fetching an archive ended.
#[derive(Debug)]
pub(super) enum Fetched {
    Here,
    /// It could not be fetched: the others may be.
    Refused(Refusal),
    Interrupted,
}

/// Why an archive is not there.
#[derive(Debug)]
pub(super) struct Refusal {
    /// As the API calls it.
    pub(super) reason: String,
    pub(super) failure: Failure,
}

/// Fetches the archives of one task.
pub(super) struct Fetcher<'a> {
    client: &'a Client,
    task_id: &'a str,
    interrupt: &'a mut Interrupt,
    patience: Patience,
}

enum End {
    Over,
    Interrupted,
    Broken(Status),
}

/// Whether to try again.
enum Again {
    Yes,
    Interrupted,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(client: &'a Client, task_id: &'a str, interrupt: &'a mut Interrupt) -> Self {
        Self { client, task_id, interrupt, patience: Patience::new(PATIENCE, Instant::now()) }
    }

    /// All items of the task; `None` where Ctrl-C came first.
    pub(super) async fn items(&mut self) -> Result<Option<Vec<TaskItem>>, Failure> {
        let (mut items, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListTaskItemsRequest {
                task_id: self.task_id.to_owned(),
                outcomes: Vec::new(),
                limit: PAGE,
                page_token: page_token.clone(),
            };
            let mut tasks = self.client.tasks();
            let answer = tokio::select! {
                answer = tasks.list_task_items(unary(request)) => answer,
                () = self.interrupt.wait() => return Ok(None),
            };
            match answer.map(tonic::Response::into_inner) {
                Ok(page) => {
                    self.patience.progress(Instant::now());
                    items.extend(page.items);
                    page_token = page.next_page_token;
                    if page_token.is_empty() {
                        return Ok(Some(items));
                    }
                }
                Err(status) => match self.again(&status).await? {
                    Again::Yes => {}
                    Again::Interrupted => return Ok(None),
                },
            }
        }
    }

    /// Fetches the archive of an item to its place.
    pub(super) async fn fetch(
        &mut self,
        index: i32,
        wanted: &ExportedFile,
        place: &Place,
        force: bool,
    ) -> Result<Fetched, Failure> {
        let (asked, sought) = (place.clone(), wanted.clone());
        match self.aside(move || asked.holds(&sought)).await? {
            None => return Ok(Fetched::Interrupted),
            Some(true) => return Ok(Fetched::Here),
            Some(false) if !force && place.is_taken() => return Ok(refused("FILE_EXISTS", place.taken())),
            Some(false) => {}
        }
        let mut part = place.open()?;
        loop {
            let is_anew = part.length == 0;
            match self.whole(index, wanted, &mut part).await? {
                Some(Fetched::Refused(refusal)) => {
                    // Of a user who is deleted for good, nothing may stay.
                    if refusal.reason == "EXPORT_GONE" {
                        part.remove()?;
                    }
                    return Ok(Fetched::Refused(refusal));
                }
                Some(ended) => return Ok(ended),
                None => {}
            }
            let sought = wanted.clone();
            match self.aside(move || part.settle(&sought, force)).await? {
                None => return Ok(Fetched::Interrupted),
                Some(Settled::Here) => return Ok(Fetched::Here),
                Some(Settled::Bad(failure)) => return Ok(refused("DAMAGED", failure)),
                Some(Settled::Different(different)) => part = different,
            }
            part.clear()?;
            if is_anew {
                let what = "what was downloaded is not what the server has: its SHA-256 differs";
                return Ok(refused("DAMAGED", Failure::failed(what)));
            }
            // What was there before was of another archive.
        }
    }

    /// Does what blocks for long; `None` where Ctrl-C came first.
    async fn aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        tokio::select! {
            done = tokio::task::spawn_blocking(work) => {
                done.map_err(|err| Failure::failed(err.to_string()))?.map(Some)
            }
            () = self.interrupt.wait() => Ok(None),
        }
    }

    /// Fetches to the last byte; says where it ended before.
    async fn whole(
        &mut self,
        index: i32,
        wanted: &ExportedFile,
        part: &mut Part,
    ) -> Result<Option<Fetched>, Failure> {
        loop {
            let status = match self.one_stream(index, wanted, part).await? {
                End::Over => return Ok(None),
                End::Interrupted => return Ok(Some(Fetched::Interrupted)),
                End::Broken(status) => status,
            };
            let reason = failure::reason(&status);
            if matches!(reason.as_str(), "EXPORT_GONE" | "EXPORT_NOT_READY") {
                let failure = self.client.failure(&status);
                return Ok(Some(Fetched::Refused(Refusal { reason, failure })));
            }
            if matches!(self.again(&status).await?, Again::Interrupted) {
                return Ok(Some(Fetched::Interrupted));
            }
        }
    }

    /// Waits before the next attempt, unless there is none.
    async fn again(&mut self, status: &Status) -> Result<Again, Failure> {
        let first = self.patience.is_fresh();
        let delay = self.patience.next(Instant::now(), failure::retry_delay(status));
        let Some(delay) = delay.filter(|_| self.client.may_recover(status)) else {
            return Err(self.client.failure(status));
        };
        if first && !failure::is_routine(status) {
            output::note("the connection is lost; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(Again::Yes),
            () = self.interrupt.wait() => Ok(Again::Interrupted),
        }
    }

    async fn one_stream(
        &mut self,
        index: i32,
        wanted: &ExportedFile,
        part: &mut Part,
    ) -> Result<End, Failure> {
        let total = u64::try_from(wanted.bytes).unwrap_or_default();
        if part.length > total {
            part.clear()?;
        }
        if part.length == total {
            return Ok(End::Over);
        }
        let offset = i64::try_from(part.length).unwrap_or_default();
        let request = DownloadResultRequest { task_id: self.task_id.to_owned(), index, offset };
        let mut tasks = self.client.tasks();
        let opened = tokio::select! {
            opened = tasks.download_result(request) => opened,
            () = tokio::time::sleep_until(self.patience.end().into()) => Err(silent()),
            () = self.interrupt.wait() => return Ok(End::Interrupted),
        };
        match opened {
            Ok(stream) => self.read(stream.into_inner(), wanted, part).await,
            Err(status) => Ok(End::Broken(status)),
        }
    }

    async fn read(
        &mut self,
        mut stream: Streaming<DownloadResultResponse>,
        wanted: &ExportedFile,
        part: &mut Part,
    ) -> Result<End, Failure> {
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                () = tokio::time::sleep_until(self.patience.end().into()) => Err(silent()),
                () = self.interrupt.wait() => return Ok(End::Interrupted),
            };
            match message {
                Ok(Some(DownloadResultResponse { part: Some(Message::Data(data)) })) => {
                    part.append(&data)?;
                    self.patience.progress(Instant::now());
                }
                Ok(Some(DownloadResultResponse { part: Some(Message::Header(header)) })) => {
                    if (header.total_bytes, &header.sha256) != (wanted.bytes, &wanted.sha256) {
                        return Err(Failure::failed("the archive is another one than its task says"));
                    }
                }
                Ok(Some(DownloadResultResponse { part: None })) => {}
                Ok(None) if i64::try_from(part.length) == Ok(wanted.bytes) => return Ok(End::Over),
                ended => {
                    let early = || Status::unavailable("the download ended before the archive");
                    return Ok(End::Broken(ended.err().unwrap_or_else(early)));
                }
            }
        }
    }
}

fn refused(reason: &str, failure: Failure) -> Fetched {
    Fetched::Refused(Refusal { reason: reason.to_owned(), failure })
}

/// The error where a server took the call and then said nothing.
fn silent() -> Status {
    Status::deadline_exceeded("the server does not answer")
}
