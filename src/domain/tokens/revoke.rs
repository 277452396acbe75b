//! Revoking tokens.

use std::sync::Arc;

use rand::RngExt as _;

use crate::domain::{Call, Domain, Error, Subject};
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::model::revocation::{MAX_STEP, Revocation};
use crate::storage::{tokens, upsert};

/// By how much epochs rise: by chance, so that nobody knows one to come.
pub(in crate::domain) fn step() -> i64 {
    rand::rng().random_range(1..=MAX_STEP)
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
                Ok(tokens::revoke_users(&tx, app, &users, revocation, step, now).await?)
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
