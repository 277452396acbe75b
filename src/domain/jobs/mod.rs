//! Task kinds, one file each. To add one: a file here, a line in [`registry`], a test file.

pub mod deletion;
pub mod export;
pub mod lifecycle;
pub mod restoration;
mod walk;

use std::sync::Arc;

use crate::domain::vault::Vault;
use crate::engine::Registry;
use crate::model::clock::Clock;
use crate::model::lifecycle::Move;
use crate::storage::object_store::ObjectStore;

/// Every kind this version can run.
pub fn registry(vault: &Arc<Vault>, clock: &Arc<dyn Clock>, objects: Option<&ObjectStore>) -> Registry {
    let (vault, clock) = (|| Arc::clone(vault), || Arc::clone(clock));
    let objects = || objects.cloned();
    Registry::new([
        Arc::new(lifecycle::MoveUsers(Move::Deactivate)) as _,
        Arc::new(lifecycle::MoveUsers(Move::Reactivate)) as _,
        Arc::new(deletion::DeleteUsers { vault: vault(), clock: clock(), objects: objects() }) as _,
        Arc::new(restoration::RestoreUsers) as _,
        Arc::new(export::ExportUsers { vault: vault(), clock: clock(), objects: objects() }) as _,
    ])
}
