//! Task kinds, one file each. To add one: a file here, a line in [`registry`], a test file.

pub mod lifecycle;

use std::sync::Arc;

use crate::engine::Registry;
use crate::model::lifecycle::Move;

/// Every kind this version can run.
pub fn registry() -> Registry {
    Registry::new([
        Arc::new(lifecycle::MoveUsers(Move::Deactivate)) as _,
        Arc::new(lifecycle::MoveUsers(Move::Reactivate)) as _,
    ])
}
