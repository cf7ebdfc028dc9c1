//! Records that are kept in step with other devices: merged by version, listed by group and by the order in which they
//! were learned, sealed like everything else.
//!
//! What the file shows without its key: how many records there are, their lengths, which share a group, and the
//! distances between their places in time (not the places themselves).

use pairlight_wire::sync::SyncRecord;
use rand_core::CryptoRng;

use super::batch::Merge;
use super::rows::{BATCH, ReadRows, RecordRow, WriteRows};
use super::seal::{RecordSealer, Sourced};
use super::{Store, StoreError};

/// Rows read at a time by what goes through all of them.
const STRIDE: usize = 512;

/// Where a listing stands: what comes next is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Place in time.
    pub order: u64,
    /// Position in the log, for records of one place.
    pub change: u64,
}

impl Cursor {
    /// Before the newest.
    pub const NEWEST: Self = Self { order: u64::MAX, change: u64::MAX };
}

/// A record as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRecord {
    /// Position in the log of this device; a later version gets a later position.
    pub change: u64,
    /// Number of the device that it came from, 0 is this one.
    pub source: u8,
    /// The record.
    pub record: SyncRecord,
}

impl LoggedRecord {
    /// Where a listing goes on after this record.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let order = self.record.content.as_ref().map_or(0, |content| content.order);
        Cursor { order, change: self.change }
    }
}

/// What a commit did with its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Of each merge, in order: whether the record stands now and did not before.
    pub stands: Vec<bool>,
    /// The newest position of the log, or 0 when nothing was merged.
    pub last_change: u64,
}

impl RecordRow {
    /// A row that is ready to be written; its place in the log is given later.
    pub(super) fn seal(
        sealer: &RecordSealer,
        source: u8,
        record: &SyncRecord,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, StoreError> {
        let row_id = sealer.row_id(record.collection.as_str(), record.id.as_slice());
        let content = record.content.as_ref();
        Ok(Self {
            change: 0,
            row_id,
            place: content.map(|content| sealer.place(record.collection.as_str(), content.group.as_slice())),
            rank: content.map(|content| sealer.rank(content.order)),
            sealed: sealer.seal(&row_id, source, record, rng)?,
        })
    }
}

/// Writes the record under the number of the row unless a higher version is there; tells whether it stands now.
pub(super) fn merge_row(
    rows: &mut dyn WriteRows,
    sealer: &RecordSealer,
    merge: &Merge,
    row: &RecordRow,
) -> Result<bool, StoreError> {
    if rows.insert_record(row)? {
        return Ok(true);
    }
    // What does not open is replaced: a healthy copy of the record heals the row.
    let known = rows.record(&row.row_id)?.and_then(|known| sealer.open(&known.row_id, &known.sealed));
    if known.is_some_and(|known| !merge.record.supersedes(&known.record)) {
        return Ok(false);
    }
    rows.delete_record(&row.row_id)?;
    rows.insert_record(row)
}

impl Store {
    fn logged<T>(&self, look: impl FnOnce(&dyn ReadRows) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check_key()?;
        self.rows.look(look)
    }

    /// Opens rows; the damaged ones are left out, [`Store::repair_records`] finds them.
    fn open_rows(&self, rows: impl IntoIterator<Item = RecordRow>) -> Vec<LoggedRecord> {
        let open = |row: RecordRow| {
            let Sourced { source, record } = self.records.open(&row.row_id, &row.sealed)?;
            Some(LoggedRecord { change: row.change, source, record })
        };
        rows.into_iter().filter_map(open).collect()
    }

    /// The present version of a record, a tombstone included.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read. A damaged row counts as absent.
    pub fn record(&self, collection: &str, id: &[u8]) -> Result<Option<LoggedRecord>, StoreError> {
        let row_id = self.records.row_id(collection, id);
        let found = self.logged(|rows| rows.record(&row_id))?;
        Ok(self.open_rows(found).pop())
    }

    /// What this device learned after a position of its log, oldest first, at most `limit`; and the position up to which
    /// that is everything.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_after(&self, change: u64, limit: usize) -> Result<(Vec<LoggedRecord>, u64), StoreError> {
        let found = self.logged(|rows| rows.records_after(change, limit))?;
        let end = match found.last() {
            Some(last) if found.len() >= limit => last.change,
            _ => self.last_change()?.max(change),
        };
        Ok((self.open_rows(found), end))
    }

