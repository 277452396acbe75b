//! Taking an address at the start, and connections from then on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio_stream::Stream;

use super::connection::{Connection, Terms};

/// Connections that the kernel takes ahead of us.
const BACKLOG: u32 = 1_024;
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that nobody else can take, and that nobody can connect to before [`Self::listen`].
pub(super) struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Reserved {
    pub(super) fn take(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that starts again right after its end finds its address free.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The port is the real one, also where any was asked for.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)
    }
}

/// The connections that `listener` takes until the drain, and those that the kernel had taken by then.
pub(super) fn accept(listener: TcpListener, terms: Terms) -> impl Stream<Item = io::Result<Connection>> {
    async_stream::stream! {
        while let Some(accepted) = terms.drain.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => yield Ok(Connection::new(stream, &terms)),
                Err(err) => {
                    // Out of file descriptors, most likely: asking again at once would only burn a core.
                    tracing::warn!(error = %err, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        for _ in 0..BACKLOG {
            let Some(Ok((stream, _))) = listener.accept().now_or_never() else { break };
            yield Ok(Connection::new(stream, &terms));
        }
    }
}
