//! Making an app with its first key, and keys for apps that nobody can call any more.

use std::sync::Arc;

use super::keys::NewKey;
use crate::domain::Error;
use crate::domain::vault::Vault;
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::storage::{Store, StoreError, Tx, Urgency, apps};

/// What became of an app or a key that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is stored.
    Done,
    /// An app of this name exists.
    NameTaken,
    /// No app of this name exists.
    AppUnknown,
    /// A key of this name exists, of this or another app, retired or not.
    KidTaken,
}

/// Stores an app called `name` with `key` as its signing key.
pub async fn create_app(
    store: &Store,
    vault: &Arc<Vault>,
    name: &str,
    key: &NewKey,
    now: Timestamp,
) -> Result<Made, Error> {
    let (name, key, vault) = (name.to_owned(), key.clone(), Arc::clone(vault));
    let made = store
        .write(Urgency::Interactive, None, move |tx| {
            let (name, key, vault) = (name.clone(), key.clone(), Arc::clone(&vault));
            async move {
                if apps::find_app(&tx, &name).await?.is_some() {
                    return Ok(Made::NameTaken);
                }
                if apps::is_kid_taken(&tx, &key.kid).await? {
                    return Ok(Made::KidTaken);
                }
                let app = apps::insert_app(&tx, &name, now).await?;
                insert(&tx, &vault, app, &key, now).await
            }
        })
        .await;
    raced(made)
}

/// Stores `key` as the signing key of the app called `name`; its other keys go on to verify.
///
/// It may be one more than the app could make itself: an app whose secrets are all lost cannot retire any.
pub async fn add_key(
    store: &Store,
    vault: &Arc<Vault>,
    name: &str,
    key: &NewKey,
    now: Timestamp,
) -> Result<Made, Error> {
    let (name, key, vault) = (name.to_owned(), key.clone(), Arc::clone(vault));
    let made = store
        .write(Urgency::Interactive, None, move |tx| {
            let (name, key, vault) = (name.clone(), key.clone(), Arc::clone(&vault));
            async move {
                let Some(app) = apps::find_app(&tx, &name).await? else { return Ok(Made::AppUnknown) };
                let app = AppId(app.id);
                apps::lock_keys(&tx, app).await?;
                if apps::is_kid_taken(&tx, &key.kid).await? {
                    return Ok(Made::KidTaken);
                }
                apps::update_signing(&tx, app, None).await?;
                insert(&tx, &vault, app, &key, now).await
            }
        })
        .await;
    raced(made)
}

async fn insert(tx: &Tx, vault: &Vault, app: AppId, key: &NewKey, now: Timestamp) -> Result<Made, Error> {
    apps::insert_key(tx, key.row(vault, app, true, now)).await?;
    Ok(Made::Done)
}

/// The name of a key is the only thing left that another transaction can have taken in between.
fn raced(made: Result<Made, Error>) -> Result<Made, Error> {
    match made {
        Err(Error::Store(StoreError::Unique)) => Ok(Made::KidTaken),
        made => made,
    }
}
