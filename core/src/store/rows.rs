//! The place where sealed rows lie, as the store sees it: an SQLite file where there is a disk, memory with a journal in a
//! browser. It knows no key: everything here is sealed or hashed already.

use super::seal::ROW_ID_LEN;
use super::{KeptRow, Probe, StoreError, WritePoint};

/// Passed when a transaction begins, when all is written, and when it is durable.
pub(super) type Points = [WritePoint; 3];
pub(super) const SCHEMA: Points = [WritePoint::SchemaBegun, WritePoint::SchemaWritten, WritePoint::SchemaCommitted];
pub(super) const BATCH: Points = [WritePoint::Begun, WritePoint::Written, WritePoint::Committed];

/// A row of the records that are kept in step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordRow {
    /// Position in the log.
    pub(super) change: u64,
    /// Keyed hash of collection and id.
    pub(super) row_id: [u8; ROW_ID_LEN],
    /// Keyed hash of collection and group; `None` for a tombstone, as is `rank`.
    pub(super) place: Option<i64>,
    /// Place in time plus a secret.
    pub(super) rank: Option<i64>,
    /// The record.
    pub(super) sealed: Vec<u8>,
}

/// What a walk through the rows of a kind is shown: the row id and the sealed bytes; `None` for a row that is not of that form.
pub(super) type Seen<'r> = Option<(&'r [u8], &'r [u8])>;

/// Reads rows. Every call may fail with [`StoreError::Damaged`] and the errors of the environment.
pub(super) trait ReadRows {
    /// What the store keeps about itself.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// The sealed bytes of a row.
    fn row(&self, kind: i64, row_id: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Goes through the rows of a kind, in the order of their ids.
    fn walk(&self, kind: i64, visit: &mut dyn FnMut(Seen<'_>)) -> Result<(), StoreError>;
    /// The ids of the rows of a kind.
    fn row_ids(&self, kind: i64) -> Result<Vec<Vec<u8>>, StoreError>;
    /// How many rows there are, of all kinds, known or not.
    fn count_rows(&self) -> Result<i64, StoreError>;
    /// The present row of a record.
    fn record(&self, row_id: &[u8; ROW_ID_LEN]) -> Result<Option<RecordRow>, StoreError>;
    /// Records after a position of the log, oldest first.
    fn records_after(&self, change: u64, limit: usize) -> Result<Vec<RecordRow>, StoreError>;
    /// Records of a place before `(rank, change)`, newest first.
    fn records_in(&self, place: i64, rank: i64, change: u64, limit: usize) -> Result<Vec<RecordRow>, StoreError>;
    /// Records of all places before `(rank, change)` and not below `least`, newest first.
    fn records_by_rank(&self, rank: i64, change: u64, least: i64, limit: usize) -> Result<Vec<RecordRow>, StoreError>;
    /// Tombstones up to a position of the log, oldest first.
    fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<RecordRow>, StoreError>;
    /// The newest position of the log that was ever given.
    fn last_change(&self) -> Result<u64, StoreError>;
    /// How many records there are, tombstones not counted, not below `least` and up to a position of the log.
    fn count_records(&self, least: i64, up_to: u64) -> Result<u64, StoreError>;
}

/// Changes rows, inside a transaction.
pub(super) trait WriteRows: ReadRows {
    /// Puts what the store keeps about itself.
    fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Inserts or replaces a row; `None` deletes it, and a missing one is no error.
    fn put_row(&mut self, kind: i64, row_id: &[u8], sealed: Option<&[u8]>) -> Result<(), StoreError>;
    /// Inserts a record's row unless one with its row id is there; tells whether it did.
    fn insert_record(&mut self, row: &RecordRow) -> Result<bool, StoreError>;
    /// Replaces the row at `row.change` by `row`.
    fn replace_record(&mut self, row: &RecordRow) -> Result<(), StoreError>;
    /// Deletes a record's row.
    fn delete_record(&mut self, row_id: &[u8; ROW_ID_LEN]) -> Result<(), StoreError>;
    /// Deletes the row at a position of the log.
    fn delete_change(&mut self, change: u64) -> Result<(), StoreError>;
    /// Deletes every row, of whatever kind.
    fn delete_all(&mut self) -> Result<(), StoreError>;
    /// Builds the indexes anew.
    fn reindex(&mut self) -> Result<(), StoreError>;
}

/// What is done in a transaction.
pub(super) type Body<'b> = dyn FnMut(&mut dyn WriteRows, &mut Probe) -> Result<(), StoreError> + 'b;

/// Rows that survive a restart.
pub(super) trait Rows: Send {
    /// Reads.
    fn read(&self, look: &mut dyn FnMut(&dyn ReadRows) -> Result<(), StoreError>) -> Result<(), StoreError>;
    /// Runs `body` in one transaction: all of it stands, or, after any error, none.
    fn write(&mut self, points: Points, body: &mut Body<'_>) -> Result<(), StoreError>;
    /// Removes the remains of what was replaced and deleted, as far as this place can.
    fn scrub(&mut self) -> Result<(), StoreError>;
    /// Whether the structure that holds the rows is sound.
    fn is_sound(&self) -> Result<bool, StoreError>;
    /// What changed since the last call and is not kept yet; nothing where a transaction is durable when it ends.
    fn unkept(&mut self) -> Vec<KeptRow>;
}

impl dyn Rows + '_ {
    /// Reads, and gives what was read.
    pub(super) fn look<T>(&self, look: impl FnOnce(&dyn ReadRows) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (mut look, mut found) = (Some(look), Err(StoreError::Closed));
        self.read(&mut |rows| {
            if let Some(look) = look.take() {
                found = look(rows);
            }
            Ok(())
        })?;
        found
    }
}
