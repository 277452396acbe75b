//! Reading anew what is remembered of users and apps, before it has grown old and beside the calls that use it.
//!
//! So no call waits for the database on behalf of a user that was seen a moment ago, and many users are read by
//! one query. What cannot be read grows old, and the next call finds out by itself.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::Domain;
use crate::domain::vault::stored;
use crate::model::id::{AppId, UserId};
use crate::storage::StoreError;

/// What may wait to be read. More is left to grow old.
const WAITING: usize = 10_000;
/// By then what waits has grown old.
const PATIENCE: Duration = Duration::from_secs(1);
/// Users read by one query.
const BATCH: usize = 500;
/// How often the keyset is read.
const KEYSET: Duration = Duration::from_secs(5);

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::domain) enum Due {
    App(AppId),
    User(AppId, UserId),
    Key(String),
    Keys(AppId),
}

/// What waits to be read anew.
pub struct Renewals {
    due: mpsc::Sender<Due>,
    waiting: Mutex<mpsc::Receiver<Due>>,
}

impl Default for Renewals {
    fn default() -> Self {
        let (due, waiting) = mpsc::channel(WAITING);
        Self { due, waiting: Mutex::new(waiting) }
    }
}

impl Renewals {
    /// Has it read anew.
    pub(in crate::domain) fn ask(&self, due: Due) {
        // Where too much waits it grows old.
        self.due.try_send(due).ok();
    }
}

impl Domain {
    /// Reads anew what is asked for until stopped.
    pub async fn follow_renewals(self, stop: CancellationToken) {
        let renewals = std::sync::Arc::clone(&self.renewals);
        let mut waiting = renewals.waiting.lock().await;
        let mut batch = Vec::new();
        let mut keyset = tokio::time::interval(KEYSET);
        loop {
            tokio::select! {
                _ = waiting.recv_many(&mut batch, BATCH) => {}
                _ = keyset.tick() => {
                    let renewed = tokio::time::timeout(PATIENCE, self.renew_keyset()).await;
                    if !matches!(renewed, Ok(Ok(_))) {
                        tracing::debug!("the keyset could not be read anew");
                    }
                    continue;
                }
                () = stop.cancelled() => return,
            }
            let renewed = tokio::time::timeout(PATIENCE, self.renew(batch.drain(..).collect())).await;
            if !matches!(renewed, Ok(Ok(()))) {
                tracing::debug!("what is remembered could not be read anew");
            }
        }
    }

    /// So that what was sealed with a key that was retired meanwhile is refused here too.
    async fn renew_keyset(&self) -> Result<bool, StoreError> {
        stored::renew(&self.store.read(None).await?, &self.vault).await
    }

    async fn renew(&self, batch: HashSet<Due>) -> Result<(), StoreError> {
        let began = Instant::now();
        let db = self.store.read(None).await?;
        let mut users: HashMap<AppId, Vec<UserId>> = HashMap::new();
        for due in batch {
            match due {
                Due::App(app) => drop(users.entry(app).or_default()),
                Due::User(app, user) => users.entry(app).or_default().push(user),
                Due::Key(kid) => drop(self.read_key(&db, &kid, began).await?),
                Due::Keys(app) => drop(self.read_keys(&db, app, began).await?),
            }
        }
        for (app, users) in users {
            let users: Vec<&UserId> = users.iter().collect();
            self.read_standings(&db, app, &users, began).await?;
        }
        Ok(())
    }
}
