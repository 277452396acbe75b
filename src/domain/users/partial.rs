//! Changing parts of users.

use std::collections::HashMap;
use std::sync::Arc;

use super::upsert::replaced;
use super::{UserView, names};
use crate::domain::tokens::revoke;
use crate::domain::{Call, Domain, Error, Identity, Subject};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::json;
use crate::model::patch::Patch;
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::unique_name::{Manner, Renaming};
use crate::model::user::{Profile, User, roles_named};
use crate::model::violation::Violations;
use crate::storage::Tx;
use crate::storage::upsert::{self, Stored};

/// One user to change.
#[derive(Debug, Clone)]
pub struct UpdateUser {
    /// Which.
    pub id: UserId,
    /// What of it.
    pub patch: Patch,
    /// The version it must have.
    pub expected_version: Option<i64>,
}

impl Domain {
    /// Changes `users`, all or none, and answers with them in order, in at most `room` bytes. Their ids differ.
    pub async fn update_users_partial(
        &self,
        call: &Call,
        users: Vec<UpdateUser>,
        room: usize,
    ) -> Result<Vec<UserView>, Error> {
        check_rights(call, &users)?;
        let (app, now) = (call.app(), self.now());
        let users = Arc::new(users);
        let shared = Arc::clone(&users);
        let written = self
            .write(call.deadline, move |tx| {
                let users = Arc::clone(&shared);
                async move { update_all(&tx, app, &users, room, now).await }
            })
            .await?;
        self.standings.forget_users(app, users.iter().map(|user| &user.id));
        Ok(written)
    }
}

/// Refuses a user who would change another one, or what only servers may.
fn check_rights(call: &Call, users: &[UpdateUser]) -> Result<(), Error> {
    if call.caller.identity == Identity::Server {
        return Ok(());
    }
    call.only_about(users.iter().map(|user| &user.id))?;
    let fields = users.iter().enumerate().flat_map(|(at, user)| {
        let field = move |origin| format!("users[{at}].{origin}");
        user.patch.privileged.iter().map(field)
    });
    let against: Vec<Subject> =
        fields.map(|field| Subject { field, reason: Reason::PermissionMissing }).collect();
    if against.is_empty() { Ok(()) } else { Err(Error::State(against)) }
}

async fn update_all(
    tx: &Tx,
    app: AppId,
    users: &[UpdateUser],
    room: usize,
    now: Timestamp,
) -> Result<Vec<UserView>, Error> {
    let stored = upsert::lock_users(tx, app, users.iter().map(|user| user.id.as_str())).await?;
    let written = decide(users, &stored, now)?;
    check_names(tx, app, &stored, &written).await?;
    // Before anything is stored: an answer that does not fit would leave the caller in the dark.
    if written.iter().map(|stored| answer_bytes(&stored.user)).sum::<usize>() > room {
        return Err(Error::TooLarge("the users are too many bytes together; change fewer at a time"));
    }
    upsert::upsert_users(tx, app, &written).await?;
    for user in users {
        if let Some(revocation) = user.patch.revocation {
            revoke::note(tx, app, std::slice::from_ref(&user.id), revocation, now).await?;
        }
    }
    Ok(written.into_iter().map(|stored| UserView::basic(Arc::unwrap_or_clone(stored.user))).collect())
}

/// Refuses names that others have.
async fn check_names(
    tx: &Tx,
    app: AppId,
    stored: &HashMap<String, Stored>,
    written: &[Stored],
) -> Result<(), Error> {
    let before = |user: &User| stored.get(user.id().as_str()).map(|stored| &*stored.user);
    let renamings: Vec<Renaming> =
        written.iter().map(|stored| Renaming::of(before(&stored.user), &stored.user)).collect();
    let taken = names::taken(tx, app, Manner::Together, &renamings).await?;
    let against = taken.into_iter().map(|at| {
        // Whoever had the key before wants it in one more team.
        let renamed = renamings.get(at).is_some_and(Renaming::is_of_another_name);
        let field = format!("users[{at}].set.{}", if renamed { "name" } else { "teams" });
        Subject { field, reason: Reason::NameTaken }
    });
    let against: Vec<Subject> = against.collect();
    if against.is_empty() { Ok(()) } else { Err(Error::State(against)) }
}

/// What `users` become, or everything that is against it.
fn decide(
    users: &[UpdateUser],
    stored: &HashMap<String, Stored>,
    now: Timestamp,
) -> Result<Vec<Stored>, Error> {
    let (mut against, mut bad, mut written) = (Vec::new(), Violations::new(), Vec::new());
    for (at, user) in users.iter().enumerate() {
        let mut add = |field: &str, reason| {
            against.push(Subject { field: format!("users[{at}]{field}"), reason });
        };
        let Some(current) = stored.get(user.id.as_str()) else {
            add("", Reason::UserNotFound);
            continue;
        };
        if let Some(reason) = current.user.barred() {
            add("", reason);
        }
        if user.expected_version.is_some_and(|expected| expected != current.user.version) {
            add(".expected_version", Reason::VersionMismatch);
        }
        let mut found = Violations::new();
        let profile = user.patch.apply(current.user.profile.clone(), &mut found);
        bad.extend(&format!("users[{at}]"), found.into_result(()).err().unwrap_or_default());
        let Some(profile) = profile else { continue };
        for (field, _) in roles_named(&profile).filter(|(_, role)| !role::exists(role)) {
            add(&format!(".set.{field}"), Reason::RoleNotFound);
        }
        written.push(changed(&user.patch, profile, current, now));
    }
    if !against.is_empty() {
        return Err(Error::State(against));
    }
    Ok(bad.into_result(written)?)
}

fn changed(patch: &Patch, profile: Profile, current: &Stored, now: Timestamp) -> Stored {
    let mut changed = replaced(profile, Some(current), now);
    if let Some(average) = patch.avg_response_time {
        Arc::make_mut(&mut changed.user).avg_response_time = average;
    }
    if let Some(revocation) = patch.revocation {
        changed.revoke(revocation, revoke::step(), now);
    }
    changed
}

/// The most that a user without blocks takes in an answer.
fn answer_bytes(user: &User) -> usize {
    /// Times, settings, numbers, and what announces each field.
    const FRAME: usize = 320;
    let Profile {
        id,
        name,
        image,
        role,
        custom,
        language,
        teams,
        teams_role,
        invisible: _,
        privacy_settings: _,
        push_notifications: _,
    } = &user.profile;
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let teams: usize = teams.iter().map(|team| team.len() + 2).sum();
    let roles: usize = teams_role.iter().map(|(team, role)| team.len() + role.len() + 8).sum();
    let texts = id.as_str().len() + text(name) + text(image) + role.len() + text(language);
    FRAME + texts + teams + roles + json::struct_bytes(custom)
}