    /// Records of one group older than `before`, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_in(
        &self,
        collection: &str,
        group: &[u8],
        before: Cursor,
        limit: usize,
    ) -> Result<Vec<LoggedRecord>, StoreError> {
        let place = self.records.place(collection, group);
        let rank = self.records.rank(before.order);
        let found = self.open_rows(self.logged(|rows| rows.records_in(place, rank, before.change, limit))?);
        // Two groups may share a hash.
        let of_group = |logged: &LoggedRecord| {
            logged.record.collection.as_str() == collection
                && logged.record.content.as_ref().is_some_and(|content| content.group.as_slice() == group)
        };
        Ok(found.into_iter().filter(of_group).collect())
    }

    /// Records of all groups older than `before` and not older than `oldest`, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_by_order(&self, before: Cursor, oldest: u64, limit: usize) -> Result<Vec<LoggedRecord>, StoreError> {
        let (rank, least) = (self.records.rank(before.order), self.records.rank(oldest));
        Ok(self.open_rows(self.logged(|rows| rows.records_by_rank(rank, before.change, least, limit))?))
    }

    /// Tombstones up to a position of the log, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<LoggedRecord>, StoreError> {
        Ok(self.open_rows(self.logged(|rows| rows.tombstones(up_to, limit))?))
    }

    /// Drops tombstones that are still the version that was seen; a later version stays.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn drop_tombstones<'a>(
        &mut self,
        seen: impl IntoIterator<Item = (&'a str, &'a [u8], u64)>,
    ) -> Result<(), StoreError> {
        let mut doomed = Vec::new();
        for (collection, id, clock) in seen {
            let known = self.record(collection, id)?;
            if known.is_some_and(|known| known.record.content.is_none() && known.record.clock <= clock) {
                doomed.push(self.records.row_id(collection, id));
            }
        }
        if doomed.is_empty() {
            return Ok(());
        }
        self.rows.write(BATCH, &mut |rows, _| doomed.iter().try_for_each(|row_id| rows.delete_record(row_id)))
    }

    /// The newest position of the log.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn last_change(&self) -> Result<u64, StoreError> {
        self.rows.look(|rows| rows.last_change())
    }

    /// How many records there are, tombstones not counted, up to a position of the log and not older than a place.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn count_records(&self, up_to: u64, oldest: u64) -> Result<u64, StoreError> {
        let least = if oldest == 0 { i64::MIN } else { self.records.rank(oldest) };
        self.rows.look(|rows| rows.count_records(least, up_to))
    }

    /// Goes through every record, newest first, until `look` says false.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn scan_records(&self, mut look: impl FnMut(&LoggedRecord) -> bool) -> Result<(), StoreError> {
        let mut cursor = Cursor::NEWEST;
        loop {
            let page = self.records_by_order(cursor, 0, STRIDE)?;
            let Some(last) = page.last() else { return Ok(()) };
            cursor = last.cursor();
            if !page.iter().all(&mut look) {
                return Ok(());
            }
        }
    }

    /// Deletes rows that do not open or lie in the wrong place, and builds the indexes anew. Gives how many were lost;
    /// other devices still have them.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn repair_records(&mut self) -> Result<u64, StoreError> {
        let damaged = self.damaged_records()?;
        let lost = u64::try_from(damaged.len()).unwrap_or(u64::MAX);
        self.rows.write(BATCH, &mut |rows, _| {
            damaged.iter().try_for_each(|change| rows.delete_change(*change))?;
            rows.reindex()
        })?;
        Ok(lost)
    }

    /// Positions of rows that were altered.
    pub(super) fn damaged_records(&self) -> Result<Vec<u64>, StoreError> {
        let (mut damaged, mut from) = (Vec::new(), 0);
        loop {
            let page = self.logged(|rows| rows.records_after(from, STRIDE))?;
            let Some(last) = page.last() else { return Ok(damaged) };
            from = last.change;
            for row in page {
                let opened = self.records.open(&row.row_id, &row.sealed);
                let sound = opened.is_some_and(|opened| {
                    let content = opened.record.content.as_ref();
                    row.rank == content.map(|content| self.records.rank(content.order))
                        && row.row_id
                            == self.records.row_id(opened.record.collection.as_str(), opened.record.id.as_slice())
                });
                if !sound {
                    damaged.push(row.change);
                }
            }
        }
    }
}

/// Seals every record anew for another data key, a stretch at a time, inside the caller's transaction. Rows that do not
/// open are lost with the old key. Gives how many were sealed.
pub(super) fn reseal(
    rows: &mut dyn WriteRows,
    old: &RecordSealer,
    new: &RecordSealer,
    rng: &mut dyn CryptoRng,
) -> Result<u64, StoreError> {
    let (mut from, mut sealed) = (0, 0_u64);
    loop {
        let page = rows.records_after(from, STRIDE)?;
        let Some(last) = page.last() else { return Ok(sealed) };
        from = last.change;
        for row in page {
            let again = old
                .open(&row.row_id, &row.sealed)
                .and_then(|opened| RecordRow::seal(new, opened.source, &opened.record, rng).ok());
            match again {
                Some(again) => {
                    rows.replace_record(&RecordRow { change: row.change, ..again })?;
                    sealed = sealed.saturating_add(1);
                }
                None => rows.delete_change(row.change)?,
            }
        }
    }
}
