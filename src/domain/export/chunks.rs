//! Reading the chunks of an archive, from any byte on.

use std::collections::VecDeque;

use crate::model::archive::ArchiveId;
use crate::storage::{Store, StoreError, archives};

/// Where a reader of chunks is. Holds no connection between two reads.
#[derive(Debug)]
pub struct Chunks {
    archive: ArchiveId,
    offset: i64,
    end: i64,
    /// Read ahead, each with the place of its first byte.
    ahead: VecDeque<(i64, Vec<u8>)>,
}

impl Chunks {
    /// Reads the bytes from `offset` up to `end`.
    pub const fn from(archive: ArchiveId, offset: i64, end: i64) -> Self {
        Self { archive, offset, end, ahead: VecDeque::new() }
    }

    /// The next bytes, at most `limit`; `None` at the end, and where the chunk is gone.
    pub async fn next(&mut self, store: &Store, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        if self.offset >= self.end {
            return Ok(None);
        }
        if self.ahead.is_empty() {
            let db = store.read(None).await?;
            self.ahead = archives::list_chunks(&db, self.archive, self.offset).await?.into();
        }
        let Some((start, mut data)) = self.ahead.pop_front() else { return Ok(None) };
        let skipped = usize::try_from(self.offset - start).unwrap_or(usize::MAX);
        if skipped >= data.len() {
            return Ok(None);
        }
        let mut data = data.split_off(skipped);
        if data.len() > limit {
            let rest = data.split_off(limit);
            self.ahead.push_front((self.offset + to_i64(limit), rest));
        }
        self.offset += to_i64(data.len());
        Ok(Some(data))
    }

    /// Whether all bytes were read.
    pub const fn is_over(&self) -> bool {
        self.offset >= self.end
    }
}

fn to_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
