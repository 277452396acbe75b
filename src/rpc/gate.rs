//! What every call passes through before its handler: load, deadline, caller, right; and after it:
//! panics, tonic's own errors, log and metrics.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::task::AtomicWaker;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use prost::bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::auth::{self, Right};
use super::status;
use super::stream_end::Opened;
use crate::domain::{Call, Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::AppId;
use crate::storage::StoreError;

/// Not compressed, though callers accept it: tonic compresses each message of a stream alone, and these are small,
/// or compressed already.
const UNCOMPRESSED: [&str; 3] = [
    "/usher.v1.TaskService/WatchTask",
    "/usher.v1.TaskService/DownloadResult",
    "/usher.v1.ContentService/ImportContent",
];

/// What the gate needs to know.
#[derive(Clone)]
pub struct Gate {
    /// Finds out who calls.
    pub domain: Domain,
    /// The longest a call may take.
    pub timeout: Duration,
    /// Calls at a time, and of one app.
    pub slots: Arc<Slots>,
    /// Cancelled when streams are to end.
    pub stop: CancellationToken,
}

/// The handlers at work for one connection. Where the peer resets a stream, its handler ends a moment later.
#[derive(Debug, Clone, Default)]
pub struct Handlers(Arc<AtWork>);

#[derive(Debug, Default)]
struct AtWork {
    count: AtomicUsize,
    /// Of who waits for one to end.
    waker: AtomicWaker,
}

impl Handlers {
    /// Waits until there are fewer than `limit`.
    pub fn poll_below(&self, limit: usize, context: &mut Context<'_>) -> Poll<()> {
        let below = || self.0.count.load(Ordering::Acquire) < limit;
        if below() {
            return Poll::Ready(());
        }
        self.0.waker.register(context.waker());
        if below() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn begin(&self) -> Handler {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Handler(Arc::clone(&self.0))
    }
}

/// A handler at work; ends when dropped.
struct Handler(Arc<AtWork>);

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.waker.wake();
    }
}

/// Calls that are worked on at a time. One app may take half of them, so that it cannot shut out the others.
pub struct Slots {
    all: Semaphore,
    of_app: usize,
    apps: Mutex<HashMap<AppId, Arc<Semaphore>>>,
}

impl Slots {
    /// `max` calls in all.
    pub fn new(max: usize) -> Self {
        Self { all: Semaphore::new(max), of_app: max.div_ceil(2), apps: Mutex::default() }
    }

    /// Those of `app`. Only apps that exist get here, so this does not grow with what callers send.
    fn of(&self, app: AppId) -> Arc<Semaphore> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(apps.entry(app).or_insert_with(|| Arc::new(Semaphore::new(self.of_app))))
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: Arc::new(self.clone()), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Arc<Gate>,
    inner: S,
}

type Answer = Response<Body>;

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Answer, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone has not been polled; the one that has is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let gate = Arc::clone(&self.gate);
        let at_work = request.extensions().get().map(Handlers::begin);
        if auth::is_public(request.uri().path()) {
            return Box::pin(async move {
                // A peer that never ends its request is not waited for; streams have answered by then.
                let answered = tokio::time::timeout(gate.timeout, inner.call(request)).await;
                drop(at_work);
                answered.map_or_else(
                    |_| Ok(status::of(Error::DeadlineExceeded).into_http()),
                    |answer| answer.map(|answer| until(gate.stop.clone(), in_our_words(answer))),
                )
            });
        }
        Box::pin(async move {
            // Paths come from callers; only those of the table become labels.
            let (begun, right) = (Instant::now(), auth::right_of(request.uri().path()));
            let passed = pass(&gate, inner, request, right).await;
            let answer = passed.unwrap_or_else(|err| status::of(err).into_http());
            observe(right.map_or("unknown", |(rpc, _)| rpc), &answer, begun.elapsed());
            drop(at_work);
            Ok(answer)
        })
    }
}

