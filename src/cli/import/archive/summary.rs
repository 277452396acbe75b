//! What an import of archives made, changed and left out, counted by kind.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::text;

/// Why something is not imported as the archive has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Made, since something refers to it.
    Stub,
    /// No kind that can be imported.
    NoKind,
    /// It is on something that is in no archive.
    Absent,
    /// What was deleted of it is what an import requires.
    Blank,
    /// It has an id that no import takes.
    Id,
    /// A field that refers to something that is in no archive.
    Reference,
    /// It grants or denies something.
    Untrusted,
    /// It is there already, with the same content.
    Repeated,
}

impl Why {
    const ALL: [Self; 8] = [
        Self::Stub,
        Self::NoKind,
        Self::Absent,
        Self::Blank,
        Self::Id,
        Self::Reference,
        Self::Untrusted,
        Self::Repeated,
    ];

    /// For programs.
    const fn name(self) -> &'static str {
        match self {
            Self::Stub => "stubs",
            Self::NoKind => "not_importable",
            Self::Absent => "on_absent",
            Self::Blank => "blank",
            Self::Id => "bad_ids",
            Self::Reference => "references_dropped",
            Self::Untrusted => "untrusted",
            Self::Repeated => "repeated",
        }
    }

    /// For people.
    const fn title(self) -> &'static str {
        match self {
            Self::Stub => "stubs for what is in no archive",
            Self::NoKind => "left out, not importable",
            Self::Absent => "left out, on what is in no archive",
            Self::Blank => "left out, without text",
            Self::Id => "left out, with ids that are not valid",
            Self::Reference => "references dropped, to what is in no archive",
            Self::Untrusted => "dropped without --trusted",
            Self::Repeated => "repeated",
        }
    }
}

/// Counts by reason and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli::import) struct Summary(BTreeMap<Why, BTreeMap<String, u64>>);

impl Summary {
    pub(super) fn add(&mut self, why: Why, what: &str) {
        let counts = self.0.entry(why).or_default();
        *counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(in crate::cli::import) fn lines(&self) -> Vec<String> {
        let line = |(why, counts): (&Why, &BTreeMap<String, u64>)| {
            let counts = counts.iter().map(|(what, count)| format!("{what} {}", text::count(*count)));
            format!("{}: {}", why.title(), counts.collect::<Vec<_>>().join(", "))
        };
        self.0.iter().map(line).collect()
    }

    /// An event that has all of it, also what is empty.
    pub(in crate::cli::import) fn event(&self) -> Value {
        let mut event = Map::new();
        event.insert("event".to_owned(), "archives".into());
        for why in Why::ALL {
            let counts = self.0.get(&why).map_or_else(|| json!({}), |counts| json!(counts));
            event.insert(why.name().to_owned(), counts);
        }
        Value::Object(event)
    }
}
