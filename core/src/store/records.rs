//! Records that are kept in step with other devices: merged by version, listed by group and by the order in which they
//! were learned, sealed like everything else.
//!
//! What the file shows without its key: how many records there are, their lengths, which share a group, and the
//! distances between their places in time (not the places themselves).

use pairlight_wire::sync::SyncRecord;
use rand_core::CryptoRng;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::batch::Merge;
use super::database::BATCH;
use super::seal::{ROW_ID_LEN, RecordSealer, Sourced};
use super::{Store, StoreError};

const GET: &str = "SELECT change, row_id, rank, sealed FROM sync_record WHERE row_id = ?1";
const AFTER: &str = "SELECT change, row_id, rank, sealed FROM sync_record WHERE change > ?1 ORDER BY change LIMIT ?2";
const IN_PLACE: &str = "SELECT change, row_id, rank, sealed FROM sync_record
    WHERE place = ?1 AND rank IS NOT NULL AND rank <= ?2 AND (rank < ?2 OR change < ?3)
    ORDER BY rank DESC, change DESC LIMIT ?4";
const BY_RANK: &str = "SELECT change, row_id, rank, sealed FROM sync_record
    WHERE rank IS NOT NULL AND rank <= ?1 AND (rank < ?1 OR change < ?2) AND rank >= ?3
    ORDER BY rank DESC, change DESC LIMIT ?4";
const GONE: &str =
    "SELECT change, row_id, rank, sealed FROM sync_record WHERE rank IS NULL AND change <= ?1 ORDER BY change LIMIT ?2";
// The number is given, not taken: a row that is refused would use one up, and the writer could not know the next.
const INSERT: &str = "INSERT INTO sync_record (row_id, place, rank, sealed, change) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (row_id) DO NOTHING";
const DELETE: &str = "DELETE FROM sync_record WHERE row_id = ?1";
const RESEAL: &str = "UPDATE sync_record SET row_id = ?2, place = ?3, rank = ?4, sealed = ?5 WHERE change = ?1";

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

struct Row4 {
    change: u64,
    row_id: Vec<u8>,
    rank: Option<i64>,
    sealed: Vec<u8>,
}

fn row4(row: &Row<'_>) -> rusqlite::Result<Row4> {
    let change: i64 = row.get(0)?;
    Ok(Row4 { change: change.unsigned_abs(), row_id: row.get(1)?, rank: row.get(2)?, sealed: row.get(3)? })
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A row that is ready to be written.
pub(super) struct SealedRecord {
    row_id: [u8; ROW_ID_LEN],
    place: Option<i64>,
    rank: Option<i64>,
    sealed: Vec<u8>,
}

impl SealedRecord {
    pub(super) fn new(
        sealer: &RecordSealer,
        source: u8,
        record: &SyncRecord,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, StoreError> {
        let row_id = sealer.row_id(record.collection.as_str(), record.id.as_slice());
        let content = record.content.as_ref();
        Ok(Self {
            row_id,
            place: content.map(|content| sealer.place(record.collection.as_str(), content.group.as_slice())),
            rank: content.map(|content| sealer.rank(content.order)),
            sealed: sealer.seal(&row_id, source, record, rng)?,
        })
    }

    fn insert(&self, tx: &Transaction<'_>, change: u64) -> rusqlite::Result<bool> {
        let params = params![self.row_id, self.place, self.rank, self.sealed, column(change)];
        Ok(tx.prepare_cached(INSERT)?.execute(params)? == 1)
    }
}

/// Writes the record under the number `change` unless a higher version is there; tells whether it stands now.
pub(super) fn merge_row(
    tx: &Transaction<'_>,
    sealer: &RecordSealer,
    merge: &Merge,
    row: &SealedRecord,
    change: u64,
) -> rusqlite::Result<bool> {
    if row.insert(tx, change)? {
        return Ok(true);
    }
    let known = tx.prepare_cached(GET)?.query_row([&row.row_id], row4)?;
    // What does not open is replaced: a healthy copy of the record heals the row.
    let known = sealer.open(&known.row_id, &known.sealed);
    if known.is_some_and(|known| !merge.record.supersedes(&known.record)) {
        return Ok(false);
    }
    tx.prepare_cached(DELETE)?.execute([&row.row_id])?;
    row.insert(tx, change)
}

pub(super) fn last_change(conn: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'sync_record'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0).unsigned_abs())
}

