//! Connections that must speak soon: one that stays silent after it was accepted is closed. And that end
//! without a loss: what a peer sends after we have closed would make the kernel reset the connection, and the
//! peer lose the last word of a stream that it has not read yet.
//!
//! Keepalive does not see silent ones, since it begins with HTTP/2; and a drain would wait for them for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// The client's part of the HTTP/2 preface (RFC 9113, 3.4), in bytes.
const PREFACE: usize = 24;

/// How long a peer may take to end a connection that we have ended.
const LINGER: Duration = Duration::from_secs(1);

/// A connection that fails when its preface does not come in time.
pub(super) struct Timed {
    inner: TcpStream,
    /// Until the preface has come.
    silent: Option<Pin<Box<Sleep>>>,
    read: usize,
    /// Since our end of it is closed.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    pub(super) fn new(inner: TcpStream, within: Duration) -> Self {
        Self { inner, silent: Some(Box::pin(tokio::time::sleep(within))), read: 0, linger: None }
    }
}

impl Connected for Timed {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.inner.connect_info()
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.read = self.read.saturating_add(buffer.filled().len() - before);
                if self.read >= PREFACE {
                    self.silent = None;
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let Some(silent) = &mut self.silent else { return Poll::Pending };
                ready!(silent.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, linger, .. } = &mut *self;
        if linger.is_none() {
            ready!(Pin::new(&mut *inner).poll_shutdown(context))?;
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
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
