//! Connections: bounded, and closed at the end of a drain.
//!
//! Keepalive does not see a peer that never begins to speak HTTP/2, and a graceful end waits for every peer to
//! answer; the library bounds resets in a queue, not in time. All of that is done here, over the bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::frames::{PREFACE, Streams};
use crate::rpc::gate::Handlers;

/// How long a peer may take to end a connection that we have ended: what it sends after we have closed would make
/// the kernel reset the connection, and the peer lose the last word of a stream that it has not read yet.
const LINGER: Duration = Duration::from_secs(1);
/// In a drain: a connection without open streams on which nothing has passed for so long is closed. Peers that
/// heed GOAWAY are gone before.
const QUIET: Duration = Duration::from_millis(300);
/// Streams that a peer may reset in a second before it is cut off (CVE-2023-44487). A proxy's connection carries
/// many callers, and each deadline that passes is a reset.
pub(super) const RESETS_PER_SECOND: u32 = 2_000;

/// What holds for every connection.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The preface must come within this time.
    pub(super) handshake: Duration,
    /// Handlers at a time: twice the streams that may be open, since a handler can outlive its stream for a moment.
    pub(super) max_handlers: usize,
    /// Cancelled when connections are to end.
    pub(super) drain: CancellationToken,
}

/// A connection of a caller, or of a proxy with many.
pub(super) struct Connection {
    inner: TcpStream,
    streams: Streams,
    /// Until the preface has come.
    silent: Option<Pin<Box<Sleep>>>,
    read: usize,
    resets: Resets,
    handlers: Handlers,
    max_handlers: usize,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    draining: bool,
    /// In a drain: since something passed last.
    quiet: Option<Pin<Box<Sleep>>>,
    /// Nothing more is read.
    ended: bool,
    /// Our end of it is closed.
    closed: bool,
    /// Since then.
    linger: Option<Pin<Box<Sleep>>>,
}

/// Resets within a second.
struct Resets {
    since: Instant,
    count: u32,
}

impl Resets {
    /// Whether there are more than allowed.
    fn exceeded_by(&mut self, more: u32) -> bool {
        if more > 0 && self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self { since: Instant::now(), count: 0 };
        }
        self.count += more;
        self.count > RESETS_PER_SECOND
    }
}

impl Connection {
    pub(super) fn new(inner: TcpStream, terms: &Terms) -> Self {
        // Small frames leave at once; failing to say so costs time only.
        inner.set_nodelay(true).ok();
        Self {
            inner,
            streams: Streams::new(),
            silent: Some(Box::pin(tokio::time::sleep(terms.handshake))),
            read: 0,
            resets: Resets { since: Instant::now(), count: 0 },
            handlers: Handlers::default(),
            max_handlers: terms.max_handlers,
            drain: Box::pin(terms.drain.clone().cancelled_owned()),
            draining: false,
            quiet: None,
            ended: false,
            closed: false,
            linger: None,
        }
    }

    /// Takes note of what was read.
    fn received(&mut self, bytes: &[u8]) {
        self.read = self.read.saturating_add(bytes.len());
        if self.read >= PREFACE {
            self.silent = None;
        }
        self.quiet = None;
        let resets = self.streams.received(bytes);
        if self.resets.exceeded_by(resets) {
            tracing::warn!("a connection is cut off: its peer resets too many streams");
            if let Some(goodbye) = self.streams.goodbye("too_many_resets") {
                self.inner.try_write(&goodbye).ok();
            }
            self.ended = true;
        }
    }

    /// In a drain: ready when a connection that nothing is open on has been quiet for long enough.
    fn poll_quiet(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.draining = self.draining || self.drain.as_mut().poll(context).is_ready();
        if !self.draining || !self.streams.is_idle() {
            self.quiet = None;
            return Poll::Pending;
        }
        let quiet = self.quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(QUIET)));
        quiet.as_mut().poll(context)
    }

    /// Takes note of what was written.
    fn sent(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        self.streams.sent(bytes);
        if self.draining {
            self.quiet = None;
            // For the timer to be set; whether it has run out is asked where bytes are read.
            let _ = self.poll_quiet(context);
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Handlers;

    fn connect_info(&self) -> Handlers {
        self.handlers.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(Ok(()));
        }
        // More handlers than streams can be open: those of streams that were reset have to end first.
        ready!(this.handlers.poll_below(this.max_handlers, context));
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                this.received(buffer.filled().get(before..).unwrap_or_default());
                if this.ended {
                    // What was read now is not worked on.
                    buffer.set_filled(before);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(err)) => Poll::Ready(Err(err)),
            Poll::Pending => {
                if this.poll_quiet(context).is_ready() {
                    this.ended = true;
                    this.linger = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
                    return Poll::Ready(Ok(()));
                }
                let Some(silent) = &mut this.silent else { return Poll::Pending };
                ready!(silent.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.sent(bytes.get(..written).unwrap_or_default(), context);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, linger, closed, .. } = &mut *self;
        if !*closed {
            ready!(Pin::new(&mut *inner).poll_shutdown(context))?;
            *closed = true;
        }
        let linger = linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut bytes = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *inner).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(linger.as_mut().poll(context));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices))?;
        let mut left = written;
        for slice in slices {
            let part = slice.get(..left.min(slice.len())).unwrap_or_default();
            self.sent(part, context);
            left -= part.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
