//! Telling other replicas that a task has changed, and hearing it from them.
//!
//! Losing a notification costs a moment, never truth: watched tasks are also read in turns, and the queue is
//! polled. So it is in a single process: a call that was cancelled during its commit announces nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::model::id::{AppId, TaskId};
use crate::model::task::Task;
use crate::storage::backend::{Signal, Topic};
use crate::storage::{Store, tasks};

/// Changes of one task within this time are told once.
const COALESCE: Duration = Duration::from_millis(20);
/// The net beneath notifications that were lost: nobody should notice, as long as not many tasks are watched.
const POLL: Duration = Duration::from_millis(20);
/// Watched tasks that are read at each poll, in turns.
const POLLED: usize = 50;

/// Collects what is to be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Announcer {
    news: Arc<Mutex<News>>,
    ring: Arc<Notify>,
}

#[derive(Debug, Default)]
struct News {
    changed: HashMap<(AppId, TaskId), i64>,
    to_claim: bool,
}

impl Announcer {
    /// Notes that a task has a new revision.
    pub(super) fn changed(&self, task: &Task) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else would have to claim it only when nobody has.
        news.to_claim |= task.state == crate::model::task::TaskState::Pending;
        news.changed.insert((task.app, task.id), task.revision);
        self.ring.notify_one();
    }

    /// Tells the news until stopped, and what is left once more at the end.
    pub(super) async fn run(self, store: Store, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                () = self.ring.notified() => false,
                () = stop.cancelled() => true,
            };
            let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
            if let Err(err) = tell(&store, news).await {
                tracing::debug!(error = %err, "a notification was not sent; the poll will do");
            }
            if stopped {
                return;
            }
            tokio::time::sleep(COALESCE).await;
        }
    }
}

async fn tell(store: &Store, news: News) -> Result<(), crate::storage::StoreError> {
    if news.to_claim {
        store.notify(Topic::Queue, &[]).await?;
    }
    let payloads: Vec<String> =
        news.changed.iter().map(|((app, id), revision)| format!("{}:{id}:{revision}", app.0)).collect();
    if payloads.is_empty() {
        return Ok(());
    }
    store.notify(Topic::Task, &payloads).await
}

/// Passes what other replicas tell on to workers and watchers here, until stopped.
pub(super) async fn listen(engine: Engine, signals: Option<mpsc::Receiver<Signal>>, stop: CancellationToken) {
    // Where there are no other replicas, nothing is ever told.
    let (_silent, nothing) = mpsc::channel(1);
    let mut signals = signals.unwrap_or(nothing);
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = None;
    loop {
        let mut stale = HashSet::new();
        tokio::select! {
            Some(signal) = signals.recv() => hear(&engine, signal, &mut stale),
            _ = poll.tick() => {
                let watched = engine.hub.watched_after(turn, POLLED);
                turn = watched.last().copied().filter(|_| watched.len() == POLLED);
                stale.extend(watched);
            }
            () = stop.cancelled() => return,
        }
        while let Ok(signal) = signals.try_recv() {
            hear(&engine, signal, &mut stale);
        }
        if !stale.is_empty() {
            refresh(&engine, stale.into_iter().collect()).await;
        }
    }
}

fn hear(engine: &Engine, signal: Signal, stale: &mut HashSet<(AppId, TaskId)>) {
    match signal {
        Signal::Told(Topic::Queue, _) => engine.wake.notify_one(),
        Signal::Told(Topic::Task, payload) => {
            if let Some((key, revision)) = parse(&payload)
                && engine.hub.lacks(key, revision)
            {
                stale.insert(key);
            }
        }
        Signal::Gap => {
            engine.wake.notify_one();
            stale.extend(engine.hub.watched());
        }
    }
}

fn parse(payload: &str) -> Option<((AppId, TaskId), i64)> {
    let mut parts = payload.split(':');
    let app = AppId(parts.next()?.parse().ok()?);
    let id = parts.next()?.parse().ok()?;
    Some(((app, id), parts.next()?.parse().ok()?))
}

async fn refresh(engine: &Engine, keys: Vec<(AppId, TaskId)>) {
    let read = async {
        let db = engine.store.read(None).await?;
        tasks::list_by_key(&db, &keys).await
    };
    match read.await {
        Ok(found) => found.into_iter().for_each(|task| engine.hub.publish(task)),
        Err(err) => tracing::debug!(error = %err, "watched tasks could not be read; trying again"),
    }
}