impl Store {
    fn logged(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Row4>, StoreError> {
        self.check_key()?;
        self.db.sql(|conn| conn.prepare_cached(sql)?.query_map(params, row4)?.collect())
    }

    /// Opens rows; the damaged ones are left out, [`Store::repair_records`] finds them.
    fn open_rows(&self, rows: Vec<Row4>) -> Vec<LoggedRecord> {
        let open = |row: Row4| {
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
        let found = self.logged(GET, [self.records.row_id(collection, id)])?;
        Ok(self.open_rows(found).pop())
    }

    /// What this device learned after a position of its log, oldest first, at most `limit`; and the position up to which
    /// that is everything.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_after(&self, change: u64, limit: usize) -> Result<(Vec<LoggedRecord>, u64), StoreError> {
        let found = self.logged(AFTER, params![column(change), rows(limit)])?;
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
        let found = self.open_rows(self.logged(IN_PLACE, params![place, rank, column(before.change), rows(limit)])?);
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
        Ok(self.open_rows(self.logged(BY_RANK, params![rank, column(before.change), least, rows(limit)])?))
    }

    /// Tombstones up to a position of the log, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<LoggedRecord>, StoreError> {
        Ok(self.open_rows(self.logged(GONE, params![column(up_to), rows(limit)])?))
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
        self.db.write(BATCH, |tx, _| {
            for row_id in &doomed {
                tx.prepare_cached(DELETE)?.execute([row_id])?;
            }
            Ok(())
        })
    }

    /// The newest position of the log.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn last_change(&self) -> Result<u64, StoreError> {
        self.db.sql(last_change)
    }

    /// How many records there are, tombstones not counted, up to a position of the log and not older than a place.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn count_records(&self, up_to: u64, oldest: u64) -> Result<u64, StoreError> {
        let least = if oldest == 0 { i64::MIN } else { self.records.rank(oldest) };
        self.db.sql(|conn| {
            conn.prepare_cached(
                "SELECT count(*) FROM sync_record WHERE rank IS NOT NULL AND rank >= ?1 AND change <= ?2",
            )?
            .query_row(params![least, column(up_to)], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
        })
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
        self.db.write(BATCH, |tx, _| {
            for change in &damaged {
                tx.prepare_cached("DELETE FROM sync_record WHERE change = ?1")?.execute([column(*change)])?;
            }
            tx.execute_batch("REINDEX")
        })?;
        Ok(lost)
    }

    /// Positions of rows that were altered.
    pub(super) fn damaged_records(&self) -> Result<Vec<u64>, StoreError> {
        let (mut damaged, mut from) = (Vec::new(), 0);
        loop {
            let page = self.logged(AFTER, params![column(from), rows(STRIDE)])?;
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
    tx: &Transaction<'_>,
    old: &RecordSealer,
    new: &RecordSealer,
    rng: &mut dyn CryptoRng,
) -> rusqlite::Result<u64> {
    let (mut from, mut sealed) = (0, 0_u64);
    loop {
        let page: Vec<Row4> = tx
            .prepare_cached(AFTER)?
            .query_map(params![column(from), rows(STRIDE)], row4)?
            .collect::<Result<_, _>>()?;
        let Some(last) = page.last() else { return Ok(sealed) };
        from = last.change;
        for row in page {
            let again = old
                .open(&row.row_id, &row.sealed)
                .and_then(|opened| SealedRecord::new(new, opened.source, &opened.record, rng).ok());
            match again {
                Some(again) => {
                    let params = params![column(row.change), again.row_id, again.place, again.rank, again.sealed];
                    tx.prepare_cached(RESEAL)?.execute(params)?;
                    sealed = sealed.saturating_add(1);
                }
                None => {
                    tx.prepare_cached("DELETE FROM sync_record WHERE change = ?1")?.execute([column(row.change)])?;
                }
            }
        }
    }
}
