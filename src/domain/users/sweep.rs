//! Deleting what is too old, as its app says: guests who stayed away, and users who were deleted softly long
//! enough ago, both as ordinary tasks; and entries of histories.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::deletion::{DeleteUsers, accept, new_deletion};
use crate::domain::{Domain, Error};
use crate::model::clock::Timestamp;
use crate::model::deletion::{Archives, DeletePlan, Mode};
use crate::model::id::{AppId, UserId};
use crate::storage::{Urgency, apps, history, settings, sweep};

/// How often users whose time is over are looked for.
const EVERY: Duration = Duration::from_mins(10);
/// Users of one task; entries of histories that one transaction removes.
const BATCH: u64 = 1_000;

/// Whose time is over.
#[derive(Debug, Clone, Copy)]
enum Whose {
    IdleGuests,
    DeletedUsers,
}

impl Domain {
    /// Sweeps now and then until stopped.
    pub async fn sweep_users(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(err) = self.sweep_all(&stop).await {
                err.log_delayed("sweeping users");
            }
        }
    }

    async fn sweep_all(&self, stop: &CancellationToken) -> Result<(), Error> {
        let apps = apps::list_apps(&self.store.read(None).await?).await?;
        for row in apps {
            let settings = settings::settings_of(&row)?;
            for (whose, days) in [
                (Whose::IdleGuests, settings.guest_retention_days),
                (Whose::DeletedUsers, settings.retention_days),
            ] {
                while days > 0 && !stop.is_cancelled() {
                    let since = self.now().minus(Duration::from_hours(24 * u64::from(days)));
                    let users = self.sweep_some(AppId(row.id), whose, since).await?;
                    if users == 0 {
                        break;
                    }
                    tracing::info!(app.id = row.id, users, ?whose, "deleting users whose time is over");
                }
            }
            self.sweep_history(AppId(row.id), settings.history_retention_days, stop).await?;
        }
        Ok(())
    }

    async fn sweep_history(&self, app: AppId, days: u32, stop: &CancellationToken) -> Result<(), Error> {
        while days > 0 && !stop.is_cancelled() {
            let than = self.now().minus(Duration::from_hours(24 * u64::from(days)));
            let entries = self
                .store
                .write(Urgency::Background, None, move |tx| async move {
                    Ok::<_, Error>(history::delete_older(&tx, app, than, BATCH).await?)
                })
                .await?;
            if entries == 0 {
                break;
            }
            tracing::info!(app.id = app.0, entries, "removed entries of histories that were too old");
        }
        Ok(())
    }

    async fn sweep_some(&self, app: AppId, whose: Whose, since: Timestamp) -> Result<usize, Error> {
        let (now, vault, engine) = (self.now(), self.vault.clone(), self.engine.clone());
        let accepted: Result<_, Error> = self
            .store
            .write(Urgency::Background, None, move |tx| {
                let (vault, engine) = (vault.clone(), engine.clone());
                async move {
                    let ids = match whose {
                        Whose::IdleGuests => sweep::lock_idle_guests(&tx, app, since, BATCH).await?,
                        Whose::DeletedUsers => sweep::lock_deleted(&tx, app, since, BATCH).await?,
                    };
                    if ids.is_empty() {
                        return Ok(None);
                    }
                    let command = whose.deletion(&ids);
                    let new = new_deletion(&vault, app, &command)?;
                    Ok(Some((ids, accept(&tx, &engine, &new, &command, now).await?)))
                }
            })
            .await;
        let Some((ids, task)) = accepted? else { return Ok(0) };
        self.engine.announce(&task);
        self.standings.forget_users(app, ids.iter());
        Ok(ids.len())
    }
}

impl Whose {
    fn deletion(self, ids: &[UserId]) -> DeleteUsers {
        let (mode, reason) = match self {
            Self::IdleGuests => (Mode::Soft, "stayed away for guest_retention_days"),
            Self::DeletedUsers => (Mode::Hard, "deleted for retention_days"),
        };
        let plan = DeletePlan {
            user: mode,
            messages: mode,
            conversations: mode,
            calls: mode,
            activities: mode,
            files: false,
            archives: Archives::Now,
        };
        DeleteUsers {
            user_ids: ids.iter().map(|id| id.as_str().to_owned()).collect(),
            plan,
            channel_heir: None,
            call_heir: None,
            created_by_id: String::new(),
            reason: reason.to_owned(),
            request_id: None,
        }
    }
}
