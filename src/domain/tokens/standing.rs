//! How users and apps stand as far as tokens are concerned.
//!
//! Only acceptance rests on what is remembered ([`Recent`]): whoever would be refused is judged by the
//! database, so a new user or a new token is good at once. Where the database cannot be asked the answer is
//! UNAVAILABLE, never what is old.

use std::sync::Arc;
use std::time::Instant;

use quick_cache::Equivalent;

use super::Refusal;
use super::claims::{Bearer, Claims};
use super::renewal::Due;
use crate::domain::recent::Recent;
use crate::domain::{Domain, Error};
use crate::model::clock::{Deadline, Timestamp};
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::RevocationMarks;
use crate::storage::tokens::{self, AppStanding};
use crate::storage::{Db, StoreError};

/// Users and apps remembered at most; a user takes about 300 bytes.
const USERS: usize = 100_000;
const APPS: usize = 1_000;

/// What is remembered.
pub struct Standings {
    users: Recent<(AppId, UserId), Arc<UserStanding>>,
    apps: Recent<AppId, Arc<AppStanding>>,
}

impl Default for Standings {
    fn default() -> Self {
        Self { users: Recent::new(USERS), apps: Recent::new(APPS) }
    }
}

/// A user to look up, without a copy of its id.
#[derive(Hash)]
struct Who<'a>(AppId, &'a UserId);

impl Equivalent<(AppId, UserId)> for Who<'_> {
    fn equivalent(&self, (app, id): &(AppId, UserId)) -> bool {
        self.0 == *app && self.1 == id
    }
}

/// A token that nothing is against.
#[derive(Debug)]
pub(super) struct Passed {
    /// Its user's, as stored. A server token has none.
    pub(super) role: Option<Arc<str>>,
}

/// How a user stands.
pub(super) struct UserStanding {
    role: Arc<str>,
    /// Why its tokens are refused, if so.
    barred: Option<Reason>,
    marks: RevocationMarks,
}

impl Standings {
    /// Forgets users who were changed here.
    pub(in crate::domain) fn forget_users<'a>(
        &self,
        app: AppId,
        users: impl IntoIterator<Item = &'a UserId>,
    ) {
        for user in users {
            self.users.forget(&Who(app, user));
        }
    }

    /// Forgets an app whose tokens were revoked here, or who asks something else of them.
    pub(in crate::domain) fn forget_app(&self, app: AppId) {
        self.apps.forget(&app);
    }
}

impl Domain {
    /// Judges a token with a good signature: its dates, and what is known of its user and app.
    pub(super) async fn standing(
        &self,
        app: AppId,
        claims: &Claims,
        deadline: Deadline,
    ) -> Result<Result<Passed, Refusal>, Error> {
        let now = self.now();
        if let Err(refusal) = claims.judge(now) {
            return Ok(Err(refusal));
        }
        if let Some(passed) = self.remembered(app, claims, now) {
            return Ok(Ok(passed));
        }
        // Boxed: calls that need no database do not carry the room for asking one.
        Box::pin(self.standing_anew(app, claims, deadline)).await
    }

    /// As [`Self::standing`], judged by the database in any case.
    pub(super) async fn standing_anew(
        &self,
        app: AppId,
        claims: &Claims,
        deadline: Deadline,
    ) -> Result<Result<Passed, Refusal>, Error> {
        let now = self.now();
        if let Err(refusal) = claims.judge(now) {
            return Ok(Err(refusal));
        }
        let began = Instant::now();
        let db = self.read(deadline).await?;
        let id = match &claims.bearer {
            Bearer::Server => None,
            Bearer::User(id) => Some(id),
        };
        let (standing, mut users) = self.read_standings(&db, app, id.as_slice(), began).await?;
        match (id, users.pop()) {
            (None, _) => Ok(judge(claims, &standing, None, now)),
            (_, Some(user)) => Ok(judge(claims, &standing, Some(&user), now)),
            (Some(_), None) => {
                let judged = claims.judge_by(&standing.settings, now);
                Ok(judged.and(Err(Reason::UserNotFound.into())))
            }
        }
    }

    /// Whether what is remembered lets the token pass.
    fn remembered(&self, app: AppId, claims: &Claims, now: Timestamp) -> Option<Passed> {
        let standing = self.standings.apps.get(&app, || self.renewals.ask(Due::App(app)))?;
        let user = match &claims.bearer {
            Bearer::Server => None,
            Bearer::User(id) => {
                let ask = || self.renewals.ask(Due::User(app, id.clone()));
                Some(self.standings.users.get(&Who(app, id), ask)?)
            }
        };
        // A token from a newer epoch than the one known is among those refused: it may have been minted after
        // a revocation not heard of yet.
        judge(claims, &standing, user.as_deref(), now).ok()
    }

    /// Reads how an app and those of `users` that exist stand, and remembers it.
    pub(super) async fn read_standings(
        &self,
        db: &Db,
        app: AppId,
        users: &[&UserId],
        began: Instant,
    ) -> Result<(Arc<AppStanding>, Vec<Arc<UserStanding>>), StoreError> {
        let standing = Arc::new(tokens::get_app_standing(db, app).await?);
        self.standings.apps.insert(app, Arc::clone(&standing), began);
        let mut found = Vec::with_capacity(users.len());
        if users.is_empty() {
            return Ok((standing, found));
        }
        let mut bearers = tokens::list_bearers(db, app, users.iter().map(|user| user.as_str())).await?;
        for user in users {
            let Some(tokens::Bearer { role, barred, marks }) = bearers.remove(user.as_str()) else {
                self.standings.users.forget(&Who(app, user));
                continue;
            };
            let read = Arc::new(UserStanding { role: role.into(), barred, marks });
            self.standings.users.insert((app, (*user).clone()), Arc::clone(&read), began);
            found.push(read);
        }
        Ok((standing, found))
    }
}

/// Everything that is not a date of the token alone.
fn judge(
    claims: &Claims,
    app: &AppStanding,
    user: Option<&UserStanding>,
    now: Timestamp,
) -> Result<Passed, Refusal> {
    claims.judge_by(&app.settings, now)?;
    let leeway = app.settings.token_leeway();
    if app.marks.hit(claims.app_mint(), leeway) {
        return Err(Reason::TokenRevoked.into());
    }
    let Some(user) = user else { return Ok(Passed { role: None }) };
    if let Some(reason) = user.barred {
        return Err(reason.into());
    }
    if user.marks.hit(claims.user_mint(), leeway) {
        return Err(Reason::TokenRevoked.into());
    }
    Ok(Passed { role: Some(Arc::clone(&user.role)) })
}
