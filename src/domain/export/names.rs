//! How an export names other people, and the channels, calls and feeds whose ids hold the id of one.

use std::collections::{BTreeSet, HashMap};

use crate::model::export::References;
use crate::model::id::AppId;
use crate::storage::export::{Place, list_naming_others};
use crate::storage::{Db, StoreError};

/// Places that are remembered as naming nobody; asking again costs time only.
const REMEMBERED: usize = 10_000;

/// A name for each, the same throughout one export.
#[derive(Debug, Clone)]
pub struct Names {
    app: AppId,
    user: String,
    references: References,
    persons: HashMap<String, i64>,
    places: HashMap<Place, i64>,
    /// Places that name nobody.
    plain: BTreeSet<Place>,
    /// With KEEP: everybody the export names.
    kept: BTreeSet<String>,
}

impl Names {
    /// No names yet, for the export of `user`.
    pub fn new(app: AppId, user: String, references: References) -> Self {
        Self {
            app,
            user,
            references,
            persons: HashMap::new(),
            places: HashMap::new(),
            plain: BTreeSet::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Finds out which of `places` name other people, so that [`Self::place`] knows it.
    pub async fn look_up(&mut self, db: &Db, places: BTreeSet<Place>) -> Result<(), StoreError> {
        if self.plain.len() > REMEMBERED {
            self.plain.clear();
        }
        let is_new = |place: &Place| !self.plain.contains(place) && !self.places.contains_key(place);
        let new: Vec<Place> = places.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut naming = list_naming_others(db, self.app, &self.user, &new).await?;
        for place in new {
            match naming.remove(&place) {
                None => {
                    self.plain.insert(place);
                }
                Some(others) => {
                    let next = number(self.places.len());
                    self.places.insert(place, next);
                    if self.references == References::Keep {
                        self.kept.extend(others);
                    }
                }
            }
        }
        Ok(())
    }

    /// What `id` is called.
    pub fn person(&mut self, id: &str) -> String {
        if id == self.user {
            return id.to_owned();
        }
        if self.references == References::Keep {
            if !self.kept.contains(id) {
                self.kept.insert(id.to_owned());
            }
            return id.to_owned();
        }
        let next = number(self.persons.len());
        format!("~{}", self.persons.entry(id.to_owned()).or_insert(next))
    }

    /// What the place is called: its id, or a pseudonym of it. It was looked up before.
    pub fn place(&self, place: &Place) -> String {
        match (self.references, self.places.get(place)) {
            (References::Pseudonym, Some(number)) => format!("~c{number}"),
            _ => place.id.clone(),
        }
    }

    /// Whether ids are kept.
    pub fn keeps(&self) -> bool {
        self.references == References::Keep
    }
}

fn number(before: usize) -> i64 {
    i64::try_from(before).unwrap_or(i64::MAX - 1) + 1
}
