//! Reading an item field by field. What is wrong is noted, all of it, with its path.

use serde_json::Value;

use super::{ItemRefusal, NameDistinct};
use crate::model::content::{Cell, Key, Kind, Naming, Need, Row};
use crate::model::id::{UserId, parse_word};
use crate::model::json::{self, Object};
use crate::model::user_json::{flag, text, texts, time, value};
use crate::model::violation::Violations;

/// The longest id of content, in bytes.
const MAX_ID: usize = 255;
const MAX_ATTACHMENTS: usize = 30;
/// Users or feeds that one item can name in one list.
const MAX_LISTED: usize = 1_000;

/// An item that is being read, and what was found in it so far.
pub(super) struct Fields<'a> {
    item: Object,
    bad: Violations,
    needs: Vec<Need>,
    columns: Vec<(&'static str, Cell)>,
    named: Vec<(Naming, String)>,
    feeds: Vec<(String, String)>,
    name: NameDistinct<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(item: Object, name: NameDistinct<'a>) -> Self {
        Self {
            item,
            bad: Violations::new(),
            needs: Vec::new(),
            columns: Vec::new(),
            named: Vec::new(),
            feeds: Vec::new(),
            name,
        }
    }

    /// The row, where nothing is wrong. `None` stands for a row that something is wrong with.
    pub(super) fn conclude(self, row: Option<Row>) -> Result<Row, ItemRefusal> {
        match (self.bad.into_result(()), row) {
            (Ok(()), Some(row)) => Ok(row),
            (found, _) => Err(found.err().unwrap_or_default().into()),
        }
    }

    /// What was read, under this key.
    pub(super) fn row<const N: usize>(&mut self, kind: Kind, parts: [Option<String>; N]) -> Option<Row> {
        let created_at = time(&mut self.item, "created_at", &mut self.bad);
        let deleted_at =
            if kind.is_deletable() { time(&mut self.item, "deleted_at", &mut self.bad) } else { None };
        let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Row {
            key: Key { kind, parts },
            columns: std::mem::take(&mut self.columns),
            created_at,
            deleted_at,
            needs: std::mem::take(&mut self.needs),
            named: std::mem::take(&mut self.named),
            feeds: std::mem::take(&mut self.feeds),
        })
    }

    pub(super) fn bad(&mut self) -> &mut Violations {
        &mut self.bad
    }

    /// Whether a field is there; null, empty text and empty lists count as absent.
    pub(super) fn has(&self, name: &str) -> bool {
        match self.item.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(members)) => !members.is_empty(),
            Some(_) => true,
        }
    }

    pub(super) fn set(&mut self, column: &'static str, cell: Cell) {
        self.columns.push((column, cell));
    }

    pub(super) fn need(&mut self, field: &str, key: Key) {
        self.needs.push(Need { key, field: field.to_owned() });
    }

    /// Fields that usher derives or keeps itself.
    pub(super) fn reserve(&mut self, names: &[&str]) {
        for name in names {
            if self.item.remove(*name).is_some() {
                self.bad.add(*name, "is kept by usher itself and cannot be imported");
            }
        }
    }

    /// Takes one name for a field that goes by two.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.item.remove(from)
            && self.item.insert(to.to_owned(), value).is_some()
        {
            self.bad.add(from, format!("must not stand beside `{to}`"));
        }
    }

    /// Text that must be there and satisfy `rule`.
    pub(super) fn required(
        &mut self,
        name: &str,
        rule: impl FnOnce(String) -> Result<String, &'static str>,
    ) -> Option<String> {
        if !self.has(name) {
            self.item.remove(name);
            self.bad.add(name, "must be given");
            return None;
        }
        let text = self.some_text(name)?;
        self.bad.take(name, rule(text))
    }

    /// Text that satisfies `rule` where it is there; empty counts as absent.
    pub(super) fn optional(
        &mut self,
        name: &str,
        rule: impl FnOnce(String) -> Result<String, &'static str>,
    ) -> Option<String> {
        let text = self.some_text(name).filter(|text| !text.is_empty())?;
        self.bad.take(name, rule(text))
    }

    fn some_text(&mut self, name: &str) -> Option<String> {
        if let Value::String(text) = value(&mut self.item, name)? {
            return Some(text);
        }
        self.bad.add(name, "must be a string");
        None
    }

    /// A user that must be there, by id.
    pub(super) fn user(&mut self, name: &str) -> Option<String> {
        let id = self.required(name, user_id)?;
        self.need(name, Key::new(Kind::User, [&id]));
        Some(id)
    }

    /// As [`Self::user`], where it is there.
    pub(super) fn optional_user(&mut self, name: &str) -> Option<String> {
        let id = self.optional(name, user_id)?;
        self.need(name, Key::new(Kind::User, [&id]));
        Some(id)
    }

    /// Ids of users, in order, each once; not required to exist yet.
    pub(super) fn user_list(&mut self, name: &str) -> Vec<UserId> {
        let texts = texts(&mut self.item, name, &mut self.bad).unwrap_or_default();
        if texts.len() > MAX_LISTED {
            self.bad.add_too_large(name, format!("must be at most {MAX_LISTED}"));
            return Vec::new();
        }
        let mut ids = Vec::with_capacity(texts.len());
        let mut seen = std::collections::HashSet::new();
        for (at, text) in texts.into_iter().enumerate() {
            let id = self.bad.take(format!("{name}[{at}]"), UserId::parse(text));
            ids.extend(id.filter(|id| seen.insert(id.clone())));
        }
        ids
    }

    /// Users who must exist, named for `naming`.
    pub(super) fn named(&mut self, name: &str, naming: Naming) {
        for (at, id) in self.user_list(name).into_iter().enumerate() {
            self.need(&format!("{name}[{at}]"), Key::new(Kind::User, [id.as_str()]));
            self.named.push((naming, id.into()));
        }
    }

    /// Feeds that must exist and that the item stands in; at least one.
    pub(super) fn stands_in(&mut self, name: &str) {
        let fids = texts(&mut self.item, name, &mut self.bad).unwrap_or_default();
        if fids.is_empty() {
            self.bad.add(name, "must name at least one feed");
        } else if fids.len() > MAX_LISTED {
            self.bad.add_too_large(name, format!("must be at most {MAX_LISTED}"));
            return;
        }
        for (at, text) in fids.into_iter().enumerate() {
            let field = format!("{name}[{at}]");
            if let Some((group, id)) = self.bad.take(&field, split_fid(&text))
                && !self.feeds.contains(&(group.clone(), id.clone()))
            {
                self.need(&field, Key::new(Kind::Feed, [&group, &id]));
                self.feeds.push((group, id));
            }
        }
    }

    /// A feed that must exist, as group and id.
    pub(super) fn fid(&mut self, name: &str) -> (Option<String>, Option<String>) {
        let text = self.required(name, Ok);
        let Some((group, id)) = text.and_then(|text| self.bad.take(name, split_fid(&text))) else {
            return (None, None);
        };
        self.need(name, Key::new(Kind::Feed, [&group, &id]));
        (Some(group), Some(id))
    }

    /// One of `options`; the first one where it is not there.
    pub(super) fn one_of(&mut self, name: &str, options: &[&str]) -> String {
        let text = text(&mut self.item, name, &mut self.bad);
        if !text.is_empty() && !options.contains(&text.as_str()) {
            self.bad.add(name, format!("must be one of: {}", options.join(", ")));
        }
        if text.is_empty() { options.first().copied().unwrap_or_default().to_owned() } else { text }
    }

    /// A column of free text under the field's own name.
    pub(super) fn text(&mut self, name: &'static str) {
        let text = self.optional(name, plain);
        self.set(name, Cell::Text(text));
    }

    /// A column that is true or false, under the field's own name.
    pub(super) fn flag(&mut self, name: &'static str) {
        let set = self.is_set(name);
        self.set(name, Cell::Flag(set));
    }

    /// A column of a time, under the field's own name.
    pub(super) fn time(&mut self, name: &'static str) -> bool {
        let at = time(&mut self.item, name, &mut self.bad);
        self.set(name, Cell::Time(at));
        at.is_some()
    }

    /// What is attached: objects whose addresses are HTTPS.
    pub(super) fn attachments(&mut self) {
        let attachments = match value(&mut self.item, "attachments") {
            None => Vec::new(),
            Some(Value::Array(attachments)) => attachments,
            Some(_) => {
                self.bad.add("attachments", "must be an array of objects");
                Vec::new()
            }
        };
        if attachments.len() > MAX_ATTACHMENTS {
            self.bad.add("attachments", format!("must be at most {MAX_ATTACHMENTS}"));
        }
        let checked = attachments.into_iter().take(MAX_ATTACHMENTS).enumerate();
        let checked: Vec<_> = checked.map(|(at, one)| self.attachment(at, one)).collect();
        self.set("attachments", Cell::Json(Value::Array(checked)));
    }

    fn attachment(&mut self, at: usize, attachment: Value) -> Value {
        let field = format!("attachments[{at}]");
        let Value::Object(attachment) = attachment else {
            self.bad.add(field, "must be an object");
            return Value::Null;
        };
        for name in ["image_url", "thumb_url", "asset_url"] {
            let url = attachment.get(name).filter(|url| !url.is_null());
            if url.is_some_and(|url| !url.as_str().is_some_and(|url| url.starts_with("https://"))) {
                self.bad.add(format!("{field}.{name}"), "must be an HTTPS address");
            }
        }
        Value::Object(json::normalise(attachment, &field, &mut self.bad))
    }

    /// The channel an item is in, by id or by all its members; it must exist.
    pub(super) fn channel(&mut self) -> Option<(String, String)> {
        let kind = self.required("channel_type", parse_word);
        let (id, field) = self.channel_id("channel_id", "channel_member_ids");
        let (kind, id) = (kind?, id?);
        self.need(field, Key::new(Kind::Channel, [&kind, &id]));
        Some((kind, id))
    }

    /// A channel's id: given, or made of its members. Tells the field that says so.
    pub(super) fn channel_id(
        &mut self,
        by_id: &'static str,
        by_members: &'static str,
    ) -> (Option<String>, &'static str) {
        match (self.has(by_id), self.has(by_members)) {
            (false, true) => {
                let mut ids = self.user_list(by_members);
                ids.sort_unstable();
                (Some((self.name)(&ids)), by_members)
            }
            (true, true) => {
                self.bad.add(by_id, format!("must not stand beside `{by_members}`"));
                (None, by_id)
            }
            (true, false) => (self.required(by_id, parse_word), by_id),
            (false, false) => {
                self.bad.add(by_id, format!("must be given, or `{by_members}`"));
                (None, by_id)
            }
        }
    }

    /// The users of a list that is read again later, sorted.
    pub(super) fn peek_users(&self, name: &str) -> Vec<UserId> {
        let members = self.item.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut ids: Vec<_> =
            members.filter_map(Value::as_str).filter_map(|id| UserId::parse(id).ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Whether a field is set that is no column of its own.
    pub(super) fn is_set(&mut self, name: &str) -> bool {
        flag(&mut self.item, name, name, &mut self.bad)
    }

    /// What is left is custom data.
    pub(super) fn custom(&mut self) {
        let mut times = Object::new();
        for name in ["created_at", "deleted_at"] {
            times.extend(self.item.remove_entry(name));
        }
        let custom = custom(std::mem::replace(&mut self.item, times), &mut self.bad);
        let custom = json::normalise(custom, "custom", &mut self.bad);
        self.set("custom", Cell::Json(Value::Object(custom)));
    }

    /// There is nothing left.
    pub(super) fn nothing_else(&mut self) {
        let mut left: Vec<_> = self.item.keys().filter(|name| *name != "created_at").cloned().collect();
        left.sort_unstable();
        for name in left {
            self.item.remove(&name);
            self.bad.add(name, "is not a field of this kind of item");
        }
    }
}

/// A rule: a user's id.
pub(super) fn user_id(text: String) -> Result<String, &'static str> {
    UserId::parse(text).map(String::from)
}

