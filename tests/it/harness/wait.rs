//! Waiting for what no signal announces. Everything that can be awaited is awaited instead.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something; `what` completes "there should be ...".
///
/// For states of other processes and of the operating system, which tell nobody when they change.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "there should be {what} within {LIMIT:?}");
        sleep(PAUSE).await;
    }
}
