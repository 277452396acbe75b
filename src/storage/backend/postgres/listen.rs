//! The one connection of a replica that LISTENs. It reconnects for ever; what was missed is told as a gap.

use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::sqlx::{self};
use tokio::sync::mpsc;

use crate::storage::backend::{Signal, Topic};

const TOPICS: [Topic; 2] = [Topic::Queue, Topic::Task];
const WAITING: usize = 1_024;

/// Listens until the receiver is dropped.
#[expect(clippy::disallowed_methods, reason = "ends when its receiver is gone")]
pub(super) fn start(url: &str) -> mpsc::Receiver<Signal> {
    let (signals, receiver) = mpsc::channel(WAITING);
    let url = url.to_owned();
    tokio::spawn(async move {
        while !signals.is_closed() {
            tokio::select! {
                lost = forward(&url, &signals) => if let Err(err) = lost {
                    tracing::warn!(error = %kind(&err), "lost the connection that listens; connecting again");
                },
                () = signals.closed() => return,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    receiver
}

async fn forward(url: &str, signals: &mpsc::Sender<Signal>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen_all(TOPICS.map(Topic::channel)).await?;
    // Whatever was told before now was not heard.
    signals.send(Signal::Gap).await.ok();
    loop {
        // `None` is a broken connection, after which notifications may be lost.
        let Some(told) = listener.try_recv().await? else { return Ok(()) };
        let topic = TOPICS.into_iter().find(|topic| topic.channel() == told.channel());
        if let Some(topic) = topic
            && signals.send(Signal::Told(topic, told.payload().to_owned())).await.is_err()
        {
            return Ok(());
        }
    }
}

fn kind(err: &sqlx::Error) -> &'static str {
    match err {
        sqlx::Error::Database(_) => "refused by the database",
        sqlx::Error::Io(_) => "connection lost",
        _ => "other",
    }
}
