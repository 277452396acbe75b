//! Making, listing and retiring the keys of an app. One signs, all that are not retired verify.

use std::sync::Arc;

use rand::RngExt as _;

use crate::domain::vault::Vault;
use crate::domain::{Call, Domain, Error};
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::model::reason::Reason;
use crate::storage::entity::app_key;
use crate::storage::{Tx, apps, settings};

/// Keys of an app that can verify at a time.
pub const MAX_VERIFYING: usize = 20;

/// A key as it is made: the only time its secret is in the clear.
#[derive(Clone)]
pub struct NewKey {
    /// Public name.
    pub kid: String,
    /// What tokens are signed with: its characters, as they stand.
    pub secret: String,
}

/// A key, without its secret.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct KeyView {
    pub kid: String,
    pub signing: bool,
    pub created_at: Timestamp,
    pub retired_at: Option<Timestamp>,
}

impl NewKey {
    /// A key with what the caller brings, which was checked; the rest is random.
    pub fn new(kid: Option<String>, secret: Option<String>) -> Self {
        Self {
            kid: kid.unwrap_or_else(|| random_text(12)),
            secret: secret.unwrap_or_else(|| random_text(64)),
        }
    }

    /// Its row, sealed.
    pub(super) fn row(&self, vault: &Vault, app: AppId, signing: bool, now: Timestamp) -> app_key::Model {
        app_key::Model {
            app_id: app.0,
            secret_sealed: vault.seal(&seal_context(app, &self.kid), self.secret.as_bytes()),
            kid: self.kid.clone(),
            signing,
            created_at: now.micros(),
            retired_at: None,
        }
    }
}

/// Letters and digits; 64 of them hold 381 bits.
fn random_text(length: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
}

/// What a sealed secret is bound to, so that rows cannot be swapped.
pub fn seal_context(app: AppId, kid: &str) -> Vec<u8> {
    format!("key {} {kid}", app.0).into_bytes()
}

impl From<app_key::Model> for KeyView {
    fn from(row: app_key::Model) -> Self {
        Self {
            kid: row.kid,
            signing: row.signing,
            created_at: Timestamp::from_micros(row.created_at),
            retired_at: row.retired_at.map(Timestamp::from_micros),
        }
    }
}

impl Domain {
    /// Stores `key`, which verifies from now on, and signs too if `signing`; the one that did goes on to verify.
    pub async fn create_key(&self, call: &Call, key: NewKey, signing: bool) -> Result<KeyView, Error> {
        let (app, now, vault) = (call.app(), self.now(), Arc::clone(&self.vault));
        let created = self
            .write(call.deadline, move |tx| {
                let row = key.row(&vault, app, signing, now);
                async move {
                    let verifying = verifying(apps::lock_keys(&tx, app).await?);
                    if verifying.len() >= MAX_VERIFYING {
                        return Err(Error::TooManyKeys { app: settings::get_app(&tx, app).await?.name });
                    }
                    if signing {
                        apps::update_signing(&tx, app, None).await?;
                    }
                    apps::insert_key(&tx, row.clone()).await?;
                    Ok(KeyView::from(row))
                }
            })
            .await?;
        self.keys.forget(app, &created.kid);
        tracing::info!(app.id = app.0, key = %created.kid, signing, "made a key");
        Ok(created)
    }

    /// Every key there ever was, oldest first.
    pub async fn list_keys(&self, call: &Call) -> Result<Vec<KeyView>, Error> {
        let db = self.read(call.deadline).await?;
        Ok(apps::list_keys(&db, call.app()).await?.into_iter().map(KeyView::from).collect())
    }

    /// Ends a key: what it has signed is refused within a second, and its secret is gone. Where it signed, the
    /// newest of the others does from now on. Of a retired key nothing changes.
    pub async fn retire_key(&self, call: &Call, kid: String) -> Result<KeyView, Error> {
        let (app, now) = (call.app(), self.now());
        let retired = self
            .write(call.deadline, move |tx| {
                let kid = kid.clone();
                async move { retire(&tx, app, &kid, now).await }
            })
            .await?;
        self.keys.forget(app, &retired.kid);
        tracing::info!(app.id = app.0, key = %retired.kid, "retired a key");
        Ok(retired)
    }
}

async fn retire(tx: &Tx, app: AppId, kid: &str, now: Timestamp) -> Result<KeyView, Error> {
    let keys = apps::lock_keys(tx, app).await?;
    let key = keys.iter().find(|key| key.kid == kid).cloned();
    let key = key.ok_or_else(|| Error::state("kid", Reason::KeyNotFound))?;
    if key.retired_at.is_some() {
        return Ok(key.into());
    }
    // They come oldest first.
    let mut others = verifying(keys).into_iter().rev().filter(|other| other.kid != kid);
    let heir = others.next().ok_or_else(|| Error::state("kid", Reason::KeyLast))?;
    if key.signing {
        apps::update_signing(tx, app, Some(&heir.kid)).await?;
    }
    apps::retire_key(tx, app, kid, now).await?;
    Ok(KeyView { signing: false, retired_at: Some(now), ..key.into() })
}

fn verifying(keys: Vec<app_key::Model>) -> Vec<app_key::Model> {
    keys.into_iter().filter(|key| key.retired_at.is_none()).collect()
}
