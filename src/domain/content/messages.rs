//! Reading the messages of a channel.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::domain::{Call, Domain, Error};
use crate::model::call::Cid;
use crate::model::content::{Kind, Naming};
use crate::model::id::AppId;
use crate::model::reason::Reason;
use crate::storage::entity::message;
use crate::storage::{Db, StoreError, channels, messages};

/// Messages read at a time, and the bytes after which a page ends.
const AT_ONCE: u64 = 50;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Which messages.
#[derive(Debug, Clone)]
pub struct ListMessages {
    /// The channel.
    pub cid: Cid,
    /// Deleted ones too.
    pub include_deleted: bool,
    /// At most so many.
    pub limit: u32,
    /// Where to go on; empty for the start.
    pub page_token: String,
}

/// A message and what belongs to it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MessageView {
    pub message: message::Model,
    pub mentioned_user_ids: Vec<String>,
    pub restricted_visibility: Vec<String>,
    /// By type.
    pub reactions: BTreeMap<String, i64>,
}

/// A page of messages.
#[derive(Debug)]
pub struct FoundMessages {
    /// In order.
    pub messages: Vec<MessageView>,
    /// There may be more after the last one.
    pub more: bool,
}

/// Where a page ended.
#[derive(Serialize, Deserialize)]
struct Cursor(i64, String);

impl Domain {
    /// The messages of a channel, oldest first.
    pub async fn list_messages(&self, call: &Call, list: &ListMessages) -> Result<FoundMessages, Error> {
        let (app, db) = (call.app(), self.read(call.deadline).await?);
        let mut after: Option<Cursor> = self.after(call, &binding(list), &list.page_token)?;
        if channels::find_channel(&db, app, &list.cid).await?.is_none() {
            return Err(Error::state("cid", Reason::ChannelNotFound));
        }
        let (mut found, mut bytes) = (Vec::new(), 0);
        loop {
            let left = u64::from(list.limit) - found.len() as u64;
            let place = after.map(|Cursor(at, id)| (at, id));
            let wanted = left.min(AT_ONCE);
            let some =
                messages::list_messages(&db, app, &list.cid, place, list.include_deleted, wanted).await?;
            let ended = (some.len() as u64) < wanted;
            after = some.last().map(|last| Cursor(last.created_at, last.id.clone()));
            let views = whole(&db, app, some).await?;
            bytes += views.iter().map(weight).sum::<usize>();
            found.extend(views);
            if ended || found.len() as u64 >= u64::from(list.limit) || bytes > PAGE_BYTES {
                return Ok(FoundMessages { messages: found, more: !ended });
            }
        }
    }

    /// The token that leads on after the message at `place`.
    pub fn messages_page_token(&self, call: &Call, list: &ListMessages, place: &MessageView) -> String {
        let cursor = Cursor(place.message.created_at, place.message.id.clone());
        self.page_token(call, &binding(list), &cursor)
    }
}

/// Messages with what belongs to them.
async fn whole(db: &Db, app: AppId, rows: Vec<message::Model>) -> Result<Vec<MessageView>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = rows.iter().map(|message| message.id.clone()).collect();
    let named = channels::list_named(db, app, Kind::Message, &ids).await?;
    let mut reactions: HashMap<String, BTreeMap<String, i64>> = HashMap::new();
    for (message, kind, count) in messages::count_reactions(db, app, &ids).await? {
        reactions.entry(message).or_default().insert(kind, count);
    }
    let view = |message: message::Model| MessageView {
        mentioned_user_ids: channels::named_for(&named, &message.id, Naming::Mention),
        restricted_visibility: channels::named_for(&named, &message.id, Naming::Visibility),
        reactions: reactions.remove(&message.id).unwrap_or_default(),
        message,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// About as many bytes as a message has in an answer.
fn weight(view: &MessageView) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let named = view.mentioned_user_ids.iter().chain(&view.restricted_visibility).map(String::len);
    let free = view.message.custom.to_string().len() + view.message.attachments.to_string().len();
    text(&view.message.text) + text(&view.message.html) + free + named.sum::<usize>()
}

/// What must be the same from page to page.
fn binding(list: &ListMessages) -> String {
    let ListMessages { cid, include_deleted, limit: _, page_token: _ } = list;
    format!("messages {cid} {include_deleted}")
}
