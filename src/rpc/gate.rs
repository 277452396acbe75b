//! What every call passes through before its handler: drain, load, deadline, caller, right; and after it:
//! panics, tonic's own errors, log and metrics.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{auth, status};
use crate::domain::{Call, Domain, Error};
use crate::model::clock::Deadline;
use crate::storage::StoreError;

/// What the gate needs to know.
#[derive(Clone)]
pub struct Gate {
    /// Finds out who calls.
    pub domain: Domain,
    /// The longest a call may take.
    pub timeout: Duration,
    /// Calls at a time.
    pub slots: Arc<Semaphore>,
    /// Cancelled when streams are to end.
    pub stop: CancellationToken,
    /// Calls under way, for the drain to wait for.
    pub under_way: TaskTracker,
}

/// Handed to streaming handlers: cancelled when their streams are to end.
#[derive(Clone)]
pub(super) struct Stop(pub(super) CancellationToken);

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Gate,
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
        let gate = self.gate.clone();
        if auth::is_public(request.uri().path()) {
            return Box::pin(inner.call(request));
        }
        Box::pin(async move {
            let under_way = gate.under_way.token();
            let (begun, path) = (Instant::now(), request.uri().path().to_owned());
            let answer = pass(&gate, inner, request).await.unwrap_or_else(|err| status::of(err).into_http());
            observe(&path, &answer, begun.elapsed());
            drop(under_way);
            Ok(answer)
        })
    }
}

async fn pass<S>(gate: &Gate, mut inner: S, mut request: Request<Body>) -> Result<Answer, Error>
where
    S: Service<Request<Body>, Response = Answer, Error = Infallible>,
{
    let Some((rpc, right)) = auth::right_of(request.uri().path()) else {
        // Unknown to us: the router says UNIMPLEMENTED.
        return Ok(inner.call(request).await.unwrap_or_else(|never| match never {}));
    };
    if gate.stop.is_cancelled() {
        return Err(Error::Draining);
    }
    let _slot = gate.slots.try_acquire().map_err(|_| Error::Overloaded)?;
    let allowed = asked_timeout(request.headers()).map_or(gate.timeout, |asked| asked.min(gate.timeout));
    let deadline = Deadline::after(allowed);

    let serve = async {
        let caller = gate.domain.authenticate(&auth::credentials(request.headers()), deadline).await?;
        auth::check(&caller, rpc, right)?;
        request.extensions_mut().insert(Call { caller, deadline });
        request.extensions_mut().insert(Stop(gate.stop.clone()));
        Ok(inner.call(request).await.unwrap_or_else(|never| match never {}))
    };
    let served = tokio::time::timeout_at(deadline.instant().into(), AssertUnwindSafe(serve).catch_unwind());
    match served.await {
        Ok(Ok(answer)) => answer.map(in_our_words),
        Ok(Err(_)) => Err(StoreError::Internal(format!("{rpc} panicked")).into()),
        Err(_) => Err(Error::DeadlineExceeded),
    }
}

/// tonic's own refusal of a large message has another code than ours, and no reason.
fn in_our_words(answer: Answer) -> Answer {
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.code() == Code::OutOfRange => status::message_too_large().into_http(),
        _ => answer,
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

fn observe(path: &str, answer: &Answer, took: Duration) {
    // Paths come from callers; only those of the table become labels.
    let rpc = auth::right_of(path).map_or("unknown", |(rpc, _)| rpc);
    let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code());
    metrics::counter!("usher_calls_total", "rpc" => rpc, "code" => format!("{code:?}")).increment(1);
    metrics::histogram!("usher_call_seconds", "rpc" => rpc).record(took);
    tracing::debug!(rpc, code = ?code, duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "call");
}

#[cfg(test)]
mod tests {
    use super::*;

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
