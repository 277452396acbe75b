//! Creating and replacing whole users.

use std::borrow::Cow;
use std::sync::Arc;

use super::erased::refuse_old_tokens;
use super::{UserView, names};
use crate::domain::vault::Vault;
use crate::domain::{Call, Domain, Error, Subject};
use crate::model::clock::Timestamp;
use crate::model::history::Cause;
use crate::model::id::AppId;
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::{Profile, User, roles_named};
use crate::storage::row::UserMarks;
use crate::storage::upsert::{self, Known, Stored};
use crate::storage::{StoreError, Tx};

/// So many are read before the transaction: while it lasts, others may have to wait.
const MANY: usize = 20;

/// One user to write.
#[derive(Debug, Clone)]
pub struct UpsertUser {
    /// What to store.
    pub profile: Profile,
    /// The version it must have, 0 for none yet.
    pub expected_version: Option<i64>,
}

impl Domain {
    /// Stores `users`, all or none, and answers with them in order. Their ids differ.
    pub async fn upsert_users(&self, call: &Call, users: Vec<UpsertUser>) -> Result<Vec<UserView>, Error> {
        let (app, now) = (call.app(), self.now());
        let known = if users.len() < MANY {
            Known::default()
        } else {
            let ids = users.iter().map(|user| user.profile.id.as_str());
            upsert::read_users(&self.read(call.deadline).await?, app, ids).await?
        };
        let (users, known, vault) = (Arc::new(users), Arc::new(known), Arc::clone(&self.vault));
        let shared = Arc::clone(&users);
        let written = self
            .write(call.deadline, move |tx| {
                let (users, known, vault) = (Arc::clone(&shared), Arc::clone(&known), Arc::clone(&vault));
                async move { upsert_all(&tx, &vault, app, &users, &known, now).await }
            })
            .await?;
        // Their roles may have changed.
        self.standings.forget_users(app, users.iter().map(|user| &user.profile.id));
        Ok(written)
    }
}

async fn upsert_all(
    tx: &Tx,
    vault: &Vault,
    app: AppId,
    users: &[UpsertUser],
    known: &Known,
    now: Timestamp,
) -> Result<Vec<UserView>, Error> {
    let ids = users.iter().map(|user| user.profile.id.as_str());
    let stored = upsert::lock_known(tx, app, ids, known).await?;
    let current = |user: &UpsertUser| stored.get(user.profile.id.as_str()).map(Cow::as_ref);
    let mut against: Vec<Subject> =
        users.iter().enumerate().flat_map(|(at, user)| obstacles(at, user, current(user))).collect();
    let mut written: Vec<Stored> =
        users.iter().map(|user| replaced(user.profile.clone(), current(user), now)).collect();
    let renamings: Vec<Renaming> = users
        .iter()
        .zip(&written)
        .map(|(user, written)| Renaming::of(current(user).map(|stored| &*stored.user), &written.user))
        .collect();
    for at in names::taken(tx, app, Manner::Together, &renamings).await? {
        against.push(Subject { field: format!("users[{at}].name"), reason: Reason::NameTaken });
    }
    if !against.is_empty() {
        return Err(Error::State(against));
    }
    refuse_old_tokens(tx, vault, app, &mut written).await?;
    upsert::upsert_users(tx, app, &written).await?;
    // Without blocks: what the answer weighs must be known before the commit.
    Ok(written.into_iter().map(|stored| UserView::basic(Arc::unwrap_or_clone(stored.user))).collect())
}

/// What is against writing the user at `at`.
fn obstacles(at: usize, user: &UpsertUser, current: Option<&Stored>) -> Vec<Subject> {
    let mut against = Vec::new();
    let mut add = |field: &str, reason| {
        let dot = if field.is_empty() { "" } else { "." };
        against.push(Subject { field: format!("users[{at}]{dot}{field}"), reason });
    };
    let current = current.map(|stored| &*stored.user);
    if let Some(reason) = current.and_then(User::barred) {
        add("", reason);
    }
    for (field, _) in roles_named(&user.profile).filter(|(_, role)| !role::exists(role)) {
        add(field, Reason::RoleNotFound);
    }
    let version = current.map_or(0, |user| user.version);
    if user.expected_version.is_some_and(|expected| expected != version) {
        add("expected_version", Reason::VersionMismatch);
    }
    against
}

/// The row that `profile` makes of what is stored, or of nothing.
pub(in crate::domain) fn replaced(profile: Profile, current: Option<&Stored>, now: Timestamp) -> Stored {
    match current {
        None => Stored {
            user: Arc::new(User {
                profile,
                created_at: now,
                updated_at: now,
                deactivated_at: None,
                deactivation: Cause::default(),
                deleted_at: None,
                tokens_revoked_before: None,
                last_active: None,
                avg_response_time: None,
                version: 1,
            }),
            marks: UserMarks { auth_epoch: 1, ..UserMarks::default() },
        },
        Some(Stored { user, marks }) => Stored {
            user: Arc::new(User {
                profile,
                created_at: user.created_at,
                updated_at: now.max(user.updated_at),
                deactivated_at: user.deactivated_at,
                deactivation: user.deactivation.clone(),
                deleted_at: user.deleted_at,
                tokens_revoked_before: user.tokens_revoked_before,
                last_active: user.last_active,
                avg_response_time: user.avg_response_time,
                version: user.version + 1,
            }),
            marks: marks.clone(),
        },
    }
}

/// `users` with whom each has blocked.
pub(super) async fn with_blocks(
    db: &crate::storage::Db,
    app: AppId,
    users: Vec<User>,
) -> Result<Vec<UserView>, StoreError> {
    let mut blocks = upsert::list_blocks(db, app, users.iter().map(|user| user.id().as_str())).await?;
    Ok(users
        .into_iter()
        .map(|user| {
            let blocked_user_ids = blocks.remove(user.id().as_str()).unwrap_or_default();
            UserView { user, blocked_user_ids, online: false }
        })
        .collect())
}
