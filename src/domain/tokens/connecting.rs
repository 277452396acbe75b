//! What a token does when its user connects: it is judged by the database, never by what is remembered, and
//! a call token makes its user a member of its calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::claims::Bearer;
use crate::domain::{Call, Domain, Error};
use crate::model::call::{Cid, DEFAULT_ROLE, widened};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::Mint;
use crate::storage::{Tx, calls, upsert};

/// A user, as a good token tells of it.
pub(in crate::domain) struct Bearing {
    pub(in crate::domain) user: UserId,
    pub(in crate::domain) calls: Vec<Cid>,
    pub(in crate::domain) call_role: Option<String>,
    pub(in crate::domain) user_mint: Mint,
    pub(in crate::domain) app_mint: Mint,
    pub(in crate::domain) expires_at: Option<i64>,
}

impl Domain {
    /// The user of `token`, where nothing is against either.
    pub(in crate::domain) async fn bearing(&self, call: &Call, token: &str) -> Result<Bearing, Error> {
        let claims = self.open_token(call, token).await?.map_err(Error::UserToken)?;
        let Bearer::User(user) = claims.bearer.clone() else {
            return Err(Error::invalid("token", "must be the token of a user, not a server token"));
        };
        self.standing_anew(call.app(), &claims, call.deadline).await?.map_err(Error::UserToken)?;
        // Each once and in order, so that two who redeem at the same time never wait for each other.
        let calls: BTreeSet<Cid> = claims.call_cids.iter().cloned().collect();
        Ok(Bearing {
            user,
            calls: calls.into_iter().collect(),
            user_mint: claims.user_mint(),
            app_mint: claims.app_mint(),
            expires_at: claims.expires_at,
            call_role: claims.call_role,
        })
    }

    /// Makes `user` a member of `calls`, which are made where they do not exist. What it is already stays, but
    /// for a role that permits less. Nothing is written where nothing changes.
    pub(in crate::domain) async fn redeem(
        &self,
        call: &Call,
        user: &UserId,
        calls: &[Cid],
        role: Option<String>,
    ) -> Result<(), Error> {
        if calls.is_empty() {
            return Ok(());
        }
        let app = call.app();
        let role: Arc<str> = match role {
            Some(role) => self.call_role(app, role, call.deadline).await?.into(),
            None => DEFAULT_ROLE.into(),
        };
        let db = self.read(call.deadline).await?;
        let roles = calls::list_roles(&db, app, user, calls).await?;
        drop(db);
        let open: Vec<Cid> = calls
            .iter()
            .filter(|cid| roles.get(cid).is_none_or(|current| widened(current, &role).is_some()))
            .cloned()
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let (open, user, now) = (Arc::new(open), user.clone(), self.now());
        self.write(call.deadline, move |tx| {
            let (open, user, role) = (Arc::clone(&open), user.clone(), Arc::clone(&role));
            async move { redeem_in(&tx, app, &user, &open, &role, now).await }
        })
        .await
    }
}

async fn redeem_in(
    tx: &Tx,
    app: AppId,
    user: &UserId,
    open: &[Cid],
    role: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let stored = upsert::lock_users(tx, app, [user.as_str()]).await?;
    let stored = stored.get(user.as_str()).ok_or_else(|| Error::UserToken(Reason::UserNotFound.into()))?;
    if let Some(reason) = stored.user.barred() {
        return Err(Error::UserToken(reason.into()));
    }
    calls::insert_missing(tx, app, open, now).await?;
    let roles = calls::list_roles(tx, app, user, open).await?;
    for cid in open {
        match roles.get(cid) {
            None => calls::insert_member(tx, app, cid, user, role, now).await?,
            Some(current) => {
                if let Some(role) = widened(current, role) {
                    calls::update_role(tx, app, cid, user, role).await?;
                }
            }
        }
    }
    Ok(())
}
