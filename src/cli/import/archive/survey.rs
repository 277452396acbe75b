//! The first reading of archives: checks all of them, and finds out what is in them and what they refer to.
//!
//! What is remembered are hashes of the keys of items, ids of users, and channels, calls and feeds: no bodies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::rewrite::{Notes, Rewritten, is_importable, rewrite};
use super::spool::Place;
use super::summary::{Summary, Why};
use crate::cli::export::archive::Record;
use crate::model::content::{DISTINCT, Key, Kind};
use crate::model::id::UserId;
use crate::model::import::{Item, parse_item};

/// How often activities and comments are read anew for those that come before what they are under. What is left
/// then is sent as it comes: the server lets an item wait for the next ten thousand.
const MAX_WAVES: usize = 16;

/// The hash of a key.
pub(super) type KeyHash = u128;

/// What is in the archives.
#[derive(Default)]
pub(super) struct Survey {
    /// What will be imported, with a hash of its content.
    present: HashMap<KeyHash, u64>,
    /// Users that records refer to, and where first.
    users: BTreeMap<String, Place>,
    /// Channels, calls and feeds that records refer to.
    places: BTreeMap<Key, Referred>,
    /// Of activities and comments, what they are under.
    parents: Vec<(KeyHash, KeyHash)>,
    /// Of comments, the activity.
    commented: Vec<(KeyHash, KeyHash)>,
    waves: HashMap<KeyHash, usize>,
    pub(super) last_wave: usize,
    /// Records read, and the types of those that can be imported.
    pub(super) records: u64,
    pub(super) kinds: BTreeSet<String>,
    pub(super) summary: Summary,
}

/// A channel, call or feed that something refers to.
#[derive(Debug, Clone)]
pub(super) struct Referred {
    pub(super) place: Place,
    /// The user it belongs to, or else the one whose record refers to it first.
    pub(super) owner: String,
    /// Of a distinct channel.
    pub(super) members: Vec<String>,
}

/// A record as an item of an import.
pub(super) struct Candidate {
    pub(super) item: Map<String, Value>,
    pub(super) notes: Notes,
    /// What it is and refers to; none where the server will refuse it.
    pub(super) read: Option<Item>,
}

impl Candidate {
    /// None where the record is left out.
    pub(super) fn of(kind: &str, item: Map<String, Value>, trusted: bool) -> Result<Self, Why> {
        match rewrite(kind, item, trusted) {
            Rewritten::Left(why) => Err(why),
            Rewritten::Item(item, notes) => {
                let json = envelope(kind, &item);
                let read = parse_item(json.as_bytes(), &name_of).ok();
                Ok(Self { item, notes, read })
            }
        }
    }
}

fn envelope(kind: &str, item: &Map<String, Value>) -> String {
    serde_json::json!({"type": kind, "item": item}).to_string()
}

/// A name for the distinct channel of these members, within this program.
fn name_of(members: &[UserId]) -> String {
    let mut hash = Sha256::new();
    for member in members {
        hash.update(member.as_str());
        hash.update("\n");
    }
    format!("{DISTINCT}{:x}", hash.finalize())
}

