//! What becomes of the items of a batch: decided together, since they may refer to each other.
//!
//! At first every item is taken for good. One that refers to what is neither stored nor taken for good
//! falls, and those that refer to it fall with it, until nothing falls any more. So items may come in any
//! order and may need each other, as a distinct channel and its members do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::store::written;
use super::world::World;
use super::{ImportMode, obstacle};
use crate::domain::Error;
use crate::domain::users::names;
use crate::model::clock::Timestamp;
use crate::model::content::{Key, Kind, Need, Row};
use crate::model::id::AppId;
use crate::model::import::{Item, ItemRefusal};
use crate::model::reason::Reason;
use crate::model::role;
use crate::model::unique_name::{Manner, Renaming};
use crate::storage::Tx;
use crate::storage::content::Found;

/// What a channel's members can be, beside the roles of the app.
const CHANNEL_ROLES: [&str; 2] = ["channel_member", "channel_moderator"];

/// An item that breaks no rule of form.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) offset: i64,
    pub(super) item: Arc<Item>,
    pub(super) origin: Origin,
    /// What it refers to must be there now.
    pub(super) is_due: bool,
}

/// Where an item comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// It came in this batch: which one of the import, and its text.
    Fresh(i64, Arc<Vec<u8>>),
    /// It has waited for this key.
    Waited(String),
}

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// It is stored.
    Stored,
    /// It exists already, and is passed over.
    Skipped,
    /// It is not stored.
    Refused(ItemRefusal),
    /// It waits until this comes.
    Waits(Key),
}

/// The items of a batch, with those that have waited for them.
#[derive(Debug)]
pub(super) struct Plan {
    app: AppId,
    import_no: i64,
    mode: ImportMode,
    now: Timestamp,
    pub(super) world: World,
    candidates: Vec<(Key, Candidate)>,
    offsets: HashSet<i64>,
    /// Users whose names others have, by offset.
    nameless: HashSet<i64>,
    fates: Vec<Fate>,
}

impl Plan {
    pub(super) fn new(app: AppId, import_no: i64, mode: ImportMode, now: Timestamp) -> Self {
        Self {
            app,
            import_no,
            mode,
            now,
            world: World::default(),
            candidates: Vec::new(),
            offsets: HashSet::new(),
            nameless: HashSet::new(),
            fates: Vec::new(),
        }
    }

    /// Adds an item, unless it is there already.
    pub(super) fn add(&mut self, candidate: Candidate) {
        if self.offsets.insert(candidate.offset) {
            self.candidates.push((candidate.item.key(), candidate));
        }
    }

    /// Whether the item at `offset` is there.
    pub(super) fn holds(&self, offset: i64) -> bool {
        self.offsets.contains(&offset)
    }

    /// Decides what becomes of all items, as things stand.
    pub(super) async fn settle(&mut self, tx: &Tx) -> Result<(), Error> {
        let written = self.candidates.iter().map(|(key, _)| key);
        let needs = self.candidates.iter().flat_map(|(_, one)| one.item.needs());
        self.world.ask(tx, self.app, written, needs.map(|need| &need.key)).await?;
        self.candidates.sort_by_key(|(_, candidate)| candidate.offset);
        self.nameless.clear();
        self.fates = Round::new(self).run();
        self.nameless = self.taken_names(tx).await?;
        if !self.nameless.is_empty() {
            self.fates = Round::new(self).run();
        }
        Ok(())
    }

    /// Users that would be stored under a name that another one has, or an earlier item has taken.
    async fn taken_names(&self, tx: &Tx) -> Result<HashSet<i64>, Error> {
        let (mut offsets, mut renamings) = (Vec::new(), Vec::new());
        for (key, candidate, fate) in self.outcomes() {
            if let (Item::User(user), Fate::Stored) = (&*candidate.item, fate) {
                let before = self.world.user(key);
                let after = written(user, before, self.import_no, self.now);
                renamings.push(Renaming::of(before.map(|stored| &*stored.user), &after.user));
                offsets.push(candidate.offset);
            }
        }
        if renamings.is_empty() {
            return Ok(HashSet::new());
        }
        let taken = names::taken(tx, self.app, Manner::InTurn, &renamings).await?;
        Ok(taken.into_iter().filter_map(|at| offsets.get(at).copied()).collect())
    }

