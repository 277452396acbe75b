//! What is stored of all that a batch writes or refers to, read once.

use std::collections::{HashMap, HashSet};

use crate::model::content::{Key, Kind};
use crate::model::id::AppId;
use crate::storage::content::{Found, Shared, find_stored, share_users};
use crate::storage::upsert::{Stored, lock_users};
use crate::storage::{StoreError, Tx};

/// What is stored, as far as it was asked for. It stands still until the end of the transaction.
#[derive(Debug, Default)]
pub(super) struct World {
    asked: HashSet<Key>,
    /// Users who are to be written and were asked for, by id.
    locked: HashSet<String>,
    users: HashMap<String, Stored>,
    /// Users who are only referred to.
    shared: HashMap<String, Shared>,
    rows: HashMap<Key, Found>,
}

impl World {
    /// Asks for what is to be written, and for what is referred to, where that was not asked for yet.
    pub(super) async fn ask<'a>(
        &mut self,
        tx: &Tx,
        app: AppId,
        written: impl Iterator<Item = &'a Key>,
        referred: impl Iterator<Item = &'a Key>,
    ) -> Result<(), StoreError> {
        let mut users = Vec::new();
        let mut shared = Vec::new();
        let mut rows: HashMap<Kind, Vec<&Key>> = HashMap::new();
        for key in written {
            match user_id(key).filter(|_| key.kind == Kind::User) {
                Some(id) if self.locked.insert(id.to_owned()) => users.push(id),
                None if self.asked.insert(key.clone()) => rows.entry(key.kind).or_default().push(key),
                _ => {}
            }
        }
        for key in referred {
            match user_id(key).filter(|_| key.kind == Kind::User) {
                Some(id) if self.locked.contains(id) => {}
                Some(id) if self.asked.insert(key.clone()) => shared.push(id),
                None if self.asked.insert(key.clone()) => rows.entry(key.kind).or_default().push(key),
                _ => {}
            }
        }
        if !users.is_empty() {
            self.users.extend(lock_users(tx, app, users).await?);
        }
        if !shared.is_empty() {
            shared.sort_unstable();
            self.shared.extend(share_users(tx, app, &shared).await?);
        }
        for (kind, keys) in rows {
            self.rows.extend(find_stored(tx, app, kind, &keys).await?);
        }
        Ok(())
    }

    /// Whether something is stored under `key`.
    pub(super) fn has(&self, key: &Key) -> bool {
        match key.kind {
            Kind::User => self.teams_of(key).is_some(),
            _ => self.rows.contains_key(key),
        }
    }

    /// The import that last wrote what is stored under `key`.
    pub(super) fn written_by(&self, key: &Key) -> Option<i64> {
        match key.kind {
            Kind::User => self.user(key)?.marks.import_no,
            _ => self.row(key)?.import_no,
        }
    }

    /// A user that is to be written, as it is stored.
    pub(super) fn user(&self, key: &Key) -> Option<&Stored> {
        self.users.get(user_id(key)?)
    }

    /// Content, as it is stored.
    pub(super) fn row(&self, key: &Key) -> Option<&Found> {
        self.rows.get(key)
    }

    /// The teams of a stored user.
    pub(super) fn teams_of(&self, key: &Key) -> Option<&[String]> {
        let id = user_id(key)?;
        let written = self.users.get(id).map(|stored| stored.user.profile.teams.as_slice());
        written.or_else(|| self.shared.get(id).map(|shared| shared.teams.as_slice()))
    }

    /// Whether a stored user is about to be erased: nothing new may name it.
    pub(super) fn is_erasing(&self, key: &Key) -> bool {
        let erasing = |id| {
            let written = self.users.get(id).map(|stored| stored.marks.erasing);
            written.or_else(|| self.shared.get(id).map(|shared| shared.erasing))
        };
        key.kind == Kind::User && user_id(key).and_then(erasing).unwrap_or_default()
    }
}

fn user_id(key: &Key) -> Option<&str> {
    key.parts.first().map(String::as_str)
}
