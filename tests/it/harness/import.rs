//! Import streams.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::expect::told;
use super::{Caller, pb};
use pb::import_content_request::Step;

/// What an import has told so far, summed up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) committed_offset: Option<i64>,
    pub(crate) accepted: i64,
    pub(crate) skipped: i64,
    pub(crate) refused: Vec<pb::ImportRefusal>,
    /// As the last acknowledgement tells.
    pub(crate) waiting: i64,
}

impl Tally {
    /// Offset, reason and field of everything refused.
    pub(crate) fn refusals(&self) -> Vec<(i64, &str, &str)> {
        self.refused.iter().map(|one| (one.offset, one.reason.as_str(), one.field.as_str())).collect()
    }
}

/// An open import.
pub(crate) struct Import {
    steps: Option<mpsc::Sender<pb::ImportContentRequest>>,
    answers: Streaming<pb::ImportContentResponse>,
    tally: Tally,
}

/// An item of any kind, in the envelope of the tool.
pub(crate) fn item(kind: &str, item: Value) -> Value {
    Value::Object([("type".to_owned(), kind.into()), ("item".to_owned(), item)].into_iter().collect())
}

/// A user item of an import, in the envelope of the tool.
pub(crate) fn user_item(item: &Value) -> Vec<u8> {
    json!({"type": "user", "item": item}).to_string().into_bytes()
}

impl Caller {
    /// Opens an import and sends nothing.
    pub(crate) async fn open_import(&self) -> Result<Import, Status> {
        let (steps, queue) = mpsc::channel(64);
        let answers = self.content().import_content(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Import { steps: Some(steps), answers, tally: Tally::default() })
    }

    /// Begins an import, or goes on with one, up to the first acknowledgement.
    pub(crate) async fn import(&self, import_id: &str, mode: pb::ImportMode) -> Import {
        self.try_import(import_id, mode).await.unwrap_or_else(|status| panic!("no import: {}", told(&status)))
    }

    /// Begins an import that may be refused.
    pub(crate) async fn try_import(&self, import_id: &str, mode: pb::ImportMode) -> Result<Import, Status> {
        let start =
            pb::ImportStart { import_id: import_id.to_owned(), mode: mode.into(), ..Default::default() };
        self.try_import_as(start).await
    }

    /// Begins an import that may be refused, in every detail.
    pub(crate) async fn try_import_as(&self, start: pb::ImportStart) -> Result<Import, Status> {
        let mut import = self.open_import().await?;
        import.send_step(Step::Start(start)).await;
        import.acknowledged().await?;
        Ok(import)
    }

    /// Imports user items, with their positions as offsets, and tells what became of them.
    pub(crate) async fn import_users(&self, import_id: &str, items: &[Value]) -> Tally {
        let mut import = self.import(import_id, pb::ImportMode::Upsert).await;
        for (offset, item) in items.iter().enumerate() {
            import.send(i64::try_from(offset).unwrap(), &user_item(item)).await;
        }
        import.finish().await
    }
}

impl Caller {
    /// Imports items of any kinds, whole, with their positions as offsets, and tells what became of them.
    pub(crate) async fn import_items(&self, import_id: &str, items: &[Value]) -> Tally {
        let mut import = self.import(import_id, pb::ImportMode::Upsert).await;
        import.send_all(items).await;
        import.finish().await
    }

    /// As [`Self::import_items`], where all must be stored.
    pub(crate) async fn imported(&self, import_id: &str, items: &[Value]) {
        let tally = self.import_items(import_id, items).await;
        assert_eq!((tally.refusals(), tally.accepted), (vec![], i64::try_from(items.len()).unwrap()));
    }
}

impl Caller {
    /// Has a call in which there is a member of each of `roles`.
    pub(crate) async fn has_call_roles(&self, roles: &[&str]) {
        let call = json!({"type": "roles", "id": "all", "created_by": "owner"});
        let mut items = vec![item("user", json!({"id": "owner"})), item("call", call)];
        for role in roles {
            let id = format!("a-{role}");
            let member = json!({"call_type": "roles", "call_id": "all", "user_id": id, "role": role});
            items.extend([item("user", json!({"id": id})), item("call_member", member)]);
        }
        self.imported("roles", &items).await;
    }
}

impl Import {
    /// Sends items of any kinds, whole, with their positions as offsets.
    pub(crate) async fn send_all(&mut self, items: &[Value]) {
        for (offset, item) in items.iter().enumerate() {
            self.send(i64::try_from(offset).unwrap(), item.to_string().as_bytes()).await;
        }
    }

    /// Waits until everything up to `offset` is taken in.
    pub(crate) async fn committed(&mut self, offset: i64) {
        while self.tally.committed_offset < Some(offset) {
            self.acknowledged().await.unwrap().expect("the stream is open");
        }
    }

    /// Sends one item.
    pub(crate) async fn send(&mut self, offset: i64, json: &[u8]) {
        self.send_step(Step::Item(pb::ImportItem { offset, json: json.to_vec() })).await;
    }

    /// Sends any message; one the server no longer wants is dropped.
    pub(crate) async fn send_step(&mut self, step: Step) {
        self.send_message(pb::ImportContentRequest { step: Some(step) }).await;
    }

    /// Sends any message, an empty one too.
    pub(crate) async fn send_message(&mut self, message: pb::ImportContentRequest) {
        let _ = self.steps.as_ref().expect("the import is open").send(message).await;
    }

    /// Waits for the next acknowledgement; `None` when the stream ended OK.
    pub(crate) async fn acknowledged(&mut self) -> Result<Option<pb::ImportContentResponse>, Status> {
        let Some(told) = self.answers.message().await? else { return Ok(None) };
        assert!(told.committed_offset >= self.tally.committed_offset, "committed offsets do not fall");
        self.tally.committed_offset = told.committed_offset.or(self.tally.committed_offset);
        self.tally.accepted += told.accepted;
        self.tally.skipped += told.skipped;
        self.tally.refused.extend(told.refused.clone());
        self.tally.waiting = told.waiting;
        Ok(Some(told))
    }

    /// Breaks off, as a caller that cancels: it does not say that nothing more comes.
    pub(crate) fn abandon(self) {
        let Self { steps, answers, .. } = self;
        drop(answers);
        super::aside(async move { steps.expect("the import is open").closed().await });
    }

    /// Says that nothing more comes.
    pub(crate) fn close(&mut self) {
        self.steps = None;
    }

    /// Ends the import and tells what became of everything.
    pub(crate) async fn finish(self) -> Tally {
        self.try_finish().await.unwrap_or_else(|status| panic!("the import broke: {}", told(&status)))
    }

    /// Ends an import that may fail.
    pub(crate) async fn try_finish(mut self) -> Result<Tally, Status> {
        self.close();
        while self.acknowledged().await?.is_some() {}
        Ok(self.tally)
    }

    /// How the stream fails; it must.
    pub(crate) async fn failed(mut self) -> Status {
        loop {
            match self.acknowledged().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the import should fail, but ends OK with {:?}", self.tally),
                Err(status) => return status,
            }
        }
    }

    /// What was told so far.
    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }
}