    /// Every item and what becomes of it, by offset.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&Key, &Candidate, &Fate)> {
        self.candidates.iter().zip(&self.fates).map(|((key, candidate), fate)| (key, candidate, fate))
    }

    /// What must not be there twice, or is needed and not there: something that waits may be it.
    pub(super) fn wanted(&self) -> impl Iterator<Item = String> {
        self.outcomes().flat_map(move |(key, candidate, fate)| {
            let own = matches!(candidate.origin, Origin::Fresh(..)).then(|| key.text());
            let fallen = !matches!(fate, Fate::Stored | Fate::Skipped);
            let missing =
                candidate.item.needs().iter().filter(move |need| fallen && !self.world.has(&need.key));
            own.into_iter().chain(missing.map(|need| need.key.text()))
        })
    }

    /// What will be there: something that waits may wait for it.
    pub(super) fn provided(&self) -> impl Iterator<Item = String> {
        self.outcomes()
            .filter(|(.., fate)| matches!(fate, Fate::Stored | Fate::Skipped))
            .map(|(key, ..)| key.text())
    }
}

/// One decision over all items.
struct Round<'a> {
    plan: &'a Plan,
    fates: Vec<Fate>,
    /// Who is taken for good, by what it is.
    good: HashMap<&'a Key, usize>,
    /// Who refers to what.
    dependents: HashMap<&'a Key, Vec<usize>>,
}

impl<'a> Round<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut round = Self {
            plan,
            fates: Vec::with_capacity(plan.candidates.len()),
            good: HashMap::new(),
            dependents: HashMap::new(),
        };
        for (at, (key, candidate)) in plan.candidates.iter().enumerate() {
            let fate = round.alone(key, candidate);
            if fate == Fate::Stored {
                round.good.insert(key, at);
                for need in candidate.item.needs() {
                    round.dependents.entry(&need.key).or_default().push(at);
                }
            }
            round.fates.push(fate);
        }
        round
    }

    /// What can be said of an item without looking at what it refers to.
    fn alone(&self, key: &Key, candidate: &Candidate) -> Fate {
        let world = &self.plan.world;
        if world.written_by(key) == Some(self.plan.import_no) {
            return Fate::Refused(twice(key));
        }
        if self.plan.mode == ImportMode::Insert && world.has(key) {
            return Fate::Skipped;
        }
        let against = match &*candidate.item {
            Item::User(_) if self.plan.nameless.contains(&candidate.offset) => {
                Some(ItemRefusal::new(Reason::NameTaken, "name", "another user has this name"))
            }
            Item::User(user) => obstacle(user, world.user(key)),
            Item::Content(row) => unknown_role(row).or_else(|| moved(row, world.row(key)?)),
        };
        match against {
            Some(refusal) => Fate::Refused(refusal),
            None if self.good.contains_key(key) => Fate::Refused(twice(key)),
            None => Fate::Stored,
        }
    }

    fn run(mut self) -> Vec<Fate> {
        let mut queue: Vec<usize> = (0..self.fates.len()).rev().collect();
        while let Some(at) = queue.pop() {
            let Some((key, candidate)) = self.plan.candidates.get(at) else { continue };
            if self.good.get(key) != Some(&at) {
                continue;
            }
            let Some(fallen) = self.against(candidate) else { continue };
            if let Some(fate) = self.fates.get_mut(at) {
                *fate = fallen;
            }
            self.good.remove(key);
            queue.extend(self.dependents.get(key).into_iter().flatten());
        }
        self.fates
    }

    /// What becomes of an item that is not good after all.
    fn against(&self, candidate: &Candidate) -> Option<Fate> {
        let erasing = candidate.item.needs().iter().find(|need| self.plan.world.is_erasing(&need.key));
        if let Some(need) = erasing {
            let message = "names a user who is deleted for good";
            return Some(Fate::Refused(ItemRefusal::new(Reason::UserDeleted, &need.field, message)));
        }
        let missing: Vec<&Need> =
            candidate.item.needs().iter().filter(|need| !self.is_there(&need.key)).collect();
        match (missing.first(), &*candidate.item) {
            (Some(_), _) if candidate.is_due => {
                let refusals = missing.into_iter().map(not_found).collect();
                ItemRefusal::of_all(refusals).map(Fate::Refused)
            }
            (Some(need), _) => Some(Fate::Waits(need.key.clone())),
            (None, Item::Content(row)) => self.misfit(row).map(Fate::Refused),
            (None, Item::User(_)) => None,
        }
    }

    fn is_there(&self, key: &Key) -> bool {
        self.good.contains_key(key) || self.plan.world.has(key)
    }

    fn good_item(&self, key: &Key) -> Option<&Item> {
        let (_, candidate) = self.plan.candidates.get(*self.good.get(key)?)?;
        Some(&candidate.item)
    }

    /// What does not go together with what the item refers to.
    fn misfit(&self, row: &Row) -> Option<ItemRefusal> {
        let needed = |kind| row.needs.iter().find(|need| need.key.kind == kind);
        match row.key.kind {
            Kind::ChannelMember => {
                let team = self.text(&needed(Kind::Channel)?.key, "team")?;
                let user = needed(Kind::User)?;
                let message = "is not in the team of the channel";
                (!self.is_in_team(&user.key, &team))
                    .then(|| ItemRefusal::new(Reason::TeamMismatch, &user.field, message))
            }
            Kind::Message => {
                let parent = needed(Kind::Message)?;
                let is_elsewhere = ["channel_type", "channel_id"]
                    .iter()
                    .any(|column| self.text(&parent.key, column).as_deref() != row.text(column));
                let message = if is_elsewhere {
                    "names a message in another channel; a reply is in the channel of its parent"
                } else {
                    self.text(&parent.key, "parent_id")?;
                    "names a message that is a reply itself; threads have one level"
                };
                Some(ItemRefusal::new(Reason::InvalidField, &parent.field, message))
            }
            Kind::Comment | Kind::FeedReaction => {
                let activity = needed(Kind::Activity)?;
                let comment = needed(Kind::Comment)?;
                let message = "names a comment on another activity";
                (self.text(&comment.key, "activity_id").as_ref() != activity.key.parts.first())
                    .then(|| ItemRefusal::new(Reason::InvalidField, &comment.field, message))
            }
            _ => None,
        }
    }

    /// The text of a column of a row that items are judged by, as it will be.
    fn text(&self, key: &Key, column: &str) -> Option<String> {
        let text = match self.good_item(key) {
            Some(Item::Content(row)) => row.text(column),
            _ => self.plan.world.row(key)?.text(column),
        };
        text.map(str::to_owned)
    }

    fn is_in_team(&self, user: &Key, team: &str) -> bool {
        let teams = match self.good_item(user) {
            Some(Item::User(user)) => user.profile.teams.as_slice(),
            _ => self.plan.world.teams_of(user).unwrap_or_default(),
        };
        teams.iter().any(|one| one == team)
    }
}

