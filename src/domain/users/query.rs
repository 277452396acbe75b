//! Finding users.

use super::UserView;
use super::presence::set_presence;
use super::upsert::with_blocks;
use crate::domain::{Call, Domain, Error};
use crate::model::query::{Cursor, UserQuery, cursor_of};
use crate::model::user::User;
use crate::storage::{Db, query};

/// Users whose blocks are read at a time, and the bytes of blocks after which a page ends.
const BLOCKS_AT_ONCE: usize = 50;
const BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// A page of users.
#[derive(Debug)]
pub struct FoundUsers {
    /// In order.
    pub users: Vec<UserView>,
    /// There are more after the last one.
    pub more: bool,
    /// All that match, where it was asked for.
    pub total: Option<u64>,
}

impl Domain {
    /// The users that `query` finds, with their blocks if asked for.
    pub async fn query_users(
        &self,
        call: &Call,
        query: &UserQuery,
        with_total: bool,
        full: bool,
    ) -> Result<FoundUsers, Error> {
        let db = self.read(call.deadline).await?;
        // One more than asked for tells whether there is a next page.
        let ahead = UserQuery { limit: query.limit + 1, ..query.clone() };
        let mut users = query::list_users(&db, call.app(), &ahead).await?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = users.len() > limit;
        users.truncate(limit);
        let total = if with_total { Some(query::count_users(&db, call.app(), query).await?) } else { None };
        let asked = users.len();
        let mut users = if full {
            self.with_some_blocks(call, &db, users).await?
        } else {
            users.into_iter().map(UserView::basic).collect()
        };
        set_presence(&db, call.app(), &mut users, self.now()).await?;
        Ok(FoundUsers { more: more || users.len() < asked, users, total })
    }

    /// `users` with their blocks, from the first one on, for as many as an answer can hold at the most.
    pub(super) async fn with_some_blocks(
        &self,
        call: &Call,
        db: &Db,
        users: Vec<User>,
    ) -> Result<Vec<UserView>, Error> {
        let (mut views, mut bytes) = (Vec::with_capacity(users.len()), 0);
        for some in users.chunks(BLOCKS_AT_ONCE) {
            for view in with_blocks(db, call.app(), some.to_vec()).await? {
                bytes += view.blocked_user_ids.iter().map(String::len).sum::<usize>();
                views.push(view);
            }
            if bytes > BLOCK_BYTES {
                break;
            }
        }
        Ok(views)
    }

    /// The token that leads on after `last`.
    pub fn users_page_token(&self, call: &Call, query: &UserQuery, last: &User) -> String {
        self.page_token(call, &binding(query), &cursor_of(last, &query.order()))
    }

    /// The place that `token` leads on from, if it is one of the same query.
    pub fn open_users_page_token(
        &self,
        call: &Call,
        query: &UserQuery,
        token: &str,
    ) -> Result<Cursor, Error> {
        let cursor: Cursor = self.open_page_token(call, &binding(query), token)?;
        if cursor.fits(&query.order()) { Ok(cursor) } else { Err(Error::PageToken) }
    }
}

/// What must be the same from page to page.
fn binding(query: &UserQuery) -> String {
    let UserQuery { filter, sort, ids, include_deactivated, include_deleted, limit: _, offset: _, after: _ } =
        query;
    format!("users {filter:?} {sort:?} {ids:?} {include_deactivated} {include_deleted}")
}
