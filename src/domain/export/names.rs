//! How an export names other people, and the channels, calls and feeds whose ids hold the id of one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::vault::Vault;
use crate::model::archive::ArchiveId;
use crate::model::export::References;
use crate::model::id::AppId;
use crate::storage::export::{Place, list_naming_others};
use crate::storage::{Db, StoreError, archives};

/// Places without a name in them that are remembered; asking again costs time only.
const REMEMBERED: usize = 10_000;

/// A name for each, the same throughout one export.
pub struct Names {
    app: AppId,
    user: String,
    references: References,
    persons: HashMap<String, i64>,
    places: HashMap<Place, i64>,
    /// Places whose ids name no user.
    plain: BTreeSet<Place>,
    /// Numbers given to people and to places so far, those of batches before included.
    given: [i64; 2],
    /// Where numbers of batches before are stored, if this is not the first.
    stored: Option<Stored>,
    /// With KEEP: every user that was named.
    named: BTreeSet<String>,
}

/// Numbers that were stored with the archive.
struct Stored {
    vault: Arc<Vault>,
    archive: ArchiveId,
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
            given: [0, 0],
            stored: None,
            named: BTreeSet::new(),
        }
    }

    /// Goes on with the names that were stored with an archive, so many of which are `given`.
    #[must_use]
    pub fn stored_with(self, vault: Arc<Vault>, archive: ArchiveId, given: [i64; 2]) -> Self {
        Self { given, stored: Some(Stored { vault, archive }), ..self }
    }

    /// Numbers given so far.
    pub const fn given(&self) -> [i64; 2] {
        self.given
    }

    /// Everybody named by id.
    pub fn named(self) -> BTreeSet<String> {
        self.named
    }

    /// Numbers above `given`, by the hash of what has the number.
    pub fn since(&self, vault: &Vault, given: [i64; 2]) -> Vec<(Vec<u8>, i64)> {
        let persons = self.persons.iter().filter(|(_, number)| **number > given[0]);
        let persons = persons.map(|(id, number)| (hash_of_person(vault, id), *number));
        let places = self.places.iter().filter(|(_, number)| **number > given[1]);
        let places = places.map(|(place, number)| (hash_of_place(vault, place), *number));
        persons.chain(places).collect()
    }

    /// Finds out what is known of `persons`, and which of `places` name other people, so that [`Self::person`]
    /// and [`Self::place`] know it.
    pub async fn look_up(
        &mut self,
        db: &Db,
        persons: BTreeSet<String>,
        places: BTreeSet<Place>,
    ) -> Result<(), StoreError> {
        if self.plain.len() > REMEMBERED {
            self.plain.clear();
        }
        let is_new = |place: &Place| !self.plain.contains(place) && !self.places.contains_key(place);
        let places: Vec<Place> = places.into_iter().filter(is_new).collect();
        let mut naming = Vec::new();
        if !places.is_empty() {
            let mut found = list_naming_others(db, self.app, &self.user, &places).await?;
            for place in places {
                match found.remove(&place) {
                    None => {
                        self.plain.insert(place);
                    }
                    Some(_) if self.references == References::Pseudonym => naming.push(place),
                    Some(others) => {
                        self.named.extend(others);
                        self.plain.insert(place);
                    }
                }
            }
        }
        if self.references == References::Keep {
            return Ok(());
        }
        let is_new = |id: &String| *id != self.user && !self.persons.contains_key(id);
        let persons: Vec<String> = persons.into_iter().filter(is_new).collect();
        self.recall(db, &persons, &naming).await?;
        for place in naming {
            if !self.places.contains_key(&place) {
                self.given[1] += 1;
                self.places.insert(place, self.given[1]);
            }
        }
        Ok(())
    }

    /// Takes up the numbers that batches before have given.
    async fn recall(&mut self, db: &Db, persons: &[String], places: &[Place]) -> Result<(), StoreError> {
        let Some(Stored { vault, archive }) = &self.stored else { return Ok(()) };
        let of_persons: Vec<Vec<u8>> = persons.iter().map(|id| hash_of_person(vault, id)).collect();
        let of_places: Vec<Vec<u8>> = places.iter().map(|place| hash_of_place(vault, place)).collect();
        let all: Vec<Vec<u8>> = of_persons.iter().chain(&of_places).cloned().collect();
        let numbers = archives::list_numbers(db, *archive, &all).await?;
        for (id, hash) in persons.iter().zip(of_persons) {
            self.persons.extend(numbers.get(&hash).map(|number| (id.clone(), *number)));
        }
        for (place, hash) in places.iter().zip(of_places) {
            self.places.extend(numbers.get(&hash).map(|number| (place.clone(), *number)));
        }
        Ok(())
    }

    /// What `id` is called. It was looked up before.
    pub fn person(&mut self, id: &str) -> String {
        if id == self.user {
            return id.to_owned();
        }
        if self.references == References::Keep {
            if !self.named.contains(id) {
                self.named.insert(id.to_owned());
            }
            return id.to_owned();
        }
        let given = &mut self.given[0];
        let number = self.persons.entry(id.to_owned()).or_insert_with(|| {
            *given += 1;
            *given
        });
        format!("~{number}")
    }

    /// What the place is called: its id, or a pseudonym of it. It was looked up before.
    pub fn place(&self, place: &Place) -> String {
        self.places.get(place).map_or_else(|| place.id.clone(), |number| format!("~c{number}"))
    }

    /// Whether ids are kept.
    pub fn keeps(&self) -> bool {
        self.references == References::Keep
    }
}

fn hash_of_person(vault: &Vault, id: &str) -> Vec<u8> {
    vault.hash([b"exported person".as_slice(), id.as_bytes()]).to_vec()
}

fn hash_of_place(vault: &Vault, place: &Place) -> Vec<u8> {
    let kind = format!("{:?}", place.kind);
    let parts = [b"exported place".as_slice(), kind.as_bytes(), place.group.as_bytes(), place.id.as_bytes()];
    vault.hash(parts).to_vec()
}