fn twice(key: &Key) -> ItemRefusal {
    let field = if key.parts.len() == 1 { "id" } else { "" };
    ItemRefusal::new(Reason::InvalidField, field, "stands twice in this import")
}

/// An item that would move what is stored to another container, or give it another author.
fn moved(row: &Row, stored: &Found) -> Option<ItemRefusal> {
    let changed =
        row.key.kind.fixed().iter().filter(|fixed| row.text(fixed.column) != stored.text(fixed.column));
    let refusals = changed.map(|fixed| {
        // A channel can be named by its members, too.
        let channel = row.needs.iter().find(|need| need.key.kind == Kind::Channel);
        let field = match channel {
            Some(channel) if fixed.field == "channel_id" => channel.field.as_str(),
            _ => fixed.field,
        };
        ItemRefusal::new(Reason::ImmutableField, field, fixed.rule)
    });
    ItemRefusal::of_all(refusals.collect())
}

fn unknown_role(row: &Row) -> Option<ItemRefusal> {
    let role = row.text("role").filter(|_| row.key.kind == Kind::ChannelMember)?;
    let known = CHANNEL_ROLES.contains(&role) || role::exists(role);
    (!known)
        .then(|| ItemRefusal::new(Reason::RoleNotFound, "channel_role", "names a role that does not exist"))
}

fn not_found(need: &Need) -> ItemRefusal {
    let message = match need.key.kind {
        Kind::ChannelMember => "has no item of its own as a member of this channel".to_owned(),
        kind => format!("names a {} that is neither stored nor in the import", kind.as_str()),
    };
    ItemRefusal::new(need.key.kind.missing(), &need.field, message)
}
