//! How users and apps stand as far as tokens are concerned.
//!
//! Only acceptance rests on what is remembered ([`Recent`]): whoever would be refused is judged by the
//! database, so a new user or a new token is good at once. Where the database cannot be asked the answer is
//! UNAVAILABLE, never what is old.

use std::sync::Arc;
use std::time::Instant;

use quick_cache::Equivalent;

use super::claims::{Bearer, Claims};
use crate::domain::recent::Recent;
use crate::domain::{Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::{Mint, RevocationMarks};
use crate::storage::tokens;

/// Users and apps remembered at most; a user takes about 300 bytes.
const USERS: usize = 100_000;
const APPS: usize = 1_000;

/// What is remembered.
pub struct Standings {
    users: Recent<(AppId, UserId), Arc<UserStanding>>,
    apps: Recent<AppId, RevocationMarks>,
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
struct UserStanding {
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

    /// Forgets an app whose tokens were revoked here.
    pub(super) fn forget_app(&self, app: AppId) {
        self.apps.forget(&app);
    }

    /// Whether what is remembered lets the token pass.
    fn passes(&self, app: AppId, claims: &Claims) -> Option<Passed> {
        let marks = self.apps.get(&app)?;
        let user = match &claims.bearer {
            Bearer::Server => None,
            Bearer::User(id) => Some(self.users.get(&Who(app, id))?),
        };
        // A token from a newer epoch than the one known was minted after a revocation not heard of yet.
        let newer =
            |mint: Mint, marks: &RevocationMarks| mint.epoch().is_some_and(|epoch| epoch > marks.epoch);
        if newer(claims.app_mint(), &marks)
            || user.as_ref().is_some_and(|user| newer(claims.user_mint(), &user.marks))
        {
            return None;
        }
        judge(claims, &marks, user.as_deref()).ok()
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
        let began = Instant::now();
        let db = self.read(deadline).await?;
        let marks = tokens::get_app_marks(&db, app).await?;
        self.standings.apps.insert(app, marks, began);
        let Bearer::User(id) = &claims.bearer else { return Ok(judge(claims, &marks, None)) };

        let Some(bearer) = tokens::find_bearer(&db, app, id).await? else {
            self.standings.users.forget(&Who(app, id));
            return Ok(Err(Reason::UserNotFound));
        };
        let user =
            Arc::new(UserStanding { barred: bearer.barred, role: bearer.role.into(), marks: bearer.marks });
        self.standings.users.insert((app, id.clone()), Arc::clone(&user), began);
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
    Ok(Passed { role: Some(Arc::clone(&user.role)) })
}
