//! The one connection of a replica that LISTENs. It reconnects for ever; what was missed is told as a gap.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, Executor as _};
use tokio::sync::mpsc;

use crate::storage::backend::{Signal, Topic};
use crate::storage::{Outage, StoreError};

const TOPICS: [Topic; 2] = [Topic::Queue, Topic::Task];
const WAITING: usize = 1_024;
/// A connection that said nothing for so long is asked whether it is still there, and answers within this.
const SILENCE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens until the receiver is dropped.
#[expect(clippy::disallowed_methods, reason = "ends when its receiver is gone")]
pub(super) fn start(options: PgConnectOptions) -> mpsc::Receiver<Signal> {
    let (signals, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut listens = true;
        while !signals.is_closed() {
            tokio::select! {
                lost = forward(&options, &signals, &mut listens) => if let Err(err) = lost
                    // Said once, however often it is tried.
                    && std::mem::take(&mut listens)
                {
                    tracing::warn!(error = %err, "lost the connection that listens; connecting again");
                },
                () = signals.closed() => return,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    receiver
}

/// Forwards until the connection is lost; `listens` is set once it listens.
async fn forward(
    options: &PgConnectOptions,
    signals: &mpsc::Sender<Signal>,
    listens: &mut bool,
) -> Result<(), StoreError> {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.acquire_timeout(PATIENCE).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    // Another connection is another turn of the loop, which says so.
    listener.eager_reconnect(false);
    answered(listener.listen_all(TOPICS.map(Topic::channel))).await?;
    *listens = true;
    // Whatever was told before now was not heard.
    signals.send(Signal::Gap).await.ok();
    loop {
        let Ok(told) = tokio::time::timeout(SILENCE, listener.try_recv()).await else {
            // A dead connection is as silent as one with nothing to say.
            answered(listener.execute("SELECT 1")).await?;
            continue;
        };
        // `None` is a broken connection, after which notifications may be lost.
        let told = told?.ok_or(StoreError::Unavailable(Outage::ConnectionLost))?;
        let topic = TOPICS.into_iter().find(|topic| topic.channel() == told.channel());
        if let Some(topic) = topic
            && signals.send(Signal::Told(topic, told.payload().to_owned())).await.is_err()
        {
            return Ok(());
        }
    }
}

async fn answered<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    Ok(answered.map_err(|_| StoreError::Unavailable(Outage::NoAnswer))??)
}
