//! The place where sealed rows lie, as the store sees it: an SQLite file where there is a disk, memory with a journal in a
//! browser. It knows no key: everything here is sealed or hashed already.

use super::seal::ROW_ID_LEN;
use super::{KeptRow, Probe, StoreError, WritePoint};

/// Passed when a transaction begins, when all is written, and when it is durable.
pub(super) type Points = [WritePoint; 3];
pub(super) const SCHEMA: Points = [WritePoint::SchemaBegun, WritePoint::SchemaWritten, WritePoint::SchemaCommitted];
pub(super) const BATCH: Points = [WritePoint::Begun, WritePoint::Written, WritePoint::Committed];

/// What the indexes know of a record that is kept in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Position in the log.
    pub(super) change: u64,
    /// Keyed hash of collection and id; short, so two records may share it.
    pub(super) hash: i64,
    /// Where it is listed; `None` for a tombstone.
    pub(super) spot: Option<Spot>,
}

/// Where a record is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Keyed hash of collection and group.
    pub(super) place: i64,
    /// Place in time plus a secret.
    pub(super) rank: i64,
}

/// A pack: the number of the position at which it begins, and the sealed records from there to where the next begins.
pub(super) type Pack = (u64, Vec<u8>);

/// Rank and position of a record in a listing.
pub(super) type Ranked = (i64, u64);

/// How many entries each index has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EntryCounts {
    /// By hash: all records.
    pub(super) hashes: u64,
    /// By place, and as many by rank: those with content.
    pub(super) places: u64,
    /// By rank.
    pub(super) ranks: u64,
    /// Tombstones.
    pub(super) gone: u64,
}

/// A record as formats before packs kept it: position, keyed hash of collection and id, sealed record.
pub(super) type OldRecord = (u64, [u8; ROW_ID_LEN], Vec<u8>);

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
    /// The pack that holds a position, if it is still there.
    fn pack_at(&self, change: u64) -> Result<Option<Pack>, StoreError>;
    /// Packs that begin at a position or later, in order.
    fn packs_from(&self, number: u64, limit: usize) -> Result<Vec<Pack>, StoreError>;
    /// Goes through the packs, the last one first, while `visit` says true.
    fn last_packs(&self, visit: &mut dyn FnMut(u64, &[u8]) -> bool) -> Result<(), StoreError>;
    /// Positions of the records with a hash.
    fn changes_of(&self, hash: i64) -> Result<Vec<u64>, StoreError>;
    /// Ranks and positions of records of a place before `(rank, change)`, newest first.
    fn changes_in(&self, spot: Spot, change: u64, limit: usize) -> Result<Vec<Ranked>, StoreError>;
    /// Ranks and positions of records of all places before `(rank, change)` and not below `least`, newest first.
    fn changes_by_rank(&self, rank: i64, change: u64, least: i64, limit: usize) -> Result<Vec<Ranked>, StoreError>;
    /// Positions of tombstones up to a position of the log, oldest first.
    fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<u64>, StoreError>;
    /// How many records there are, tombstones not counted, not below `least` and up to a position of the log. Quick for all
    /// of them: `i64::MIN` and `u64::MAX`.
    fn count_records(&self, least: i64, up_to: u64) -> Result<u64, StoreError>;
    /// Whether every index has this entry.
    fn has_entry(&self, entry: &Entry) -> Result<bool, StoreError>;
    /// How many entries there are.
    fn count_entries(&self) -> Result<EntryCounts, StoreError>;
    /// The newest position that a format before packs gave; 0 when there was none.
    fn old_last_change(&self) -> Result<u64, StoreError>;
    /// Records of a format before packs after a position, oldest first.
    fn old_records(&self, change: u64, limit: usize) -> Result<Vec<OldRecord>, StoreError>;
}

/// Changes rows, inside a transaction.
pub(super) trait WriteRows: ReadRows {
    /// Puts what the store keeps about itself.
    fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Inserts or replaces a row; `None` deletes it, and a missing one is no error.
    fn put_row(&mut self, kind: i64, row_id: &[u8], sealed: Option<&[u8]>) -> Result<(), StoreError>;
    /// Inserts or replaces a pack; `None` deletes it.
    fn put_pack(&mut self, number: u64, sealed: Option<&[u8]>) -> Result<(), StoreError>;
    /// Adds an entry to the indexes.
    fn put_entry(&mut self, entry: &Entry) -> Result<(), StoreError>;
    /// Takes an entry from the indexes; what is not there is no error.
    fn delete_entry(&mut self, entry: &Entry) -> Result<(), StoreError>;
    /// Puts the index by hash in order, where new entries of it wait for that.
    fn sort_in(&mut self) -> Result<(), StoreError>;
    /// Empties the indexes, to be filled anew.
    fn delete_entries(&mut self) -> Result<(), StoreError>;
    /// Forgets the records of a format before packs.
    fn delete_old(&mut self) -> Result<(), StoreError>;
    /// Deletes every row, of whatever kind.
    fn delete_all(&mut self) -> Result<(), StoreError>;
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
    /// Does in a quiet moment what a write would have to do later; quiet is when nothing was written since the last call.
    /// Gives whether something waits for that.
    fn tend(&mut self) -> Result<bool, StoreError>;
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
