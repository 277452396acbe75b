//! What an app is, and its settings.

use std::time::Duration;

use crate::domain::{Call, Domain, Error};
use crate::model::clock::Timestamp;
use crate::model::settings::{AppSettings, SettingsChange, UniqueNames};
use crate::storage::entity::app;
use crate::storage::{StoreError, settings};

/// Who was active since counts as monthly active.
const MONTH: Duration = Duration::from_hours(30 * 24);

/// An app as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct AppView {
    pub name: String,
    pub created_at: Timestamp,
    pub settings: AppSettings,
}

impl AppView {
    fn of(row: app::Model) -> Result<Self, StoreError> {
        let settings = settings::settings_of(&row)?;
        Ok(Self { name: row.name, created_at: Timestamp::from_micros(row.created_at), settings })
    }
}

impl Domain {
    /// The caller's app, and how many of its users were active within the last 30 days.
    pub async fn get_app(&self, call: &Call) -> Result<(AppView, u64), Error> {
        // Whoever connected here a moment ago counts. Who cannot be written down now does soon.
        if let Err(err) = self.flush_presence().await {
            err.log_delayed("writing presence");
        }
        let db = self.read(call.deadline).await?;
        let app = AppView::of(settings::get_app(&db, call.app()).await?)?;
        let active = settings::count_active(&db, call.app(), self.now().minus(MONTH)).await?;
        Ok((app, active))
    }

    /// Changes settings of the caller's app. They count for every write that begins after this has returned.
    pub async fn update_app(&self, call: &Call, change: SettingsChange) -> Result<AppView, Error> {
        if change.unique_names.is_some_and(|among| among != UniqueNames::None) {
            self.key_names(call).await?;
        }
        let app = call.app();
        let changed = self
            .write(call.deadline, move |tx| {
                let change = change.clone();
                async move { Ok(AppView::of(settings::update_settings(&tx, app, &change).await?)?) }
            })
            .await?;
        // What is asked of tokens may have changed.
        self.standings.forget_app(app);
        Ok(changed)
    }
}
