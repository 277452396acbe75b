//! The rules, one file per capability. Opens transactions, and no network connection of its own: the object store is
//! reached through `storage`.
//!
//! Every operation takes the [`Call`] it serves: who calls, and by when it must be over.

pub mod apps;
mod call;
pub mod content;
mod error;
pub mod export;
pub mod jobs;
pub mod page_token;
mod recent;
pub mod tasks;
pub mod tokens;
pub mod users;
pub mod vault;

use std::sync::Arc;

use self::apps::ring::KeyRing;
pub use self::call::{Call, Caller, Identity};
pub use self::error::{Error, Subject};
use self::tokens::{Opened, Renewals, Standings};
use self::users::Signs;
use self::vault::Vault;
use crate::engine::Engine;
use crate::model::clock::{Clock, Deadline, Timestamp};
use crate::storage::object_store::ObjectStore;
use crate::storage::{Db, Store, Tx, Urgency};

/// All operations. Cheap to clone.
#[derive(Clone)]
pub struct Domain {
    store: Store,
    engine: Engine,
    clock: Arc<dyn Clock>,
    vault: Arc<Vault>,
    keys: Arc<KeyRing>,
    standings: Arc<Standings>,
    renewals: Arc<Renewals>,
    opened: Arc<Opened>,
    signs: Arc<Signs>,
    objects: Option<ObjectStore>,
}

impl Domain {
    /// Puts the rules over a database and an engine.
    pub fn new(
        store: Store,
        engine: Engine,
        clock: Arc<dyn Clock>,
        vault: Arc<Vault>,
        objects: Option<ObjectStore>,
    ) -> Self {
        Self {
            store,
            engine,
            clock,
            vault,
            keys: Arc::default(),
            standings: Arc::default(),
            renewals: Arc::default(),
            opened: Arc::default(),
            signs: Arc::default(),
            objects,
        }
    }

    /// The time of day, as everything here is dated.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn read(&self, deadline: Deadline) -> Result<Db, Error> {
        Ok(self.store.read(Some(deadline)).await?)
    }

    async fn write<T, F, Fut>(&self, deadline: Deadline, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.store.write(Urgency::Interactive, Some(deadline), work).await
    }
}
