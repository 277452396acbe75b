//! Reading any number of users, some at a time.

use std::time::Duration;

use super::UserView;
use crate::domain::{Call, Domain, Error};
use crate::model::query::{UserQuery, cursor_of};
use crate::storage::{StoreError, query};

/// Users read at a time: what one stream holds in memory.
const CHUNK: u64 = 250;
/// A database that is away for a moment does not break a stream: it is asked again, so often and so far apart.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Users that a query finds, from the first one to the last. Holds no connection between two chunks.
pub struct UserStream {
    domain: Domain,
    call: Call,
    query: UserQuery,
    full: bool,
    ended: bool,
}

impl Domain {
    /// Begins to read the users that `query` finds, with their blocks if asked for, whatever its limit.
    pub fn stream_users(&self, call: Call, query: UserQuery, full: bool) -> UserStream {
        let query = UserQuery { limit: CHUNK, ..query };
        UserStream { domain: self.clone(), call, query, full, ended: false }
    }
}

impl UserStream {
    /// The next ones in order; `None` after the last. A user that does not change is neither skipped nor
    /// repeated.
    pub async fn next(&mut self) -> Result<Option<Vec<UserView>>, Error> {
        for _ in 1..ATTEMPTS {
            match self.read().await {
                Err(Error::Store(StoreError::Unavailable(_))) => tokio::time::sleep(PAUSE).await,
                read => return read,
            }
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<Option<Vec<UserView>>, Error> {
        if self.ended {
            return Ok(None);
        }
        // No deadline but the database's own for each statement: all of them together may take hours.
        let db = self.domain.store.read(None).await?;
        let users = query::list_users(&db, self.call.app(), &self.query).await?;
        let read = users.len();
        let views = if self.full {
            self.domain.with_some_blocks(&self.call, &db, users).await?
        } else {
            users.into_iter().map(UserView::basic).collect()
        };
        self.ended = (read as u64) < CHUNK && views.len() == read;
        let Some(last) = views.last() else { return Ok(None) };
        self.query.after = Some(cursor_of(&last.user, &self.query.order()));
        Ok(Some(views))
    }
}
