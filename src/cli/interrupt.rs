//! Ctrl-C, for commands that have something to say or to finish before they end.

use std::pin::Pin;

/// Waits for Ctrl-C. Once it was first waited for, Ctrl-C no longer ends the program by itself.
pub(super) struct Interrupt(Pin<Box<dyn Future<Output = ()>>>);

impl Interrupt {
    /// The real one.
    pub(super) fn new() -> Self {
        Self(Self::next())
    }

    /// Waits for it; the next call waits for the next one. Can be dropped and called again.
    pub(super) async fn wait(&mut self) {
        self.0.as_mut().await;
        self.0 = Self::next();
    }

    fn next() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async {
            // Without a handler Ctrl-C ends the program, which is right too.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    #[cfg(test)]
    pub(super) fn when(asked: impl Future<Output = ()> + 'static) -> Self {
        Self(Box::pin(asked))
    }
}
