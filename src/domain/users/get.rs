//! Reading users by id.

use super::UserView;
use super::presence::set_presence;
use super::upsert::with_blocks;
use crate::domain::{Call, Domain, Error, Identity};
use crate::model::history::Cause;
use crate::model::id::UserId;
use crate::storage::get;

/// Users by id: those found, in the order asked for, and the ids of the others.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct GotUsers {
    pub users: Vec<UserView>,
    pub missing_ids: Vec<String>,
}

impl Domain {
    /// Reads users by id, which differ; deleted ones only if asked for.
    pub async fn get_users(
        &self,
        call: &Call,
        ids: Vec<UserId>,
        include_deleted: bool,
    ) -> Result<GotUsers, Error> {
        call.only_about(&ids)?;
        let db = self.read(call.deadline).await?;
        let mut found = get::list_users(&db, call.app(), &ids, include_deleted).await?;
        let (mut users, mut missing_ids) = (Vec::new(), Vec::new());
        for id in ids {
            match found.remove(id.as_str()) {
                Some(mut user) => {
                    // Who deactivated a user, and why, is for servers alone.
                    if call.caller.identity != Identity::Server {
                        user.deactivation = Cause::default();
                    }
                    users.push(user);
                }
                None => missing_ids.push(id.into()),
            }
        }
        let mut users = with_blocks(&db, call.app(), users).await?;
        set_presence(&db, call.app(), &mut users, self.now()).await?;
        Ok(GotUsers { users, missing_ids })
    }
}
