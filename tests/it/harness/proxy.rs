//! A way to a database that can go dead: bytes no longer pass, yet nothing is closed, as when a host or a
//! switch is gone.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::aside;

/// Leads to one address until frozen.
pub(crate) struct Proxy {
    address: SocketAddr,
    frozen: Arc<Notify>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let frozen = Arc::new(Notify::new());
        let ends = Arc::clone(&frozen);
        aside(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let ends = Arc::clone(&ends);
                aside(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    let passed = tokio::io::copy_bidirectional(&mut near, &mut far);
                    let frozen = tokio::select! {
                        _ = passed => false,
                        () = ends.notified() => true,
                    };
                    if frozen {
                        // Both sockets stay open, and silent, as long as the test runs.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { address, frozen }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing pass any more, on any connection there is.
    pub(crate) fn freeze(&self) {
        self.frozen.notify_waiters();
    }
}
