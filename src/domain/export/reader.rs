//! Reading an export from its beginning to its end, a batch at a time, from wherever it was left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::envelope::{Header, end};
use super::names::Names;
use super::record;
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::storage::export::{Step, Subject, list_rows, steps};
use crate::storage::{Db, StoreError};

/// Where an export goes on. Steps are named, so that another version may have others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The step; empty before the first record.
    pub step: String,
    /// The key of the last row of it.
    pub after: Vec<Value>,
    /// Records so far, by type.
    pub records: BTreeMap<String, i64>,
}

/// Records in order, and where to go on.
#[derive(Debug)]
pub struct Batch {
    /// Each one JSON object.
    pub records: Vec<String>,
    /// How many of them are of the user: the others speak of the export itself.
    pub count: i64,
    /// Where the next batch begins; `None` after the last record.
    pub next: Option<Position>,
}

/// How many rows are read at a time: as many as hold about 256 KiB, judged by those before.
#[derive(Debug, Clone, Copy)]
pub struct Pace(u64);

/// Bytes of records that one batch is to have.
const TARGET: u64 = 256 * 1024;
/// Few at first, since nothing is known of their size.
const FIRST: u64 = 32;
const MOST: u64 = 1_000;

impl Pace {
    /// Rows of the next batch.
    pub const fn rows(self) -> u64 {
        self.0
    }

    /// Judges by a batch that was read.
    pub fn note(&mut self, batch: &Batch) {
        let bytes: usize = batch.records.iter().map(String::len).sum();
        let rows = u64::try_from(batch.records.len()).unwrap_or(MOST).max(1);
        let each = (bytes as u64 / rows).max(1);
        // Never many more than before: the next ones may be larger.
        self.0 = (TARGET / each).clamp(1, MOST).min(self.0.saturating_mul(4));
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self(FIRST)
    }
}

/// Reads one user's export.
pub struct Reader {
    app: AppId,
    header: Header,
    /// How others are called; grows as they are met.
    names: Names,
}

impl Reader {
    /// Reads the export that `header` is the beginning of.
    pub fn new(app: AppId, header: Header, names: Names) -> Self {
        Self { app, header, names }
    }

    /// How others were called.
    pub fn into_names(self) -> Names {
        self.names
    }

    /// The records from `position` on: about `limit` rows, at least one step or its end.
    pub async fn read(
        &mut self,
        db: &Db,
        position: Position,
        limit: u64,
        now: Timestamp,
    ) -> Result<Batch, StoreError> {
        let Position { step, after, records: mut counts } = position;
        let before: i64 = counts.values().sum();
        let mut records = Vec::new();
        if step.is_empty() {
            records.extend(self.header.records());
        }
        let steps: Vec<&Step> = steps(self.header.options).collect();
        let first = if step.is_empty() { Some(0) } else { steps.iter().position(|one| one.name == step) };
        let mut at =
            first.ok_or_else(|| StoreError::Internal(format!("there is no step {step} of an export")))?;
        let (mut after, mut read) = (after, 0);
        while let Some(step) = steps.get(at) {
            let last = self.read_step(db, step, &after, limit - read, &mut records, &mut counts).await?;
            read += last.0;
            match last {
                (rows, Some(key)) if rows > 0 && read >= limit => after = key,
                _ => {
                    at += 1;
                    after = Vec::new();
                }
            }
            if read >= limit {
                break;
            }
        }
        let next =
            steps.get(at).map(|step| Position { step: step.name.clone(), after, records: counts.clone() });
        if next.is_none() {
            records.push(end(&counts, now));
        }
        let count = counts.values().sum::<i64>() - before;
        Ok(Batch { records, count, next })
    }

    /// Rows of one step; how many, and the key of the last.
    async fn read_step(
        &mut self,
        db: &Db,
        step: &Step,
        after: &[Value],
        limit: u64,
        records: &mut Vec<String>,
        counts: &mut BTreeMap<String, i64>,
    ) -> Result<(u64, Option<Vec<Value>>), StoreError> {
        let subject = Subject { app: self.app, user: &self.header.user_id, scope: self.header.options.scope };
        let page = list_rows(db, subject, step, after, limit).await?;
        let (persons, places) = (record::persons(step.release, &page), record::places(step.release, &page));
        self.names.look_up(db, persons, places).await?;
        for row in &page.rows {
            record::records(step.release, row, &page, &mut self.names, |kind, json| {
                *counts.entry(kind.to_owned()).or_default() += 1;
                records.push(json);
            });
        }
        Ok((page.rows.len() as u64, page.rows.last().map(|row| row.key.clone())))
    }
}
