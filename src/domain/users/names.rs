//! Unique names: whoever gives a user a name, a team or its activity back asks here, within the transaction
//! that does so.

use crate::domain::{Call, Domain, Error};
use crate::model::id::AppId;
use crate::model::unique_name::{self, Manner, Renaming};
use crate::storage::upsert::lock_users;
use crate::storage::{StoreError, Tx, Urgency, names, settings};

/// Users looked at in one go when keys are brought up to date.
const PAGE: u64 = 1_000;

/// Which of `writes`, by their index, want a name that is taken. Until the transaction ends, nobody else can
/// take those that are not. The users written are locked, and differ.
pub(in crate::domain) async fn taken(
    tx: &Tx,
    app: AppId,
    manner: Manner,
    writes: &[Renaming],
) -> Result<Vec<usize>, StoreError> {
    if !writes.iter().any(Renaming::may_claim) {
        return Ok(Vec::new());
    }
    // Read here, so that the setting counts for every write that begins after it was changed.
    let among = settings::get_settings(tx, app).await?.unique_names;
    let keys: Vec<&str> = writes.iter().filter_map(|write| write.claimed_key(among)).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    names::take_turns(tx, app, &keys).await?;
    let mut others = names::list_named(tx, app, &keys).await?;
    let written: std::collections::HashSet<&str> =
        writes.iter().filter_map(|write| write.before.as_ref()).map(|before| before.id.as_str()).collect();
    others.retain(|other| !written.contains(other.id.as_str()));
    Ok(unique_name::taken(among, manner, writes, &others))
}

impl Domain {
    /// Makes sure that names are found by their keys, also those that earlier versions have written.
    ///
    /// In small steps, each of which holds: what a call does not come to, the next one goes on with.
    pub(in crate::domain) async fn key_names(&self, call: &Call) -> Result<(), Error> {
        let (app, mut after) = (call.app(), String::new());
        loop {
            let db = self.read(call.deadline).await?;
            let (last, unkeyed) = names::list_unkeyed(&db, app, &after, PAGE).await?;
            drop(db);
            if !unkeyed.is_empty() {
                self.store
                    .write(Urgency::Background, Some(call.deadline), move |tx| {
                        let ids = unkeyed.clone();
                        async move { key_some(&tx, app, &ids).await }
                    })
                    .await?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

async fn key_some(tx: &Tx, app: AppId, ids: &[String]) -> Result<(), StoreError> {
    for (id, stored) in lock_users(tx, app, ids.iter().map(String::as_str)).await? {
        let key = stored.user.profile.name.as_deref().map(unique_name::key);
        names::update_key(tx, app, &id, key.as_deref()).await?;
    }
    Ok(())
}
