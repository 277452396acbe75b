//! Counting what a user has.

use crate::domain::{Call, Domain, Error};
use crate::model::footprint::Footprint;
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::storage::{footprint, get};

impl Domain {
    /// Counts everything of a user, deleted or not.
    pub async fn get_footprint(&self, call: &Call, user: &UserId) -> Result<Footprint, Error> {
        let db = self.read(call.deadline).await?;
        if get::list_users(&db, call.app(), std::slice::from_ref(user), true).await?.is_empty() {
            return Err(Error::state("user_id", Reason::UserNotFound));
        }
        Ok(footprint::count_all(&db, call.app(), user.as_str()).await?)
    }
}
