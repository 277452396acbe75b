//! Tasks that a clock which stepped back would keep waiting: their time to run, or the end of their lease, is
//! further ahead than usher ever sets it.

use std::collections::HashMap;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::worker::LONGEST_PAUSE;
use crate::storage::queue::{self, Stalled};
use crate::storage::{StoreError, Urgency};

/// Looks twice a lease, until stopped.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    let mut tick = tokio::time::interval(engine.settings.lease / 2);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = HashMap::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(err) = look(&engine, &mut seen).await {
            err.log_delayed("looking for stalled tasks");
        }
    }
}

/// Frees tasks that wait for a wrong time. The holder of a lease, which may be alive, has one lease by the
/// monotonic clock to show it: every batch changes the row.
async fn look(engine: &Engine, seen: &mut HashMap<Stalled, Instant>) -> Result<(), StoreError> {
    let stalled = queue::list_stalled(&engine.store.read(None).await?, LONGEST_PAUSE).await?;
    seen.retain(|task, _| stalled.contains(task));
    for task in stalled {
        let since = *seen.entry(task.clone()).or_insert_with(Instant::now);
        if task.lease.is_some_and(|lease| since.elapsed() < lease) {
            continue;
        }
        let (app, id) = (task.app, task.id);
        let free = move |tx| {
            let task = task.clone();
            async move { queue::free_stalled(&tx, &task).await }
        };
        if engine.store.write(Urgency::Background, None, free).await? {
            tracing::info!(app.id = app.0, task.id = %id, "a task waited for a wrong time: the clock has stepped");
            engine.wake.notify_one();
        }
    }
    Ok(())
}
