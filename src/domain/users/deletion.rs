//! Deleting users: what is at once, before the call is answered. The rest is done by `domain::jobs::deletion`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::bulk_lifecycle::to_items;
use crate::domain::jobs::deletion::{KIND, note_undisturbed};
use crate::domain::vault::Vault;
use crate::domain::{Call, Domain, Error, Subject};
use crate::engine::{Engine, NewTask};
use crate::model::archive::Archive;
use crate::model::clock::Timestamp;
use crate::model::deletion::{DeletePlan, Mode, Shared};
use crate::model::history::Cause;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::task::{Item, Outcome, Task};
use crate::model::user::User;
use crate::storage::deletion::{self, Deletion, Preview};
use crate::storage::queue::RequestMark;
use crate::storage::{StoreError, Tx, archives, get, lifecycle, settings, upsert};

/// Archives that are named at most.
const UNREAD: u64 = 1_000;

/// A deletion of many users.
#[derive(Debug, Clone)]
pub struct DeleteUsers {
    /// As the caller wrote them.
    pub user_ids: Vec<String>,
    /// How far.
    pub plan: DeletePlan,
    /// Who inherits channels, with the field that named it.
    pub channel_heir: Option<UserId>,
    /// Who inherits calls.
    pub call_heir: Option<UserId>,
    /// Who asks for it.
    pub created_by_id: String,
    /// Why.
    pub reason: String,
    /// The caller's name for the request.
    pub request_id: Option<String>,
}

impl DeleteUsers {
    /// Heirs with the field that named each, and what they inherit.
    fn heirs(&self) -> impl Iterator<Item = (Shared, &'static str, &UserId)> {
        let channels = self.channel_heir.iter().map(|heir| (Shared::Channels, "new_channel_owner_id", heir));
        let calls = self.call_heir.iter().map(|heir| (Shared::Calls, "new_call_owner_id", heir));
        channels.chain(calls)
    }
}

/// What a deletion would come to.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct DeletionPreview {
    pub users: i64,
    pub users_unchanged: i64,
    pub users_failed: i64,
    pub rows: Preview,
}

impl Domain {
    /// Hides the users, and accepts the deletion as a task; a repeat of the same request returns the same
    /// task.
    pub async fn delete_users(&self, call: &Call, command: DeleteUsers) -> Result<Task, Error> {
        let new = new_deletion(&self.vault, call.app(), &command)?;
        if let Some(task) = self.repeated(call, &new).await? {
            return Ok(task);
        }
        let (engine, now, this) = (self.engine.clone(), self.now(), Arc::new((new, command)));
        let shared = Arc::clone(&this);
        let accepted = self
            .write(call.deadline, move |tx| {
                let (engine, shared) = (engine.clone(), Arc::clone(&shared));
                async move { accept(&tx, &engine, &shared.0, &shared.1, now).await }
            })
            .await;
        let task = self.accepted(call, &this.0, accepted).await?;
        let hidden = this.0.items.iter().filter(|item| item.outcome == Outcome::Pending);
        let ids: Vec<UserId> = hidden.map(|item| UserId::stored(item.user_id.clone())).collect();
        self.standings.forget_users(call.app(), ids.iter());
        Ok(task)
    }

    /// Archives of the users that were never downloaded, where the deletion erases users.
    pub async fn list_unread_archives(
        &self,
        call: &Call,
        command: &DeleteUsers,
    ) -> Result<Vec<Archive>, Error> {
        if command.plan.user != Mode::Hard {
            return Ok(Vec::new());
        }
        let db = self.read(call.deadline).await?;
        let ids: Vec<&str> = command.user_ids.iter().map(String::as_str).collect();
        Ok(archives::list_unread(&db, call.app(), &ids, UNREAD).await?)
    }

    /// Counts what the deletion would touch; changes nothing.
    pub async fn preview_deletion(
        &self,
        call: &Call,
        command: &DeleteUsers,
    ) -> Result<DeletionPreview, Error> {
        let (app, db) = (call.app(), self.read(call.deadline).await?);
        let items = to_items(command.user_ids.clone());
        let asked = || items.iter().filter(|item| item.outcome == Outcome::Pending);
        let ids: Vec<String> = asked().map(|item| item.user_id.clone()).collect();
        let mode = command.plan.user;
        let (mut to_go, mut unchanged) = (Vec::new(), 0_usize);
        let states = lifecycle::list_states(&db, app, ids.iter().map(String::as_str)).await?;
        for user in states.into_values() {
            let done = if user.pruned { Mode::Pruning } else { Mode::Soft };
            if user.deleted_at.is_none() || mode > done {
                to_go.push(user.id);
            } else {
                unchanged += 1;
            }
        }
        for (_, field, heir) in command.heirs() {
            let found = get::list_users(&db, app, std::slice::from_ref(heir), true).await?;
            check_heir(field, found.get(heir.as_str()))?;
        }
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        Ok(DeletionPreview {
            users: count(to_go.len()),
            users_unchanged: count(unchanged),
            users_failed: count(items.len() - to_go.len() - unchanged),
            rows: deletion::preview(&db, app, &to_go, &command.plan).await?,
        })
    }
}