/// A rule: an id of content.
pub(super) fn id(text: String) -> Result<String, &'static str> {
    if (1..=MAX_ID).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err("must be 1 to 255 bytes without control characters")
    }
}

/// A rule: the name of a reaction.
pub(super) fn reaction_type(text: String) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+:.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err("must be 1 to 64 characters of A-Z a-z 0-9 _ - + : .")
    }
}

/// A rule: free text.
pub(super) fn plain(text: String) -> Result<String, &'static str> {
    if text.contains('\0') { Err("must not contain a NUL character") } else { Ok(text) }
}

fn split_fid(fid: &str) -> Result<(String, String), &'static str> {
    fid.split_once(':')
        .and_then(|(group, id)| Some((parse_word(group.to_owned()).ok()?, feed_id(id.to_owned()).ok()?)))
        .ok_or("must be group:id, such as user:ada")
}

/// A rule: the id of a feed within its group, often a user's.
pub(super) fn feed_id(text: String) -> Result<String, &'static str> {
    UserId::parse(text).map(String::from)
}

/// What is left is custom data; an object called `custom` is laid beneath it.
pub(super) fn custom(mut item: Object, bad: &mut Violations) -> Object {
    match item.remove("custom") {
        None | Some(Value::Null) => item,
        Some(Value::Object(mut custom)) => {
            custom.append(&mut item);
            custom
        }
        Some(_) => {
            bad.add("custom", "must be an object");
            item
        }
    }
}
