//! The signing keys of apps, opened and kept for less than a second.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::domain::{Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::AppId;
use crate::storage::entity::app_key;
use crate::storage::{StoreError, apps};

/// What was read counts for less than this from before it was read.
const FRESH: Duration = Duration::from_millis(800);

/// A key with its secret in the clear; never printed.
pub struct Key {
    /// Whose it is.
    pub app: AppId,
    /// Its public name.
    pub kid: String,
    /// The HMAC key: the secret's characters as they stand.
    pub secret: Vec<u8>,
}

/// The keys of one app.
pub type Keys = Arc<[Arc<Key>]>;

/// What was read, and when.
type Read<T> = (T, Instant);

/// Keys by name, and by app with the signing one first, each with when it was read.
#[derive(Default)]
pub struct KeyRing {
    by_kid: RwLock<HashMap<String, Read<Arc<Key>>>>,
    by_app: RwLock<HashMap<AppId, Read<Keys>>>,
}

/// What a sealed secret is bound to, so that rows cannot be swapped.
pub fn seal_context(app: AppId, kid: &str) -> Vec<u8> {
    format!("key {} {kid}", app.0).into_bytes()
}

impl Domain {
    /// The key called `kid`, of whichever app.
    pub(in crate::domain) async fn key(
        &self,
        kid: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Key>>, Error> {
        let cached = self.keys.by_kid.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned();
        if let Some((key, read)) = cached
            && read.elapsed() < FRESH
        {
            return Ok(Some(key));
        }
        let read = Instant::now();
        let db = self.read(deadline).await?;
        let found = apps::find_key(&db, kid).await?.map(|row| self.open_key(row)).transpose()?;
        let mut ring = self.keys.by_kid.write().unwrap_or_else(PoisonError::into_inner);
        // Only names that exist are kept, so callers cannot make this grow.
        match &found {
            Some(key) => ring.insert(kid.to_owned(), (Arc::clone(key), read)),
            None => ring.remove(kid),
        };
        Ok(found)
    }

    /// The keys of `app`, the signing one first.
    pub(in crate::domain) async fn keys_of(&self, app: AppId, deadline: Deadline) -> Result<Keys, Error> {
        let cached = self.keys.by_app.read().unwrap_or_else(PoisonError::into_inner).get(&app).cloned();
        if let Some((keys, read)) = cached
            && read.elapsed() < FRESH
        {
            return Ok(keys);
        }
        let read = Instant::now();
        let db = self.read(deadline).await?;
        let rows = apps::list_keys(&db, app).await?;
        let keys = rows.into_iter().map(|row| self.open_key(row)).collect::<Result<Keys, _>>()?;
        let mut ring = self.keys.by_app.write().unwrap_or_else(PoisonError::into_inner);
        ring.insert(app, (Arc::clone(&keys), read));
        Ok(keys)
    }

    fn open_key(&self, row: app_key::Model) -> Result<Arc<Key>, Error> {
        let app = AppId(row.app_id);
        let secret = self
            .vault
            .open(&seal_context(app, &row.kid), &row.secret_sealed)
            .ok_or_else(|| StoreError::Internal("a key was sealed under another master key".into()))?;
        Ok(Arc::new(Key { app, kid: row.kid, secret }))
    }
}
