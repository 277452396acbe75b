//! Writes the items that are sent, each after what it refers to.

use std::collections::HashSet;
use std::io;

use serde_json::{Map, Value};

use super::rewrite::is_importable;
use super::spool::{Draft, Place};
use super::stubs;
use super::summary::Why;
use super::survey::{Candidate, KeyHash, Survey, hash_of, hash_of_content};
use super::together::{Together, is_distinct};
use crate::cli::export::archive::Record;
use crate::model::content::{Key, Kind};
use crate::model::import::Item;

/// One reading of the archives, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Users,
    /// Distinct channels and their members, where these are sent together.
    Together,
    Places,
    Messages,
    Replies,
    Activities(usize),
    Comments(usize),
    Rest,
}

impl Pass {
    /// Those that there is something for.
    pub(super) fn needed(survey: &Survey, together: bool) -> Vec<Self> {
        let mut all = vec![Self::Users];
        all.extend(together.then_some(Self::Together));
        all.extend([Self::Places, Self::Messages, Self::Replies]);
        all.extend((0..=survey.last_wave).map(Self::Activities));
        all.extend((0..=survey.last_wave).map(Self::Comments));
        all.push(Self::Rest);
        all.retain(|pass| *pass == Self::Together || survey.kinds.iter().any(|kind| pass.reads(kind)));
        all
    }

    /// Whether records of this type may belong to it.
    fn reads(self, kind: &str) -> bool {
        match kind {
            "user" => self == Self::Users,
            "channel" => matches!(self, Self::Together | Self::Places),
            "call" | "feed" => self == Self::Places,
            "member" => matches!(self, Self::Together | Self::Rest),
            "message" => matches!(self, Self::Messages | Self::Replies),
            "activity" => matches!(self, Self::Activities(_)),
            "comment" => matches!(self, Self::Comments(_)),
            _ => self == Self::Rest,
        }
    }

    /// The one in which records of this type are counted that are left out, or cannot be read.
    fn counts(kind: &str) -> Self {
        match kind {
            "user" => Self::Users,
            "channel" | "call" | "feed" => Self::Places,
            "message" => Self::Messages,
            "activity" => Self::Activities(0),
            "comment" => Self::Comments(0),
            _ => Self::Rest,
        }
    }
}

/// Writes the items.
pub(super) struct Composer<'a> {
    pub(super) survey: &'a mut Survey,
    pub(super) draft: Draft,
    trusted: bool,
    /// Of an import that skips what exists, stubs included: they are part of it.
    together: Option<Together>,
    is_together: bool,
    written: HashSet<KeyHash>,
}

impl<'a> Composer<'a> {
    pub(super) fn new(
        survey: &'a mut Survey,
        draft: Draft,
        trusted: bool,
        together: Option<Together>,
    ) -> io::Result<Self> {
        let is_together = together.is_some();
        let mut composer = Self { survey, draft, trusted, together, is_together, written: HashSet::new() };
        if is_together {
            stubs::write_users(composer.survey, &mut composer.draft)?;
            stubs::count(composer.survey);
        }
        Ok(composer)
    }

    /// After a reading.
    pub(super) fn end(&mut self, pass: Pass) -> io::Result<()> {
        if pass == Pass::Together
            && let Some(together) = self.together.take()
        {
            together.write(self.survey, &mut self.draft)?;
            stubs::write_places(self.survey, &mut self.draft)?;
        }
        Ok(())
    }

    /// Takes a record in one reading.
    pub(super) fn take(&mut self, pass: Pass, place: Place, record: Record) -> io::Result<()> {
        let Record { kind, item, .. } = record;
        if !is_importable(&kind) || !pass.reads(&kind) {
            return Ok(());
        }
        match Candidate::of(&kind, item, self.trusted) {
            Err(why) if pass == Pass::counts(&kind) => self.survey.summary.add(why, &kind),
            Err(_) => {}
            Ok(candidate) => return self.write(pass, place, &kind, candidate),
        }
        Ok(())
    }

    fn write(&mut self, pass: Pass, place: Place, kind: &str, candidate: Candidate) -> io::Result<()> {
        let Candidate { mut item, notes, read } = candidate;
        let (mut drops, mut of_together) = (Vec::new(), None);
        if let Some(read) = &read {
            let key = read.key();
            let hash = hash_of(&key);
            of_together = (pass == Pass::Together).then_some(hash);
            let content = hash_of_content(&item);
            drops = match self.judge(read) {
                Ok(drops) => drops,
                Err(why) if pass == Pass::counts(kind) => {
                    self.survey.summary.add(why, kind);
                    return Ok(());
                }
                Err(_) => return Ok(()),
            };
            if self.pass_of(&key, hash, read, &drops) != pass {
                return Ok(());
            }
            if !self.written.insert(hash) && self.survey.content(hash) == Some(content) {
                self.survey.summary.add(Why::Repeated, kind);
                return Ok(());
            }
        } else if pass != Pass::counts(kind) {
            return Ok(());
        }
        for field in drops {
            drop_reference(&mut item, field);
            self.survey.summary.add(Why::Reference, &format!("{kind}.{field}"));
        }
        for (why, what) in notes {
            self.survey.summary.add(why, &what);
        }
        let item = Value::Object(item);
        if let (Some(together), Some(hash)) = (&mut self.together, of_together)
            && together.take(hash, kind, &item, place)?
        {
            return Ok(());
        }
        self.draft.put(kind, &item, place)
    }

    /// The fields that refer to what is not there and can do without; or why the item cannot.
    fn judge(&self, read: &Item) -> Result<Vec<&'static str>, Why> {
        let Item::Content(row) = read else { return Ok(Vec::new()) };
        let mut drops = Vec::new();
        for need in &row.needs {
            if matches!(need.key.kind, Kind::Message | Kind::Activity | Kind::Comment)
                && !self.survey.has(&need.key)
            {
                match need.field.as_str() {
                    "parent_id" => drops.push("parent_id"),
                    _ => return Err(Why::Absent),
                }
            }
        }
        let quoted = row.text("quoted_message_id");
        if quoted.is_some_and(|id| !self.survey.has(&Key::new(Kind::Message, [id]))) {
            drops.push("quoted_message_id");
        }
        Ok(drops)
    }

    fn pass_of(&self, key: &Key, hash: KeyHash, read: &Item, drops: &[&str]) -> Pass {
        let is_reply =
            || read.needs().iter().any(|need| need.field == "parent_id" && !drops.contains(&"parent_id"));
        match key.kind {
            Kind::User => Pass::Users,
            _ if self.is_together && is_distinct(key) => Pass::Together,
            Kind::Channel | Kind::Call | Kind::Feed => Pass::Places,
            Kind::Message if is_reply() => Pass::Replies,
            Kind::Message => Pass::Messages,
            Kind::Activity => Pass::Activities(self.survey.wave(hash)),
            Kind::Comment => Pass::Comments(self.survey.wave(hash)),
            _ => Pass::Rest,
        }
    }
}

/// A reply to nothing is a message of its own.
fn drop_reference(item: &mut Map<String, Value>, field: &str) {
    item.remove(field);
    if field == "parent_id" && item.get("type").is_some_and(|kind| kind == "reply") {
        item.insert("type".to_owned(), "regular".into());
    }
}
