//! How users and apps stand as far as tokens are concerned, remembered for less than a second.
//!
//! The promise: once a revocation has returned, no replica accepts what it hit for longer than a second.
//! So what was read counts for less than that from before it was read, on the monotonic clock, and when it
//! cannot be read again the answer is UNAVAILABLE. Only acceptance rests on what is remembered: whoever
//! would be refused is judged by the database, so a new user or a new token is good at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use super::claims::{Bearer, Claims};
use crate::domain::users::upsert::barred;
use crate::domain::{Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::RevocationMarks;
use crate::storage::tokens;

/// What was read counts for so long from before it was read.
const FRESH: Duration = Duration::from_millis(700);
/// Users and apps remembered at most; about 200 bytes each.
const USERS: usize = 100_000;
const APPS: usize = 1_000;

/// What is remembered.
pub struct Standings {
    users: Cache<(AppId, UserId), Seen<UserStanding>>,
    apps: Cache<AppId, Seen<RevocationMarks>>,
}

impl Default for Standings {
    fn default() -> Self {
        Self { users: Cache::new(USERS), apps: Cache::new(APPS) }
    }
}

/// A token that nothing is against.
#[derive(Debug)]
pub(super) struct Passed {
    /// Its user's, as stored. A server token has none.
    pub(super) role: Option<String>,
}

/// Something as it was read, and when the reading began.
struct Seen<T> {
    what: Arc<T>,
    read: Instant,
}

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self { what: Arc::clone(&self.what), read: self.read }
    }
}

impl<T> Seen<T> {
    fn is_fresh(&self) -> bool {
        self.read.elapsed() < FRESH
    }
}

/// How a user stands.
struct UserStanding {
    role: String,
    /// Why its tokens are refused, if so.
    barred: Option<Reason>,
    marks: RevocationMarks,
}

impl Standings {
    /// Forgets users who were changed here, so that this replica knows as soon as it can.
    pub(in crate::domain) fn forget_users<'a>(
        &self,
        app: AppId,
        users: impl IntoIterator<Item = &'a UserId>,
    ) {
        for user in users {
            self.users.remove(&(app, user.clone()));
        }
    }

    /// Forgets an app whose tokens were revoked here.
    pub(super) fn forget_app(&self, app: AppId) {
        self.apps.remove(&app);
    }

    /// Whether what is remembered lets the token pass.
    fn passes(&self, app: AppId, claims: &Claims) -> Option<Passed> {
        let app_marks = self.apps.get(&app).filter(Seen::is_fresh)?;
        let user = match &claims.bearer {
            Bearer::Server => None,
            Bearer::User(id) => Some(self.users.get(&(app, id.clone())).filter(Seen::is_fresh)?),
        };
        // A token from a newer epoch than the one known was minted after a revocation not heard of yet.
        let newer = claims.app_mint().epoch().is_some_and(|epoch| epoch > app_marks.what.epoch)
            || user.as_ref().is_some_and(|user| {
                claims.user_mint().epoch().is_some_and(|epoch| epoch > user.what.marks.epoch)
            });
        if newer {
            return None;
        }
        judge(claims, &app_marks.what, user.as_ref().map(|user| &*user.what)).ok()
    }
}

impl Domain {
    /// Judges a token against what is known of its user and app.
    pub(super) async fn standing(
        &self,
        app: AppId,
        claims: &Claims,
        deadline: Deadline,
    ) -> Result<Result<Passed, Reason>, Error> {
        if let Some(passed) = self.standings.passes(app, claims) {
            return Ok(Ok(passed));
        }
        let read = Instant::now();
        let db = self.read(deadline).await?;
        let marks = Arc::new(tokens::get_app_marks(&db, app).await?);
        self.standings.apps.insert(app, Seen { what: Arc::clone(&marks), read });
        let Bearer::User(id) = &claims.bearer else { return Ok(judge(claims, &marks, None)) };

        let Some(bearer) = tokens::find_bearer(&db, app, id).await? else {
            self.standings.users.remove(&(app, id.clone()));
            return Ok(Err(Reason::UserNotFound));
        };
        let user = Arc::new(UserStanding {
            barred: barred(&bearer.user),
            role: bearer.user.profile.role,
            marks: bearer.marks,
        });
        self.standings.users.insert((app, id.clone()), Seen { what: Arc::clone(&user), read });
        Ok(judge(claims, &marks, Some(&user)))
    }
}

fn judge(claims: &Claims, app: &RevocationMarks, user: Option<&UserStanding>) -> Result<Passed, Reason> {
    if app.hit(claims.app_mint()) {
        return Err(Reason::TokenRevoked);
    }
    let Some(user) = user else { return Ok(Passed { role: None }) };
    if let Some(reason) = user.barred {
        return Err(reason);
    }
    if user.marks.hit(claims.user_mint()) {
        return Err(Reason::TokenRevoked);
    }
    Ok(Passed { role: Some(user.role.clone()) })
}
