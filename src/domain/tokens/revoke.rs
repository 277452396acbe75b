//! Revoking tokens.

use std::sync::Arc;

use rand::RngExt as _;

use crate::domain::{Call, Domain, Error, Subject};
use crate::model::clock::Timestamp;
use crate::model::history::{Cause, HistoryKind};
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::{MAX_STEP, Revocation};
use crate::storage::history::{self, NewEntry};
use crate::storage::{StoreError, Tx, tokens, upsert};

/// By how much epochs rise: by chance, so that nobody knows one to come.
pub(in crate::domain) fn step() -> i64 {
    rand::rng().random_range(1..=MAX_STEP)
}

/// Appends the revocation to the histories of users, whom the transaction has locked.
pub(in crate::domain) async fn note(
    tx: &Tx,
    app: AppId,
    users: &[UserId],
    revocation: Revocation,
    at: Timestamp,
) -> Result<(), StoreError> {
    let kind = match revocation {
        Revocation::Now | Revocation::IssuedBefore(_) => HistoryKind::TokensRevoked,
        Revocation::Clear => HistoryKind::RevocationCleared,
    };
    let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
    history::append(tx, app, &ids, &NewEntry { kind, at, cause: &Cause::default(), task: None }).await
}

impl Domain {
    /// Revokes tokens of users, or clears what was revoked: of all of them, or of none.
    ///
    /// Once this has returned, tokens that were hit are refused everywhere within a second.
    pub async fn revoke_user_tokens(
        &self,
        call: &Call,
        users: Vec<UserId>,
        revocation: Revocation,
    ) -> Result<(), Error> {
        let (app, now, users, step) = (call.app(), self.now(), Arc::new(users), step());
        let shared = Arc::clone(&users);
        self.write(call.deadline, move |tx| {
            let users = Arc::clone(&shared);
            async move {
                let stored = upsert::lock_users(&tx, app, users.iter().map(UserId::as_str)).await?;
                let missing: Vec<Subject> = users
                    .iter()
                    .enumerate()
                    .filter(|(_, id)| !stored.contains_key(id.as_str()))
                    .map(|(at, _)| Subject { field: format!("user_ids[{at}]"), reason: Reason::UserNotFound })
                    .collect();
                if !missing.is_empty() {
                    return Err(Error::State(missing));
                }
                tokens::revoke_users(&tx, app, &users, revocation, step, now).await?;
                Ok(note(&tx, app, &users, revocation, now).await?)
            }
        })
        .await?;
        self.standings.forget_users(app, users.iter());
        Ok(())
    }

    /// Revokes tokens of everybody in the app, server tokens too, or clears what was revoked.
    pub async fn revoke_app_tokens(&self, call: &Call, revocation: Revocation) -> Result<(), Error> {
        let (app, step) = (call.app(), step());
        self.write(call.deadline, move |tx| async move {
            Ok(tokens::revoke_app(&tx, app, revocation, step).await?)
        })
        .await?;
        self.standings.forget_app(app);
        Ok(())
    }
}
