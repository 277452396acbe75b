//! Writing the terms of users that have none, in the background.
//!
//! Those are all users after the upgrade that brought terms, and whoever an earlier usher writes while it
//! still runs beside this one. Queries find them in the meantime, too, though more slowly.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{Domain, Error};
use crate::storage::Urgency;
use crate::storage::terms::write::write_missing;

const EVERY: Duration = Duration::from_mins(1);
/// Users per transaction: callers of SQLite wait for it.
const BATCH: u64 = 200;

impl Domain {
    /// Looks for such users now and then, until stopped.
    pub async fn keep_terms(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(err) = self.write_missing_terms(&stop).await {
                err.log_delayed("writing search terms");
            }
        }
    }

    async fn write_missing_terms(&self, stop: &CancellationToken) -> Result<(), Error> {
        fail::fail_point!("missing_terms", |_| Ok(()));
        let mut after = None;
        while !stop.is_cancelled() {
            let place = after.clone();
            let last = self
                .store
                .write(Urgency::Background, None, move |tx| {
                    let place = place.clone();
                    async move { Ok::<_, Error>(write_missing(&tx, place, BATCH).await?) }
                })
                .await?;
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        if after.is_some() {
            tracing::info!("wrote the terms of users that had none");
        }
        Ok(())
    }
}
