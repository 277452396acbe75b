//! Reading what happened to a user.

use crate::domain::page_token::Page;
use crate::domain::{Call, Domain, Error};
use crate::model::history::Entry;
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::storage::{history, lifecycle};

impl Domain {
    /// A page of the history of a user, deleted or not: the newest entries first.
    pub async fn list_user_history(
        &self,
        call: &Call,
        user: &UserId,
        limit: u32,
        page_token: &str,
    ) -> Result<Page<Entry>, Error> {
        let (app, binding) = (call.app(), format!("history {user}"));
        let before: Option<i64> = self.after(call, &binding, page_token)?;
        let db = self.read(call.deadline).await?;
        if lifecycle::list_states(&db, app, [user.as_str()]).await?.is_empty() {
            return Err(Error::state("user_id", Reason::UserNotFound));
        }
        let rows = history::list(&db, app, user.as_str(), before, u64::from(limit) + 1).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.page(call, &binding, rows, limit, |entry| entry.no))
    }
}
