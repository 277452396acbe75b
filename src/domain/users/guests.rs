//! Guests: making one for whoever has no user.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::erased::refuse_old_tokens;
use super::upsert::replaced;
use super::{UserView, names};
use crate::domain::tokens::mint::{CreateToken, Minted, sign};
use crate::domain::vault::Vault;
use crate::domain::{Call, Domain, Error, Identity};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::RevocationMarks;
use crate::model::role;
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::Profile;
use crate::storage::upsert::{self, Stored};
use crate::storage::{StoreError, Tx, tokens};

/// Characters that an id may have to which usher puts its own part.
pub const MAX_REQUESTED_ID: usize = 212;

/// A guest to make.
#[derive(Debug, Clone)]
pub struct CreateGuest {
    /// What it is to be; the id is the one asked for.
    pub profile: Profile,
    /// Whether an id was asked for.
    pub has_id: bool,
    /// How long its token lives; `None` as for any token.
    pub validity: Option<Duration>,
}

impl Domain {
    /// Makes a guest and mints a token for it. Never for a user who was there before.
    pub async fn create_guest(&self, call: &Call, guest: CreateGuest) -> Result<(UserView, Minted), Error> {
        let trusted = match &call.caller.identity {
            Identity::Server => true,
            Identity::Anonymous => false,
            Identity::User { .. } => {
                let needs = "a server token, or none: who has a user needs no guest";
                return Err(Error::PermissionMissing { rpc: call.rpc, needs });
            }
        };
        if !trusted {
            check_modest(&guest.profile)?;
        }
        let (app, now) = (call.app(), self.now());
        let keys = self.keys_of(app, call.deadline).await?;
        let key = keys.first().cloned().ok_or_else(|| StoreError::corrupt("an app without a key"))?;
        let (unique, guest) = (Uuid::new_v4(), Arc::new(guest));
        let vault = Arc::clone(&self.vault);
        self.write(call.deadline, move |tx| {
            let (key, guest, vault) = (Arc::clone(&key), Arc::clone(&guest), Arc::clone(&vault));
            async move {
                let app_standing = tokens::get_app_standing(&tx, app).await?;
                if !trusted && !app_standing.settings.guests_enabled {
                    return Err(Error::GuestsDisabled);
                }
                let new = new_guest(&tx, app, &guest, trusted, unique, now).await?;
                let stored = store_guest(&tx, &vault, app, new).await?;
                // Before the commit: no guest without a token.
                let marks = RevocationMarks { epoch: stored.marks.auth_epoch, ..RevocationMarks::default() };
                let minted = sign(&vault, &key, &marks, &app_standing, token(&stored, &guest), now)?;
                Ok((UserView::basic(Arc::unwrap_or_clone(stored.user)), minted))
            }
        })
        .await
    }
}

/// Refuses what only a server may give a guest.
fn check_modest(profile: &Profile) -> Result<(), Error> {
    let field = if !profile.teams.is_empty() {
        "user.teams"
    } else if !profile.teams_role.is_empty() {
        "user.teams_role"
    } else {
        return Ok(());
    };
    Err(Error::state(field, Reason::PermissionMissing))
}

fn token(stored: &Stored, guest: &CreateGuest) -> CreateToken {
    let claims = serde_json::Map::new();
    CreateToken { user: stored.user.id().clone(), grant: None, validity: guest.validity, claims }
}

async fn new_guest(
    tx: &Tx,
    app: AppId,
    guest: &CreateGuest,
    trusted: bool,
    unique: Uuid,
    now: Timestamp,
) -> Result<Stored, Error> {
    let asked = &guest.profile.id;
    let is_free = guest.has_id && trusted && upsert::lock_ids(tx, app, [asked.as_str()]).await?.is_empty();
    let id = match (is_free, guest.has_id) {
        (true, _) => asked.clone(),
        // Whoever may ask for any id must not get one that somebody else is to have.
        (false, true) => UserId::stored(format!("guest-{unique}-{asked}")),
        (false, false) => UserId::stored(format!("guest-{unique}")),
    };
    let stored = replaced(Profile { id, ..guest.profile.clone() }, None, now);
    if stored.user.profile.teams_role.values().any(|role| !role::exists(role)) {
        return Err(Error::state("user.teams_role", Reason::RoleNotFound));
    }
    let renaming = Renaming::of(None, &stored.user);
    if !names::taken(tx, app, Manner::Together, &[renaming]).await?.is_empty() {
        return Err(Error::state("user.name", Reason::NameTaken));
    }
    Ok(stored)
}

async fn store_guest(tx: &Tx, vault: &Vault, app: AppId, guest: Stored) -> Result<Stored, Error> {
    let mut guests = [guest];
    refuse_old_tokens(tx, vault, app, &mut guests).await?;
    upsert::upsert_users(tx, app, &guests).await?;
    let [guest] = guests;
    Ok(guest)
}
