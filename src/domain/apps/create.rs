//! Making an app with its first key.

use std::sync::Arc;

use super::keys::NewKey;
use crate::domain::Error;
use crate::domain::vault::Vault;
use crate::model::clock::Timestamp;
use crate::storage::{Store, StoreError, Urgency, apps};

/// Stores an app called `name` with `key` as its signing key. False where there is one of that name.
pub async fn create_app(
    store: &Store,
    vault: &Arc<Vault>,
    name: &str,
    key: &NewKey,
    now: Timestamp,
) -> Result<bool, Error> {
    let (name, key, vault) = (name.to_owned(), key.clone(), Arc::clone(vault));
    let created: Result<(), Error> = store
        .write(Urgency::Interactive, None, move |tx| {
            let (name, key, vault) = (name.clone(), key.clone(), Arc::clone(&vault));
            async move {
                let app = apps::insert_app(&tx, &name, now).await?;
                let row = key.row(&vault, app, true, now);
                Ok(apps::insert_key(&tx, row).await?)
            }
        })
        .await;
    match created {
        Ok(()) => Ok(true),
        Err(Error::Store(StoreError::Unique)) => Ok(false),
        Err(err) => Err(err),
    }
}
