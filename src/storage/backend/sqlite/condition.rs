//! Whether the database file can be used, as the last statements saw it. The log names each cause once.

use std::sync::{Mutex, PoisonError};

use crate::storage::{Outage, StoreError};

/// The outage that lasts, if one does.
#[derive(Default)]
pub(super) struct Condition(Mutex<Option<Outage>>);

impl Condition {
    /// The outage that lasts.
    pub(super) fn outage(&self) -> Option<Outage> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what would be written to a file that only the operator can mend.
    pub(super) fn refuse_hopeless(&self) -> Result<(), StoreError> {
        match self.outage() {
            Some(outage) if is_final(outage) => Err(StoreError::Unavailable(outage)),
            _ => Ok(()),
        }
    }

    /// Takes note of an outage. What says nothing about the file, as a busy pool, does not count.
    pub(super) fn fails(&self, outage: Outage) {
        if !concerns_file(outage) {
            return;
        }
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != Some(outage) && !current.is_some_and(is_final) {
            *current = Some(outage);
            tracing::error!("the database file cannot be used: {outage}{}", advice(outage));
        }
    }

    /// Takes note of a write that is on disk.
    pub(super) fn recovers(&self) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_some_and(|outage| !is_final(outage)) {
            *current = None;
            tracing::info!("the database file can be used again");
        }
    }

    /// Takes note that the file of the name is again the one that is served.
    pub(super) fn returns(&self) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == Some(Outage::Replaced) {
            *current = None;
            tracing::info!("the database file is back in its place");
        }
    }
}

/// Whether nothing is written any more until the operator has acted.
fn is_final(outage: Outage) -> bool {
    matches!(outage, Outage::Damaged | Outage::Replaced)
}

fn concerns_file(outage: Outage) -> bool {
    matches!(
        outage,
        Outage::DiskFull
            | Outage::DiskError
            | Outage::ReadOnly
            | Outage::CannotOpen
            | Outage::Damaged
            | Outage::Replaced
    )
}

/// What the operator can do about it.
pub(super) fn advice(outage: Outage) -> &'static str {
    match outage {
        Outage::DiskFull => "; free space on its disk, and usher goes on by itself",
        Outage::ReadOnly => {
            "; make its file, its directory and its disk writable, and usher goes on by itself"
        }
        Outage::DiskError | Outage::CannotOpen => "; look at its disk, and usher goes on once it works",
        Outage::Damaged => "; stop usher and restore the file from a backup",
        Outage::Replaced => "; put the file back, or restart usher to serve the new one",
        _ => "",
    }
}
