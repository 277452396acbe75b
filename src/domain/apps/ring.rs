//! The signing keys of apps, opened and kept for less than a second.

use std::sync::Arc;
use std::time::Instant;

use jsonwebtoken::{DecodingKey, EncodingKey};

use crate::domain::recent::Recent;
use crate::domain::tokens::renewal::Due;
use crate::domain::vault::stored;
use crate::domain::{Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::AppId;
use crate::storage::entity::app_key;
use crate::storage::{Db, StoreError, apps};

/// Keys and apps remembered at most.
const REMEMBERED: usize = 10_000;

/// A key with its secret in the clear; never printed.
pub struct Key {
    /// Whose it is.
    pub app: AppId,
    /// Its public name.
    pub kid: String,
    /// Judges what it has signed. The HMAC key is the secret's characters as they stand.
    pub verifying: DecodingKey,
    /// Signs.
    pub signing: EncodingKey,
}

/// The keys of one app that verify, the one that signs first.
pub type Keys = Arc<[Arc<Key>]>;

/// Keys by name and by app.
pub struct KeyRing {
    by_kid: Recent<String, Arc<Key>>,
    by_app: Recent<AppId, Keys>,
}

impl Default for KeyRing {
    fn default() -> Self {
        Self { by_kid: Recent::new(REMEMBERED), by_app: Recent::new(REMEMBERED) }
    }
}

impl KeyRing {
    /// Forgets keys that were changed here.
    pub(super) fn forget(&self, app: AppId, kid: &str) {
        self.by_kid.forget(kid);
        self.by_app.forget(&app);
    }
}

impl Domain {
    /// The key called `kid`, of whichever app. A name that is not remembered is looked up, so that a key is
    /// good everywhere as soon as it was made.
    pub(in crate::domain) async fn key(
        &self,
        kid: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Key>>, Error> {
        let ask = || self.renewals.ask(Due::Key(kid.to_owned()));
        if let Some(key) = self.keys.by_kid.get(kid, ask) {
            return Ok(Some(key));
        }
        // Boxed, here and below: calls that need no database do not carry the room for asking one.
        Box::pin(async {
            let began = Instant::now();
            let db = self.read(deadline).await?;
            Ok(self.read_key(&db, kid, began).await?)
        })
        .await
    }

    /// The keys of `app` that verify, the one that signs first.
    pub(in crate::domain) async fn keys_of(&self, app: AppId, deadline: Deadline) -> Result<Keys, Error> {
        if let Some(keys) = self.keys.by_app.get(&app, || self.renewals.ask(Due::Keys(app))) {
            return Ok(keys);
        }
        Box::pin(async {
            let began = Instant::now();
            let db = self.read(deadline).await?;
            Ok(self.read_keys(&db, app, began).await?)
        })
        .await
    }

    /// Reads a key, and remembers it. Only names that exist are kept, so callers cannot push out what is.
    pub(in crate::domain) async fn read_key(
        &self,
        db: &Db,
        kid: &str,
        began: Instant,
    ) -> Result<Option<Arc<Key>>, StoreError> {
        let Some(row) = apps::find_key(db, kid).await? else {
            self.keys.by_kid.forget(kid);
            return Ok(None);
        };
        let key = self.open_key(db, row).await?;
        self.keys.by_kid.insert(kid.to_owned(), Arc::clone(&key), began);
        Ok(Some(key))
    }

    /// Reads the keys of an app, and remembers them.
    pub(in crate::domain) async fn read_keys(
        &self,
        db: &Db,
        app: AppId,
        began: Instant,
    ) -> Result<Keys, StoreError> {
        let mut keys = Vec::new();
        for row in apps::list_verifying_keys(db, app).await? {
            keys.push(self.open_key(db, row).await?);
        }
        let keys: Keys = keys.into();
        self.keys.by_app.insert(app, Arc::clone(&keys), began);
        Ok(keys)
    }

    async fn open_key(&self, db: &Db, row: app_key::Model) -> Result<Arc<Key>, StoreError> {
        let mut secret = stored::open_secret(&self.vault, &row);
        if secret.is_none() && stored::renew(db, &self.vault).await? {
            secret = stored::open_secret(&self.vault, &row);
        }
        let secret =
            secret.ok_or_else(|| StoreError::Internal("a key was sealed under another master key".into()))?;
        Ok(Arc::new(Key {
            app: AppId(row.app_id),
            kid: row.kid,
            verifying: DecodingKey::from_secret(&secret),
            signing: EncodingKey::from_secret(&secret),
        }))
    }
}
