//! The keyset in the database: found or made at start, and sealed under another master key.

use std::sync::Arc;

use super::{Keyset, MasterKey, Vault};
use crate::domain::Error;
use crate::domain::apps::keys::seal_context;
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::storage::entity::{app_key, master_key};
use crate::storage::{Db, Store, StoreError, Tx, Urgency, apps, master_keys};

/// Opens the vault of a database, which a new one gets here. `None` where the database was set up under
/// another master key.
pub async fn open_vault(store: &Store, master: MasterKey, now: Timestamp) -> Result<Option<Vault>, Error> {
    let db = store.read(None).await?;
    if master_keys::list(&db).await?.is_empty() {
        let vault = Vault::new(master.clone(), &master.first_keyset());
        // Versions before keysets sealed secrets already.
        if !apps::list_all_keys(&db).await?.iter().all(|key| open_secret(&vault, key).is_some()) {
            return Ok(None);
        }
        let row = row(&master, master.seal(&master.first_keyset()), 1, now);
        store
            .write(Urgency::Interactive, None, move |tx| {
                let row = row.clone();
                async move { master_keys::insert_first(&tx, row).await }
            })
            .await?;
    }
    // Of replicas that start together one was first.
    let Some(row) = master_keys::find(&db, &master.fingerprint()).await? else { return Ok(None) };
    let keyset = master.open(&row.keyset_sealed);
    Ok(keyset.map(|keyset| Vault::new(master, &keyset)))
}

/// Whether a server has used the database before.
pub async fn is_set_up(store: &Store) -> Result<bool, StoreError> {
    let db = store.read(None).await?;
    Ok(!master_keys::list(&db).await?.is_empty() || !apps::list_apps(&db).await?.is_empty())
}

/// The secret of a key, if this vault sealed it.
pub fn open_secret(vault: &Vault, key: &app_key::Model) -> Option<Vec<u8>> {
    vault.open(&seal_context(AppId(key.app_id), &key.kid), &key.secret_sealed)
}

/// What a change of the master key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Both master keys open the database now.
    Done,
    /// There are two in use already: one must be retired first.
    Unfinished,
    /// The new one is the one in use.
    Same,
}

/// Makes `new` open the database beside the vault's own master key, with a new sealing key under which every
/// secret is sealed anew: all of it or nothing. Servers that run go on.
pub async fn rotate(
    store: &Store,
    vault: &Arc<Vault>,
    new: MasterKey,
    now: Timestamp,
) -> Result<Rotation, Error> {
    if new.fingerprint() == vault.master().fingerprint() {
        return Ok(Rotation::Same);
    }
    let (vault, new) = (Arc::clone(vault), Arc::new(new));
    store
        .write(Urgency::Interactive, None, move |tx| {
            let (vault, new) = (Arc::clone(&vault), Arc::clone(&new));
            async move { rotate_in(&tx, &vault, &new, now).await }
        })
        .await
}

async fn rotate_in(tx: &Tx, vault: &Vault, new: &MasterKey, now: Timestamp) -> Result<Rotation, Error> {
    let rows = master_keys::lock_all(tx).await?;
    if rows.iter().any(|row| row.fingerprint == new.fingerprint()) {
        return Ok(Rotation::Done);
    }
    let [mine] = rows.as_slice() else { return Ok(Rotation::Unfinished) };
    let master = vault.master();
    let keyset = master.open(&mine.keyset_sealed).ok_or_else(misfit)?;
    let renewed = keyset.renewed();
    seal_anew(tx, master, &keyset, &renewed).await?;
    // Servers that still have the old master key find the new keyset under it.
    master_keys::update(tx, &mine.fingerprint, master.seal(&renewed)).await?;
    master_keys::insert(tx, row(new, new.seal(&renewed), mine.generation + 1, now)).await?;
    Ok(Rotation::Done)
}

/// Seals every secret of an app, which `before` opens, with the newest key of `after`.
async fn seal_anew(tx: &Tx, master: &MasterKey, before: &Keyset, after: &Keyset) -> Result<(), Error> {
    let (before, after) = (Vault::new(master.clone(), before), Vault::new(master.clone(), after));
    for key in apps::list_all_keys(tx).await? {
        let secret = open_secret(&before, &key).ok_or_else(misfit)?;
        let sealed = after.seal(&seal_context(AppId(key.app_id), &key.kid), &secret);
        apps::update_secret(tx, &key, sealed).await?;
    }
    Ok(())
}

/// Makes the vault's master key the only one that opens the database, and the newest sealing key the only one
/// that opens sessions and page tokens. Returns how many other master keys there were.
pub async fn retire_others(store: &Store, vault: &Arc<Vault>) -> Result<u64, Error> {
    let shared = Arc::clone(vault);
    let retired = store
        .write(Urgency::Interactive, None, move |tx| {
            let vault = Arc::clone(&shared);
            async move { retire_in(&tx, vault.master()).await }
        })
        .await?;
    renew(&store.read(None).await?, vault).await?;
    Ok(retired)
}

async fn retire_in(tx: &Tx, master: &MasterKey) -> Result<u64, Error> {
    let mine = master.fingerprint();
    let retired = master_keys::delete_others(tx, &mine).await?;
    let Some(row) = master_keys::find(tx, &mine).await? else { return Ok(retired) };
    let keyset = master.open(&row.keyset_sealed).ok_or_else(misfit)?;
    let narrowed = keyset.narrowed();
    if narrowed.sealing.len() < keyset.sealing.len() {
        // A replica that had not heard of the rotation may have sealed a secret with the key before it.
        seal_anew(tx, master, &keyset, &narrowed).await?;
        master_keys::update(tx, &mine, master.seal(&narrowed)).await?;
    }
    Ok(retired)
}

/// For the server that has a database to itself: retires the master keys before its own, as nobody uses them.
pub async fn retire_older(store: &Store, vault: &Arc<Vault>) -> Result<(), Error> {
    let db = store.read(None).await?;
    let newest = master_keys::list(&db).await?.pop();
    if newest.is_some_and(|newest| newest.fingerprint == vault.master().fingerprint()) {
        retire_others(store, vault).await?;
    }
    Ok(())
}

/// Reads the keyset anew, as somebody may have rotated the master key meanwhile.
pub async fn renew(db: &Db, vault: &Vault) -> Result<bool, StoreError> {
    let row = master_keys::find(db, &vault.master().fingerprint()).await?;
    Ok(row.is_some_and(|row| vault.adopt(&row.keyset_sealed)))
}

fn row(master: &MasterKey, keyset_sealed: Vec<u8>, generation: i32, now: Timestamp) -> master_key::Model {
    let fingerprint = master.fingerprint();
    master_key::Model { fingerprint, generation, keyset_sealed, created_at: now.micros() }
}

fn misfit() -> Error {
    StoreError::Internal("a key was sealed under another master key".into()).into()
}
