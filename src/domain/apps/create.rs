//! Making an app with its first key.

use std::sync::Arc;

use rand::RngExt as _;

use super::keys::seal_context;
use crate::domain::Error;
use crate::domain::vault::Vault;
use crate::model::clock::Timestamp;
use crate::storage::entity::app_key;
use crate::storage::{Store, StoreError, Urgency, apps};

/// A key as it is made: the only time its secret is in the clear.
#[derive(Clone)]
pub struct NewKey {
    /// Public name.
    pub kid: String,
    /// 64 characters, which as they stand are the HMAC key.
    pub secret: String,
}

impl NewKey {
    /// A random key.
    pub fn generate() -> Self {
        Self { kid: random_text(12), secret: random_text(64) }
    }
}

/// Letters and digits; 64 of them hold 381 bits.
fn random_text(length: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
}

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
                let row = app_key::Model {
                    app_id: app.0,
                    secret_sealed: vault.seal(&seal_context(app, &key.kid), key.secret.as_bytes()),
                    kid: key.kid,
                    signing: true,
                    created_at: now.micros(),
                    retired_at: None,
                };
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
