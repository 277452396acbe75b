//! Distinct channels: what they are called, and which of them are none any more.

use std::sync::Arc;

use crate::domain::vault::{Vault, hex};
use crate::domain::{Domain, Error};
use crate::model::call::Cid;
use crate::model::content::DISTINCT;
use crate::model::id::AppId;
use crate::storage::deletion::{self, Ending};
use crate::storage::{Store, Tx, Urgency};

/// Channels judged, and messages moved, in one transaction.
const AT_ONCE: u64 = 500;

impl Domain {
    /// The id of the distinct channel of these members, who are sorted and different: the same for the same
    /// ones, and nobody can tell from it who they are.
    pub(super) fn distinct_channel<M: AsRef<str>>(&self, app: AppId, members: &[M]) -> String {
        distinct_id(&self.vault, app, members)
    }
}

fn distinct_id<M: AsRef<str>>(vault: &Vault, app: AppId, members: &[M]) -> String {
    let app = app.0.to_be_bytes();
    let parts = [b"distinct".as_slice(), &app];
    let hash = vault.hash(parts.into_iter().chain(members.iter().map(|id| id.as_ref().as_bytes())));
    format!("{DISTINCT}{}", hex(&hash[..20]))
}

/// Ends the distinct channels that an earlier version has left to be judged and whose ids are not made of
/// their members: one of these was erased. Can be killed, and run by several replicas at a time.
pub async fn end_forsaken(store: &Store, vault: &Arc<Vault>) -> Result<(), Error> {
    loop {
        let vault = Arc::clone(vault);
        let work = move |tx: Tx| {
            let vault = Arc::clone(&vault);
            async move { judge_some(&tx, &vault).await }
        };
        if store.write(Urgency::Background, None, work).await? {
            return Ok(());
        }
    }
}

/// True where nothing is left.
async fn judge_some(tx: &Tx, vault: &Vault) -> Result<bool, Error> {
    let endings = deletion::list_endings(tx, AT_ONCE).await?;
    for Ending { app, cid, is_decided } in &endings {
        if !is_decided && is_of_its_members(tx, vault, *app, cid).await? {
            deletion::keep(tx, *app, cid).await?;
        } else {
            // One at a time: it may be large.
            deletion::end_reached(tx, *app, cid, AT_ONCE).await?;
            return Ok(false);
        }
    }
    Ok(endings.is_empty())
}

async fn is_of_its_members(tx: &Tx, vault: &Vault, app: AppId, cid: &Cid) -> Result<bool, Error> {
    let mut members = deletion::list_all_members(tx, app, cid).await?;
    members.sort_unstable();
    Ok(distinct_id(vault, app, &members) == cid.id)
}