/// The task that a deletion makes, with an item for each id.
pub(super) fn new_deletion(vault: &Vault, app: AppId, command: &DeleteUsers) -> Result<NewTask, Error> {
    let params = serde_json::to_value(command.plan).map_err(|err| StoreError::Internal(err.to_string()))?;
    let DeleteUsers { user_ids, channel_heir, call_heir, created_by_id, reason, .. } = command;
    let heir = |heir: &Option<UserId>| heir.as_ref().map_or("", UserId::as_str).to_owned();
    let body = [
        KIND.to_owned(),
        params.to_string(),
        heir(channel_heir),
        heir(call_heir),
        created_by_id.clone(),
        reason.clone(),
    ];
    let hash = vault.hash(body.iter().chain(user_ids).map(String::as_bytes));
    Ok(NewTask {
        due_at: None,
        id: Uuid::now_v7(),
        app,
        kind: KIND,
        phase: "users",
        params,
        items: to_items(user_ids.clone()),
        created_by_id: created_by_id.clone(),
        reason: reason.clone(),
        request: command.request_id.clone().map(|id| RequestMark { id, hash: hash.to_vec() }),
    })
}

/// Hides the users, and stores the task.
pub(super) async fn accept(
    tx: &Tx,
    engine: &Engine,
    new: &NewTask,
    command: &DeleteUsers,
    now: Timestamp,
) -> Result<Task, Error> {
    let (app, mut new) = (new.app, new.clone());
    let asked = new.items.iter().filter(|item| item.outcome == Outcome::Pending);
    let ids: Vec<&str> = asked.map(|item| item.user_id.as_str()).collect();
    let heirs = || command.heirs().map(|(_, _, heir)| heir.as_str());
    upsert::lock_rows(tx, app, ids.iter().copied().chain(heirs())).await?;
    let found = upsert::lock_users(tx, app, heirs()).await?;
    for (_, field, heir) in command.heirs() {
        check_heir(field, found.get(heir.as_str()).map(|stored| &*stored.user))?;
    }
    let cause = Cause::of(&new.created_by_id, &new.reason);
    let deletion = Deletion { task: new.id.to_string(), mode: command.plan.user, cause };
    let hidden = deletion::hide(tx, app, &ids, &deletion, now).await?;
    // Nearly always all were live, and so exist.
    if hidden == ids.len() as u64 {
        // Others are gone through one by one in any case.
        if command.plan.user == Mode::Soft
            && let Some(place) = deletion::undisturbed_place(tx, app, &ids).await?
        {
            note_undisturbed(&mut new.params, place);
        }
    } else {
        let existing = upsert::lock_ids(tx, app, ids).await?;
        new.items.iter_mut().for_each(|item| fail_missing(item, &existing));
    }
    new.due_at =
        Some(now.plus(Duration::from_hours(24) * settings::get_settings(tx, app).await?.erasure_due_days));
    let task = engine.insert(tx, &new).await?;
    for (shared, _, heir) in command.heirs() {
        deletion::insert_heir(tx, &task, shared, heir.as_str()).await?;
    }
    for (shared, mode) in
        [(Shared::Channels, command.plan.conversations), (Shared::Calls, command.plan.calls)]
    {
        if mode != Mode::Keep {
            deletion::insert_targets(tx, &task, shared).await?;
        }
    }
    Ok(engine.accept(tx, task).await?)
}

/// Ends the item where nobody has its id.
fn fail_missing(item: &mut Item, existing: &HashSet<String>) {
    if item.outcome == Outcome::Pending && !existing.contains(&item.user_id) {
        item.outcome = Outcome::Failed;
        item.reason = Some(Reason::UserNotFound.as_str().to_owned());
    }
}

fn check_heir(field: &'static str, user: Option<&User>) -> Result<(), Error> {
    let against = match user {
        None => Some(Reason::UserNotFound),
        Some(user) => user.barred(),
    };
    match against {
        Some(reason) => Err(Error::State(vec![Subject { field: field.to_owned(), reason }])),
        None => Ok(()),
    }
}
