//! Signs of life, written behind: kept here until they are written together, a few seconds later at most.
//!
//! What is lost with a process that dies is what it has seen since the last writing. A session whose first
//! sign was lost lives on with the next one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{Domain, Error};
use crate::model::id::AppId;
use crate::model::session::{LATENESS, SILENCE, Sign};
use crate::storage::presence::{self, SessionSign};
use crate::storage::{StoreError, Urgency};

/// How often signs are written.
const EVERY: Duration = Duration::from_secs(2);
/// Signs per transaction.
const BATCH: usize = 500;
/// Sessions are forgotten so long after their last sign: longer than one can be told to have ended.
const KEPT: Duration = Duration::from_hours(1);
/// How often old sessions are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

const _: () = assert!(EVERY.as_millis() < LATENESS.as_millis() && SILENCE.as_secs() * 2 < KEPT.as_secs());

/// Signs that were not written yet, by app and session.
#[derive(Default)]
pub struct Signs(Mutex<HashMap<(AppId, String), SessionSign>>);

impl Signs {
    /// Notes a sign.
    pub(super) fn note(&self, app: AppId, noted: SessionSign) {
        let mut signs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (app, noted.session.clone());
        let sign = noted.sign;
        signs.entry(key).and_modify(|known| known.sign = known.sign.merged(sign)).or_insert(noted);
    }

    /// The sign that waits to be written, if any.
    pub(super) fn waiting(&self, app: AppId, session: &str) -> Option<Sign> {
        let signs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        signs.get(&(app, session.to_owned())).map(|noted| noted.sign)
    }

    /// Takes them all, by app; in order of users, so that batches lock them in order.
    fn take(&self) -> Vec<(AppId, Vec<SessionSign>)> {
        let signs = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut apps: HashMap<AppId, Vec<SessionSign>> = HashMap::new();
        for ((app, _), noted) in signs {
            apps.entry(app).or_default().push(noted);
        }
        for signs in apps.values_mut() {
            signs.sort_by(|a, b| a.user.cmp(&b.user));
        }
        apps.into_iter().collect()
    }
}

impl Domain {
    /// Writes signs of life, and forgets old sessions, now and then until stopped.
    pub async fn follow_presence(self, stop: CancellationToken) {
        let mut write = tokio::time::interval(EVERY);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            let done = tokio::select! {
                _ = write.tick() => self.flush_presence().await,
                _ = sweep.tick() => self.sweep_sessions(&stop).await,
                () = stop.cancelled() => return,
            };
            if let Err(err) = done {
                err.log_delayed("writing presence");
            }
        }
    }

    /// Writes every sign that waits. What cannot be written goes on to wait.
    pub async fn flush_presence(&self) -> Result<(), Error> {
        let mut failed = Ok(());
        for (app, signs) in self.signs.take() {
            for batch in signs.chunks(BATCH) {
                if let Err(err) = self.write_signs(app, batch).await {
                    for sign in batch {
                        self.signs.note(app, sign.clone());
                    }
                    failed = Err(err);
                }
            }
        }
        failed
    }

    async fn write_signs(&self, app: AppId, signs: &[SessionSign]) -> Result<(), Error> {
        let signs = signs.to_vec();
        let written: Result<(), StoreError> = self
            .store
            .write(Urgency::Background, None, move |tx| {
                let signs = signs.clone();
                async move { presence::write_signs(&tx, app, &signs).await }
            })
            .await;
        Ok(written?)
    }

    async fn sweep_sessions(&self, stop: &CancellationToken) -> Result<(), Error> {
        let before = self.now().minus(KEPT);
        while !stop.is_cancelled() {
            let deleted: Result<u64, StoreError> = self
                .store
                .write(Urgency::Background, None, move |tx| async move {
                    presence::delete_sessions(&tx, before, BATCH as u64).await
                })
                .await;
            if deleted? == 0 {
                break;
            }
        }
        Ok(())
    }
}
