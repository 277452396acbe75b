//! Exporting one user, as a stream.

use std::time::Duration;

use uuid::Uuid;

use super::bulk_lifecycle::to_items;
use crate::domain::export::{Batch, Header, Names, Pace, Position, Reader};
use crate::domain::jobs::export::KIND;
use crate::domain::{Call, Domain, Error};
use crate::engine::NewTask;
use crate::model::export::ExportOptions;
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::model::task::Task;
use crate::storage::export::{Readable, readable_epoch};
use crate::storage::queue::RequestMark;
use crate::storage::{StoreError, settings};

/// A database that is away for a moment does not break a stream: it is asked again, so often and so far apart.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// The records of one user, from the first to the last. Holds no connection between two batches.
pub struct UserExport {
    domain: Domain,
    call: Call,
    user: UserId,
    reader: Reader,
    /// `None` after the last record.
    position: Option<Position>,
    epoch: i64,
    pace: Pace,
}

/// An export of many users.
#[derive(Debug, Clone)]
pub struct ExportUsers {
    /// As the caller wrote them.
    pub user_ids: Vec<String>,
    /// What is exported, and how.
    pub options: ExportOptions,
    /// Who asks for it.
    pub created_by_id: String,
    /// Why.
    pub reason: String,
    /// The caller's name for the request.
    pub request_id: Option<String>,
}

impl Domain {
    /// Accepts the export as a task; a repeat of the same request returns the same task.
    pub async fn export_users(&self, call: &Call, command: ExportUsers) -> Result<Task, Error> {
        let params =
            serde_json::to_value(command.options).map_err(|err| StoreError::Internal(err.to_string()))?;
        let body = [KIND, &params.to_string(), &command.created_by_id, &command.reason].map(str::to_owned);
        let hash = self.vault.hash(body.iter().chain(&command.user_ids).map(String::as_bytes));
        let db = self.read(call.deadline).await?;
        let due = Duration::from_hours(24) * settings::get_settings(&db, call.app()).await?.erasure_due_days;
        let new = NewTask {
            id: Uuid::now_v7(),
            app: call.app(),
            kind: KIND,
            phase: "users",
            params,
            items: to_items(command.user_ids),
            created_by_id: command.created_by_id,
            reason: command.reason,
            request: command.request_id.map(|id| RequestMark { id, hash: hash.to_vec() }),
            due_at: Some(self.now().plus(due)),
        };
        self.accept(call, new).await
    }

    /// Begins to export a user, deleted or not.
    pub async fn export_user(
        &self,
        call: Call,
        user: UserId,
        options: ExportOptions,
    ) -> Result<UserExport, Error> {
        let (app, db) = (call.app(), self.read(call.deadline).await?);
        let epoch = match readable_epoch(&db, app, user.as_str()).await? {
            Readable::Yes(epoch) => epoch,
            Readable::Erasing => return Err(Error::state("user_id", Reason::UserDeleted)),
            Readable::Unknown => return Err(Error::state("user_id", Reason::UserNotFound)),
        };
        let found = settings::get_app(&db, app).await?;
        let header = Header {
            user_id: user.as_str().to_owned(),
            about: settings::settings_of(&found)?.export_about,
            app: found.name,
            task_id: None,
            options,
            read_from: self.now(),
        };
        let names = Names::new(app, user.as_str().to_owned(), options.references);
        let reader = Reader::new(app, header, names);
        let position = Some(Position::default());
        Ok(UserExport { domain: self.clone(), call, user, reader, position, epoch, pace: Pace::hasty() })
    }
}

impl UserExport {
    /// The next records, one JSON object each; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, Error> {
        let Some(position) = self.position.take() else { return Ok(None) };
        let mut batch = self.read(&position).await;
        for _ in 1..ATTEMPTS {
            if !matches!(batch, Err(Error::Store(StoreError::Unavailable(_)))) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            batch = self.read(&position).await;
        }
        let Batch { records, next, .. } = batch?;
        self.position = next;
        Ok(Some(records))
    }

    async fn read(&mut self, position: &Position) -> Result<Batch, Error> {
        // No deadline but the database's own for each statement: all of them together may take hours.
        let db = self.domain.store.read(None).await?;
        let batch = self.reader.read(&db, position.clone(), self.pace.rows(), self.domain.now()).await?;
        self.pace.note(&batch);
        // Looked at after the rows were read: they are of this user, whole.
        match readable_epoch(&db, self.call.app(), self.user.as_str()).await? {
            Readable::Yes(epoch) if epoch == self.epoch => Ok(batch),
            _ => Err(Error::Conflict("the user is deleted without a trace, and the export with it")),
        }
    }
}