async fn pass<S>(
    gate: &Arc<Gate>,
    mut inner: S,
    mut request: Request<Body>,
    right: Option<(&'static str, Right)>,
) -> Result<Answer, Error>
where
    S: Service<Request<Body>, Response = Answer, Error = Infallible>,
{
    let Some((rpc, right)) = right else {
        // Unknown to us: the router says UNIMPLEMENTED.
        return Ok(inner.call(request).await.unwrap_or_else(|never| match never {}));
    };
    if UNCOMPRESSED.contains(&rpc) {
        request.headers_mut().remove("grpc-accept-encoding");
    }
    let _slot = gate.slots.all.try_acquire().map_err(|_| Error::Overloaded)?;
    let asked = asked_timeout(request.headers());
    let deadline = Deadline::after(asked.map_or(gate.timeout, |asked| asked.min(gate.timeout)));

    let serve = async {
        let credentials = auth::credentials(request.headers());
        let caller = gate.domain.authenticate(&credentials, deadline).await?;
        auth::check(&caller, rpc, right)?;
        let slots = gate.slots.of(caller.app);
        let _slot = slots.try_acquire().map_err(|_| Error::Overloaded)?;
        request.extensions_mut().insert(Call { caller, rpc, deadline });
        request.extensions_mut().insert(Opened {
            gate: Arc::clone(gate),
            credentials,
            rpc,
            right,
            deadline: asked.map(Deadline::after),
        });
        Ok(inner.call(request).await.unwrap_or_else(|never| match never {}))
    };
    let served = tokio::time::timeout_at(deadline.instant().into(), AssertUnwindSafe(serve).catch_unwind());
    match served.await {
        Ok(Ok(answer)) => answer.map(in_our_words),
        Ok(Err(_)) => Err(StoreError::Internal(format!("{rpc} panicked")).into()),
        Err(_) => Err(Error::DeadlineExceeded),
    }
}

/// Ends the stream of an answer with `SERVER_DRAINING` once `stop` is cancelled and nothing more comes at once.
fn until(stop: CancellationToken, answer: Answer) -> Answer {
    answer.map(|body| Body::new(Until { body, stop: Box::pin(stop.cancelled_owned()), ended: false }))
}

/// See [`until`].
struct Until {
    body: Body,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(self.stop.as_mut().poll(context));
        self.ended = true;
        let mut trailers = HeaderMap::new();
        status::draining().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }
}

/// Says tonic's own refusals as ours.
fn in_our_words(answer: Answer) -> Answer {
    match Status::from_header_map(answer.headers()) {
        Some(refusal) => status::translated(&refusal).map_or(answer, Status::into_http),
        None => answer,
    }
}

/// The caller's `grpc-timeout`: up to 8 digits and a unit.
fn asked_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

fn observe(rpc: &'static str, answer: &Answer, took: Duration) {
    let status = Status::from_header_map(answer.headers());
    // The name of a code is written out only where it is another one than that of nearly every call.
    let code = status.map_or(Cow::Borrowed("Ok"), |status| Cow::Owned(format!("{:?}", status.code())));
    metrics::counter!("usher_calls_total", "rpc" => rpc, "code" => code.clone()).increment(1);
    metrics::histogram!("usher_call_seconds", "rpc" => rpc).record(took);
    tracing::debug!(rpc, code = %code, duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "call");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_handlers_is_woken_when_one_ends() {
        let (handlers, mut context) = (Handlers::default(), Context::from_waker(std::task::Waker::noop()));
        let (first, second) = (handlers.begin(), handlers.clone().begin());
        assert!(handlers.poll_below(2, &mut context).is_pending());
        assert!(handlers.poll_below(3, &mut context).is_ready());
        drop(first);
        assert!(handlers.poll_below(2, &mut context).is_ready());
        drop(second);
        assert!(handlers.poll_below(1, &mut context).is_ready());
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            asked_timeout(&headers)
        };
        assert_eq!(read("150m"), Some(Duration::from_millis(150)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        for bad in ["", "m", "-1S", "123456789S", "5", "5x", "1.5S", "5é"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