pub(super) fn hash_of(key: &Key) -> KeyHash {
    let hash = Sha256::digest(key.text());
    let (first, _) = hash.split_at(16);
    first.iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// Of the content of an item, whatever the order of its fields.
pub(super) fn hash_of_content(item: &Map<String, Value>) -> u64 {
    let hash = Sha256::digest(Value::Object(item.clone()).to_string());
    let (first, _) = hash.split_at(8);
    first.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

impl Survey {
    /// Takes a record of the archive of `user`.
    pub(super) fn take(&mut self, user: &str, place: Place, record: Record, trusted: bool) {
        self.records += 1;
        let Record { kind, item, .. } = record;
        if !is_importable(&kind) {
            self.summary.add(Why::NoKind, &kind);
            return;
        }
        if !self.kinds.contains(&kind) {
            self.kinds.insert(kind.clone());
        }
        let Ok(Candidate { item, read: Some(read), .. }) = Candidate::of(&kind, item, trusted) else {
            return;
        };
        let key = read.key();
        let hash = hash_of(&key);
        if self.present.contains_key(&hash) {
            return;
        }
        self.present.insert(hash, hash_of_content(&item));
        self.refer(user, place, &item, &read);
        match &read {
            Item::User(user) => {
                let blocked = user.blocked_user_ids.iter().flatten();
                for id in blocked {
                    self.refer_to_user(id.as_str(), place);
                }
            }
            Item::Content(row) => {
                let parent = row.needs.iter().find(|need| need.field == "parent_id");
                let activity = row.needs.iter().find(|need| need.field == "object_id");
                if matches!(key.kind, Kind::Activity | Kind::Comment) {
                    self.parents.extend(parent.map(|need| (hash, hash_of(&need.key))));
                    self.commented.extend(activity.map(|need| (hash, hash_of(&need.key))));
                }
            }
        }
    }

    /// Notes the users, channels, calls and feeds that an item refers to, and is.
    fn refer(&mut self, user: &str, place: Place, item: &Map<String, Value>, read: &Item) {
        let own = read.key();
        let is_place = |kind| matches!(kind, Kind::Channel | Kind::Call | Kind::Feed);
        let mut referred: Vec<&Key> = read.needs().iter().map(|need| &need.key).collect();
        if own.kind == Kind::Channel {
            referred.push(&own);
        }
        for key in referred {
            if key.kind == Kind::User {
                for id in &key.parts {
                    self.refer_to_user(id, place);
                }
            } else if is_place(key.kind) {
                let members = members_of(key, item);
                for id in &members {
                    self.refer_to_user(id, place);
                }
                let known = self.places.entry(key.clone()).or_insert_with(|| Referred {
                    place,
                    owner: user.to_owned(),
                    members,
                });
                if *key == own {
                    user.clone_into(&mut known.owner);
                }
            }
        }
    }

    fn refer_to_user(&mut self, id: &str, place: Place) {
        if !self.users.contains_key(id) {
            self.users.insert(id.to_owned(), place);
        }
    }

    /// Decides, after the last record, what is there and in which order it is sent.
    pub(super) fn conclude(&mut self) {
        for (comment, activity) in std::mem::take(&mut self.commented) {
            if !self.present.contains_key(&activity) {
                self.present.remove(&comment);
            }
        }
        let present = &self.present;
        let mut waiting: HashMap<KeyHash, KeyHash> = HashMap::new();
        let mut left: Vec<(KeyHash, KeyHash)> = std::mem::take(&mut self.parents);
        left.retain(|(child, parent)| present.contains_key(child) && present.contains_key(parent));
        waiting.extend(left.iter().copied());
        while !left.is_empty() {
            self.last_wave += 1;
            let is_last = self.last_wave == MAX_WAVES;
            let before = left.len();
            // Within a wave they are sent in the order of the archives: one behind its parent can go with it.
            left.retain(|(child, parent)| {
                let goes = is_last || !waiting.contains_key(parent);
                if goes {
                    waiting.remove(child);
                    self.waves.insert(*child, self.last_wave);
                }
                !goes
            });
            if left.len() == before {
                // A circle, which no export has.
                self.waves.extend(left.drain(..).map(|(child, _)| (child, self.last_wave)));
            }
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.present.contains_key(&hash_of(key))
    }

    /// The hash of the content of the first item with this key.
    pub(super) fn content(&self, key: KeyHash) -> Option<u64> {
        self.present.get(&key).copied()
    }

    /// In which reading of activities or comments the item is sent.
    pub(super) fn wave(&self, key: KeyHash) -> usize {
        self.waves.get(&key).copied().unwrap_or_default()
    }

    /// Distinct channels, which are made with all their members, and others that are in no archive.
    pub(super) fn stub_places(&self) -> Vec<(&Key, &Referred)> {
        let places = self.places.iter();
        places.filter(|(key, referred)| !referred.members.is_empty() || !self.has(key)).collect()
    }

    /// Users that have no record, and those that stubs of channels, calls and feeds need.
    pub(super) fn stub_users<'a>(&'a self, places: &[(&Key, &'a Referred)]) -> BTreeMap<&'a str, Place> {
        let is_absent = |id: &str| !self.has(&Key::new(Kind::User, [id]));
        let absent =
            self.users.iter().filter(|(id, _)| is_absent(id)).map(|(id, place)| (id.as_str(), *place));
        let mut stubs: BTreeMap<&str, Place> = absent.collect();
        for (_, referred) in places {
            for id in referred.members.iter().chain([&referred.owner]) {
                stubs.entry(id).or_insert(referred.place);
            }
        }
        stubs
    }
}

/// The members that make the channel `key`, where the item names it by them.
fn members_of(key: &Key, item: &Map<String, Value>) -> Vec<String> {
    if key.kind != Kind::Channel || !key.parts.iter().any(|part| part.starts_with(DISTINCT)) {
        return Vec::new();
    }
    let list = item.get("member_ids").or_else(|| item.get("channel_member_ids")).and_then(Value::as_array);
    let ids = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let mut ids: Vec<String> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
