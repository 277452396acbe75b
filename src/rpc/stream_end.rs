//! When a stream ends before its time: when the server drains, at the caller's deadline, and as soon as a call
//! with the same credentials would be refused.
//!
//! The caller is judged again several times a second, from what the caches of keys, apps and users remember:
//! streams do not read the database for it. Together with how long those remember, a stream ends within a second
//! of whatever refuses its caller, on every replica.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::{Request, Status};

use super::auth::{self, Right};
use super::gate::Gate;
use super::status;
use crate::domain::Error;
use crate::domain::tokens::authenticate::Credentials;
use crate::model::clock::Deadline;
use crate::storage::StoreError;

/// How often the caller is judged again.
const EVERY: Duration = Duration::from_millis(150);
/// How long a judgement that has to ask the database may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Nothing passes after a judgement as old as this: the stream stood still because nobody read it.
const OLDEST: Duration = Duration::from_secs(1);

/// What the gate notes of a call, for the case that it is a stream.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) gate: Arc<Gate>,
    /// What the stream was opened with.
    pub(super) credentials: Credentials,
    pub(super) rpc: &'static str,
    pub(super) right: Right,
    /// The caller's own.
    pub(super) deadline: Option<Deadline>,
}

/// The end of one stream.
pub(super) struct StreamEnd {
    opened: Arc<Opened>,
    /// When the caller was judged last.
    judged: Instant,
    /// The judgement under way; kept here, so that it goes on however often a handler is interrupted.
    judging: Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>,
    refused: bool,
}

impl StreamEnd {
    /// Takes it out of a request.
    pub(super) fn of<M>(request: &mut Request<M>) -> Result<Self, Status> {
        let opened: Opened = request
            .extensions_mut()
            .remove()
            .ok_or_else(|| status::of(StoreError::Internal("a stream came past the gate".into())))?;
        let opened = Arc::new(opened);
        let judging = Box::pin(judge_later(Arc::clone(&opened)));
        Ok(Self { opened, judged: Instant::now(), judging, refused: false })
    }

    /// What comes of `work`, or why the stream has to end first.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Status> {
        tokio::pin!(work);
        loop {
            let is_overdue = self.judged.elapsed() >= OLDEST;
            tokio::select! {
                biased;
                () = self.opened.gate.stop.cancelled() => return Err(status::draining()),
                () = passed(self.opened.deadline) => return Err(status::of(Error::DeadlineExceeded)),
                judged = &mut self.judging => {
                    self.refused = judged.is_err();
                    self.judged = Instant::now();
                    self.judging = Box::pin(judge_later(Arc::clone(&self.opened)));
                    judged?;
                }
                done = &mut work, if !is_overdue => return Ok(done),
            }
        }
    }

    /// Whether it has ended because its caller is refused now.
    pub(super) const fn is_refused(&self) -> bool {
        self.refused
    }
}

/// Judges the caller when it is time. While the database cannot be asked the stream goes on with what it has
/// read, and is judged again soon.
async fn judge_later(opened: Arc<Opened>) -> Result<(), Status> {
    tokio::time::sleep(EVERY).await;
    let Opened { gate, credentials, rpc, right, .. } = &*opened;
    let judged = gate.domain.authenticate(credentials, Deadline::after(PATIENCE)).await;
    match judged.and_then(|caller| auth::check(&caller, rpc, *right)) {
        Err(Error::Store(_)) | Ok(()) => Ok(()),
        Err(refused) => Err(status::of(refused)),
    }
}

async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.instant().into()).await,
        None => std::future::pending().await,
    }
}
