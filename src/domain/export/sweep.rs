//! Deleting archives whose time is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::objects;
use crate::domain::{Domain, Error};
use crate::model::id::AppId;
use crate::storage::objects::Doomed;
use crate::storage::{Urgency, apps, archives};

/// How often they are looked for.
const EVERY: Duration = Duration::from_mins(1);

impl Domain {
    /// Sweeps now and then until stopped.
    pub async fn sweep_archives(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(err) = self.sweep_expired(&stop).await {
                err.log_delayed("sweeping archives");
            }
        }
    }

    async fn sweep_expired(&self, stop: &CancellationToken) -> Result<(), Error> {
        for app in apps::list_apps(&self.store.read(None).await?).await? {
            let app = AppId(app.id);
            if let Err(err) = self.clear_objects(app).await {
                err.log_delayed("deleting objects of archives");
            }
            while !stop.is_cancelled() && self.sweep_one(app).await? {}
        }
        Ok(())
    }

    /// Deletes objects that belong to no archive any more.
    async fn clear_objects(&self, app: AppId) -> Result<(), Error> {
        loop {
            let doomed = Doomed::OfApp(app);
            let gone = objects::clear(self.objects.as_ref(), &self.store, &*self.clock, doomed).await?;
            if gone.is_empty() {
                return Ok(());
            }
            objects::forget(&self.store, gone).await?;
        }
    }

    /// Deletes some of one archive; false where there is none whose time is over.
    async fn sweep_one(&self, app: AppId) -> Result<bool, Error> {
        let (now, ended) = (self.now(), self.now().minus(self.engine.retention()));
        let db = self.store.read(None).await?;
        let Some(archive) = archives::find_expired(&db, app, now, ended).await? else { return Ok(false) };
        let swept = self.store.write(Urgency::Background, None, move |tx| async move {
            Ok::<_, Error>(archives::delete_some(&tx, archive).await?)
        });
        if swept.await? {
            tracing::info!(app.id = app.0, task.id = %archive.task, "deleted an archive whose time was over");
        }
        self.store.erased();
        Ok(true)
    }
}
