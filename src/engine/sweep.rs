//! Forgetting tasks that ended long ago, with their items.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::storage::{StoreError, Urgency, queue};

const EVERY: Duration = Duration::from_mins(10);
/// Tasks per transaction: each may have 10,000 items.
const BATCH: u64 = 5;

/// Sweeps now and then until stopped.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        while !stop.is_cancelled() {
            match sweep(&engine).await {
                Ok(0) => break,
                Ok(tasks) => tracing::info!(tasks, "forgot tasks that ended long ago"),
                Err(err) => {
                    err.log_delayed("sweeping ended tasks");
                    break;
                }
            }
        }
    }
}

async fn sweep(engine: &Engine) -> Result<u64, StoreError> {
    let before = engine.clock.now().minus(engine.settings.retention);
    engine
        .store
        .write(Urgency::Background, None, move |tx| async move {
            queue::delete_finished(&tx, before, BATCH).await
        })
        .await
}
