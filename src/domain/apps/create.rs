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

/// Which app a key is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    NewApp,
    KnownApp,
}

/// Stores an app called `name` with `key` as its signing key.
pub async fn create_app(
    store: &Store,
    vault: &Arc<Vault>,
    name: &str,
    key: &NewKey,
    now: Timestamp,
) -> Result<Made, Error> {
    make(store, vault, name, key, now, Whose::NewApp).await
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
    make(store, vault, name, key, now, Whose::KnownApp).await
}

async fn make(
    store: &Store,
    vault: &Arc<Vault>,
    name: &str,
    key: &NewKey,
    now: Timestamp,
    whose: Whose,
) -> Result<Made, Error> {
    let (name, key, vault) = (name.to_owned(), key.clone(), Arc::clone(vault));
    let made = store
        .write(Urgency::Interactive, None, move |tx| {
            let (name, key, vault) = (name.clone(), key.clone(), Arc::clone(&vault));
            async move { store_key(&tx, &vault, &name, &key, now, whose).await }
        })
        .await;
    match made {
        // The name of a key is the only thing left that another transaction can have taken in between.
        Err(Error::Store(StoreError::Unique)) => Ok(Made::KidTaken),
        made => made,
    }
}

async fn store_key(
    tx: &Tx,
    vault: &Vault,
    name: &str,
    key: &NewKey,
    now: Timestamp,
    whose: Whose,
) -> Result<Made, Error> {
    let found = apps::find_app(tx, name).await?.map(|app| AppId(app.id));
    match (whose, found) {
        (Whose::NewApp, Some(_)) => return Ok(Made::NameTaken),
        (Whose::KnownApp, None) => return Ok(Made::AppUnknown),
        _ => {}
    }
    if let Some(app) = found {
        apps::lock_keys(tx, app).await?;
    }
    if apps::is_kid_taken(tx, &key.kid).await? {
        return Ok(Made::KidTaken);
    }
    let app = match found {
        Some(app) => {
            apps::update_signing(tx, app, None).await?;
            app
        }
        None => apps::insert_app(tx, name, now).await?,
    };
    apps::insert_key(tx, key.row(vault, app, true, now)).await?;
    Ok(Made::Done)
}
