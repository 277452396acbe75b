//! Reading an export from its beginning to its end, a batch at a time, from wherever it was left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::envelope::{Header, end};
use super::names::Names;
use super::record;
use crate::model::clock::Timestamp;
use crate::model::id::AppId;
use crate::storage::export::{Page, Step, Subject, list_rows, steps};
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

/// How many rows are read at a time: as many as hold about 128 KiB, judged by those before.
#[derive(Debug, Clone, Copy)]
pub struct Pace(u64);

/// Bytes of records that one batch is to have. A stream that waits for its caller keeps about fifteen times as many,
/// as rows, records and messages; with half as many, a stream takes a fifth more processor time.
const TARGET: u64 = 128 * 1024;
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
        self.0 = (TARGET / each).clamp(1, MOST).min(self.0.saturating_mul(4).max(FIRST));
    }

    /// The first batch ends with the first row, so that it is there soon.
    pub const fn hasty() -> Self {
        Self(1)
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
    /// The next page, where it was read already.
    ahead: Option<Ahead>,
}

/// A page that was read while the one before was written down.
struct Ahead {
    step: &'static str,
    after: Vec<Value>,
    page: Page,
}

impl Reader {
    /// Reads the export that `header` is the beginning of.
    pub fn new(app: AppId, header: Header, names: Names) -> Self {
        Self { app, header, names, ahead: None }
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
        let steps: Vec<&'static Step> = steps(self.header.options).collect();
        let first = if step.is_empty() { Some(0) } else { steps.iter().position(|one| one.name == step) };
        let mut at =
            first.ok_or_else(|| StoreError::Internal(format!("there is no step {step} of an export")))?;
        let (mut after, mut read) = (after, 0);
        while let Some(step) = steps.get(at) {
            let left = limit.saturating_sub(read).max(1);
            let (rows, next) = self.read_step(db, step, after, left, &mut records, &mut counts).await?;
            read += rows;
            at += usize::from(next.is_none());
            after = next.unwrap_or_default();
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

    /// Rows of one step: how many, and the key of the last where there may be more. While they are written down, the
    /// next ones are read.
    async fn read_step(
        &mut self,
        db: &Db,
        step: &'static Step,
        after: Vec<Value>,
        limit: u64,
        records: &mut Vec<String>,
        counts: &mut BTreeMap<String, i64>,
    ) -> Result<(u64, Option<Vec<Value>>), StoreError> {
        let Self { app, header, names, ahead } = self;
        let subject = Subject { app: *app, user: &header.user_id, scope: header.options.scope };
        let page = match ahead.take().filter(|ahead| ahead.step == step.name && ahead.after == after) {
            Some(ahead) => ahead.page,
            None => list_rows(db, subject, step, &after, limit).await?,
        };
        let last = page.rows.last().map(|row| row.key.clone()).filter(|_| page.more);
        let reading = async {
            match &last {
                Some(last) => list_rows(db, subject, step, last, limit).await.map(Some),
                None => Ok(None),
            }
        };
        let writing = async {
            let (persons, places) =
                (record::persons(step.release, &page), record::places(step.release, &page));
            names.look_up(db, persons, places).await?;
            for row in &page.rows {
                record::records(step.release, row, &page, names, |kind, json| {
                    *counts.entry(kind.to_owned()).or_default() += 1;
                    records.push(json);
                });
            }
            Ok::<_, StoreError>(())
        };
        // The statement is on its way before the writing begins.
        let (next, ()) = tokio::try_join!(reading, writing)?;
        *ahead = next.zip(last.clone()).map(|(page, after)| Ahead { step: &step.name, after, page });
        Ok((page.rows.len() as u64, last))
    }
}
