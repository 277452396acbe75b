//! What has to reach the database before anybody can call: used by the command line.

use super::config::Config;
use super::open::{Opened, StartError, open};
use crate::domain::apps::create::{NewKey, create_app as create};
use crate::model::clock::{Clock, SystemClock, Timestamp};
use crate::model::id::AppId;
use crate::storage::apps;
use crate::storage::backend::sqlite::Sharing;

/// A key as it is made; its secret is shown once.
pub struct NewApp {
    /// Public name.
    pub key: String,
    /// The secret's characters.
    pub secret: String,
}

/// An app in a list.
#[expect(missing_docs, reason = "the names say it")]
pub struct AppLine {
    pub name: String,
    pub keys: Vec<String>,
    pub created_at: String,
}

/// Makes an app with its first key.
pub async fn create_app(config: &Config, name: &str) -> Result<NewApp, StartError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(StartError::Other(
            "an app's name must be 1 to 64 characters of A-Z a-z 0-9 _ - .".into(),
        ));
    }
    let Opened { store, vault } = open(config, Sharing::Shared).await?;
    let key = NewKey::generate();
    let created = create(&store, &vault, name, &key, SystemClock.now()).await;
    store.close().await;
    match created {
        Ok(true) => Ok(NewApp { key: key.kid, secret: key.secret }),
        Ok(false) => Err(StartError::Other(format!("there is an app called {name} already"))),
        Err(err) => Err(StartError::Other(err.to_string())),
    }
}

/// All apps and the names of their keys.
pub async fn list_apps(config: &Config) -> Result<Vec<AppLine>, StartError> {
    let Opened { store, .. } = open(config, Sharing::Shared).await?;
    let db = store.read(None).await?;
    let mut lines = Vec::new();
    for app in apps::list_apps(&db).await? {
        let keys = apps::list_keys(&db, AppId(app.id)).await?;
        lines.push(AppLine {
            name: app.name,
            keys: keys.into_iter().map(|key| key.kid).collect(),
            created_at: Timestamp::from_micros(app.created_at).to_string(),
        });
    }
    drop(db);
    store.close().await;
    Ok(lines)
}

/// Brings the database up to date.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let Opened { store, .. } = open(config, Sharing::Shared).await?;
    store.close().await;
    Ok(())
}
