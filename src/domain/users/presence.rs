//! Connecting users, keeping them alive, and disconnecting them; and who is online.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::UserView;
use super::upsert::with_blocks;
use crate::domain::tokens::connecting::Bearing;
use crate::domain::{Call, Domain, Error, Identity};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::session::{Session, Sign, online_since};
use crate::storage::presence::{self as rows, SessionSign};
use crate::storage::{Db, StoreError, get, tokens};

/// Who wants to connect.
#[derive(Debug, Clone)]
pub enum Connect {
    /// The user of this token.
    Bearer(String),
    /// Nobody in particular.
    Anonymous,
}

/// Somebody who may be connected.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Connected {
    /// `None` for an anonymous caller.
    pub user: Option<UserView>,
    pub role: String,
    pub call_cids: Vec<String>,
    pub expires_at: Option<i64>,
    pub session_id: String,
}

/// A session that is over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Ended {
    pub session_id: String,
    pub reason: Reason,
}

impl Domain {
    /// Judges who wants to connect, redeems a call token, and begins a session.
    pub async fn connect_user(&self, call: &Call, who: Connect) -> Result<Connected, Error> {
        let (app, now) = (call.app(), self.now());
        let id = Uuid::new_v4().to_string();
        let Connect::Bearer(token) = who else {
            return Ok(Connected {
                user: None,
                role: role::ANONYMOUS.to_owned(),
                call_cids: Vec::new(),
                expires_at: None,
                session_id: self.seal_session(app, &Session::anonymous(id, now)),
            });
        };
        let Bearing { user: bearer, calls, call_role, user_mint, app_mint, expires_at } =
            self.bearing(call, &token).await?;
        self.redeem(call, &bearer, &calls, call_role).await?;

        let db = self.read(call.deadline).await?;
        let found =
            get::list_users(&db, app, std::slice::from_ref(&bearer), false).await?.remove(bearer.as_str());
        let mut user = found.ok_or_else(|| Error::UserToken(Reason::UserNotFound.into()))?;
        let session = Session::of_user(id, &bearer, now, user_mint, app_mint);
        self.note(app, &session, Sign { seen_at: now, ended: false });
        user.last_active = Some(now);
        let role = user.profile.role.clone();
        let views = with_blocks(&db, app, vec![user]).await?;
        Ok(Connected {
            user: views.into_iter().next().map(|view| UserView { online: true, ..view }),
            role,
            call_cids: calls.iter().map(ToString::to_string).collect(),
            expires_at,
            session_id: self.seal_session(app, &session),
        })
    }

    /// Notes that sessions live; tells those that do not, and why.
    pub async fn keep_alive(&self, call: &Call, session_ids: Vec<String>) -> Result<Vec<Ended>, Error> {
        let (app, now) = (call.app(), self.now());
        let mut ended = Vec::new();
        let mut living = Vec::new();
        for session_id in session_ids {
            match self.open_session(call, &session_id)? {
                Some(session) => living.push((session_id, session)),
                None => ended.push(Ended { session_id, reason: Reason::SessionEnded }),
            }
        }
        let db = self.read(call.deadline).await?;
        let reasons = self.reasons_to_end(&db, app, living.iter().map(|(_, session)| session)).await?;
        for (session_id, session) in living {
            let reason = reasons.get(&session.id).copied();
            self.note(app, &session, Sign { seen_at: now, ended: reason.is_some() });
            ended.extend(reason.map(|reason| Ended { session_id, reason }));
        }
        Ok(ended)
    }

    /// Ends a session. One that has ended stays so.
    pub fn disconnect_user(&self, call: &Call, session_id: &str) -> Result<(), Error> {
        let unknown = || Error::invalid("session_id", "must be one that ConnectUser answered in this app");
        let session = self.open_session(call, session_id)?.ok_or_else(unknown)?;
        self.note(call.app(), &session, Sign { seen_at: self.now(), ended: true });
        Ok(())
    }

    /// Why those of `sessions` that have to end do, by their ids.
    async fn reasons_to_end<'a>(
        &self,
        db: &Db,
        app: AppId,
        sessions: impl Iterator<Item = &'a Session> + Clone,
    ) -> Result<HashMap<String, Reason>, Error> {
        let now = self.now();
        let standing = tokens::get_app_standing(db, app).await?;
        let leeway = standing.settings.token_leeway();
        let bearers =
            tokens::list_bearers(db, app, sessions.clone().filter_map(|s| s.user.as_deref())).await?;
        let signs = rows::list_signs(db, app, sessions.clone().map(|s| s.id.as_str())).await?;
        let judge = |session: &Session| {
            let user = session.user.as_deref()?;
            let Some(bearer) = bearers.get(user) else { return Some(Reason::UserNotFound) };
            if let Some(reason) = bearer.barred {
                return Some(reason);
            }
            if standing.marks.hit(session.app_mint(), leeway) || bearer.marks.hit(session.user_mint(), leeway)
            {
                return Some(Reason::TokenRevoked);
            }
            let known = [signs.get(&session.id).copied(), self.signs.waiting(app, &session.id)];
            let sign =
                known.into_iter().flatten().reduce(Sign::merged).unwrap_or_else(|| session.first_sign());
            (!sign.lives(now)).then_some(Reason::SessionEnded)
        };
        Ok(sessions.filter_map(|session| Some((session.id.clone(), judge(session)?))).collect())
    }

    fn note(&self, app: AppId, session: &Session, sign: Sign) {
        if let Some(user) = session.user.clone() {
            self.signs.note(app, SessionSign { session: session.id.clone(), user, sign });
        }
    }

    #[expect(clippy::expect_used, reason = "going on would hand out a session that is none")]
    fn seal_session(&self, app: AppId, session: &Session) -> String {
        let plain = serde_json::to_vec(session).expect("a session is texts and numbers");
        URL_SAFE_NO_PAD.encode(self.vault.seal(&context(app), &plain))
    }

    /// The session that `session_id` names, if it is one of this app; a user's own only.
    fn open_session(&self, call: &Call, session_id: &str) -> Result<Option<Session>, Error> {
        let sealed = URL_SAFE_NO_PAD.decode(session_id).ok();
        let plain = sealed.and_then(|sealed| self.vault.open(&context(call.app()), &sealed));
        let session: Option<Session> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        if let (Identity::User { id, .. }, Some(session)) = (&call.caller.identity, &session)
            && session.user.as_deref() != Some(id.as_str())
        {
            let needs = "a server token, for sessions of others";
            return Err(Error::PermissionMissing { rpc: call.rpc, needs });
        }
        Ok(session)
    }
}

/// Fills in which of `views` are online. Whoever is invisible or cannot act never is.
pub(super) async fn set_presence(
    db: &Db,
    app: AppId,
    views: &mut [UserView],
    now: Timestamp,
) -> Result<(), StoreError> {
    let visible = |view: &UserView| !view.user.profile.invisible && view.user.barred().is_none();
    let ids: Vec<UserId> =
        views.iter().filter(|view| visible(view)).map(|view| view.user.id().clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let online = rows::list_online(db, app, ids.iter().map(UserId::as_str), online_since(now)).await?;
    for view in views {
        view.online = visible(view) && online.contains(view.user.id().as_str());
    }
    Ok(())
}

fn context(app: AppId) -> Vec<u8> {
    format!("session {}", app.0).into_bytes()
}
