//! Callers that call again as soon as they are answered, for a round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use prost::Message;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::raw::Raw;

/// Connections that the callers share.
const CONNECTIONS: usize = 4;

/// A server, and how it is called.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Of the process.
    pub(crate) process: u32,
    pub(crate) authorization: Option<AsciiMetadataValue>,
}

/// One connection to a target.
#[derive(Clone)]
pub(crate) struct Line {
    channel: Channel,
    authorization: Option<AsciiMetadataValue>,
}

/// What callers do, again and again: the `number`th time.
pub(crate) trait Work: Send + Sync + 'static {
    /// One call, or several that belong together.
    fn call(&self, line: Line, number: u64) -> impl Future<Output = ()> + Send;
}

/// What came of a round.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) took: Duration,
    /// How long each call took.
    pub(crate) calls: Vec<Duration>,
    /// Processor time of the server.
    pub(crate) processor: Duration,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.calls.len() as f64 / self.took.as_secs_f64()
    }

    /// Adds another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.took += other.took;
        self.calls.extend(other.calls);
        self.processor += other.processor;
    }
}

impl Target {
    pub(crate) async fn connect(&self) -> Line {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let channel = endpoint.tcp_nodelay(true).connect().await.unwrap();
        Line { channel, authorization: self.authorization.clone() }
    }
}

impl Line {
    /// One unary call with a message as it is sent, and the answer.
    pub(crate) async fn unary(&self, path: &'static str, message: Vec<u8>) -> Vec<u8> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        let answer = grpc.unary(self.request(message), path, Raw).await;
        answer.unwrap_or_else(|status| panic!("{path:?}: {status:?}", path = status.message())).into_inner()
    }

    /// A stream, read to its end; the last message.
    pub(crate) async fn stream(&self, path: &'static str, message: &impl Message) -> Vec<u8> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let (request, path) =
            (self.request(message.encode_to_vec()), http::uri::PathAndQuery::from_static(path));
        let mut stream = grpc.server_streaming(request, path, Raw).await.unwrap().into_inner();
        let mut last = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            last = message;
        }
        last
    }

    fn request(&self, message: Vec<u8>) -> Request<Vec<u8>> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }
}

/// Lets so many callers work for a while. Numbers go on from `next`.
pub(crate) async fn load<W: Work>(
    target: &Target,
    work: &Arc<W>,
    callers: usize,
    next: &Arc<AtomicU64>,
    length: Duration,
) -> Measured {
    let lines = join_all((0..CONNECTIONS.min(callers)).map(|_| target.connect())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let before = crate::served::processor_time(target.process);
    let begun = Instant::now();
    let running: Vec<_> = (0..callers)
        .map(|caller| {
            let (line, work) = (lines[caller % lines.len()].clone(), Arc::clone(work));
            let (stop, next) = (Arc::clone(&stop), Arc::clone(next));
            #[expect(clippy::disallowed_methods, reason = "ends with the round")]
            tokio::spawn(async move {
                let mut calls = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let (number, begun) = (next.fetch_add(1, Ordering::Relaxed), Instant::now());
                    work.call(line.clone(), number).await;
                    calls.push(begun.elapsed());
                }
                calls
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    let calls = join_all(running).await.into_iter().flat_map(|calls| calls.expect("every call is answered"));
    let calls = calls.collect();
    let took = begun.elapsed();
    let processor = crate::served::processor_time(target.process).saturating_sub(before);
    Measured { took, calls, processor }
}
