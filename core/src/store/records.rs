//! Records that are kept in step with other devices: merged by version, listed by group and by the order in which they
//! were learned, sealed in packs.
//!
//! What the file shows without its key: how many records there are and roughly how long, which share a group, and the
//! distances between their places in time (not the places themselves).

use pairlight_wire::sync::SyncRecord;

use super::ledger::{self, Ledger, last_change};
use super::pack::{self, PackEntry, PackWriter, entry_at};
use super::rows::{BATCH, EntryCounts, Ranked, ReadRows, Spot};
use super::{SEAL_COUNT, Store, StoreError};

/// Records read at a time by what goes through all of them.
const STRIDE: usize = 512;
/// Packs read at a time.
const PACKS: usize = 4;

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

impl LoggedRecord {
    fn of(entry: &PackEntry) -> Self {
        Self { change: entry.change, source: entry.source, record: entry.record.clone() }
    }
}

impl Store {
    fn logged<T>(&self, look: impl FnOnce(&dyn ReadRows) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check_key()?;
        self.rows.look(look)
    }

    /// The records at positions, in the same order. What does not open is left out, [`Store::repair_records`] finds it.
    fn records_at(&self, rows: &dyn ReadRows, changes: &[u64]) -> Result<Vec<LoggedRecord>, StoreError> {
        // In the order of the log first, so that every pack is opened once however mixed they lie.
        let mut found: Vec<(usize, u64)> = changes.iter().copied().enumerate().collect();
        found.sort_unstable_by_key(|(_, change)| *change);
        let mut records = Vec::with_capacity(found.len());
        for (index, change) in found {
            let pack = self.open.at(rows, &self.records, change)?;
            let entry = pack.as_ref().and_then(|(_, entries)| entry_at(entries, change));
            records.extend(entry.map(|entry| (index, LoggedRecord::of(entry))));
        }
        records.sort_unstable_by_key(|(index, _)| *index);
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// Goes on with `page` until `limit` records are found that `wanted` takes, or there are no more.
    fn listed(
        &self,
        rows: &dyn ReadRows,
        mut from: Ranked,
        limit: usize,
        page: impl Fn(Ranked, usize) -> Result<Vec<Ranked>, StoreError>,
        wanted: impl Fn(&LoggedRecord) -> bool,
    ) -> Result<Vec<LoggedRecord>, StoreError> {
        let mut found = Vec::new();
        loop {
            let room = limit.saturating_sub(found.len());
            let ranked = page(from, room)?;
            let changes: Vec<u64> = ranked.iter().map(|(_, change)| *change).collect();
            found.extend(self.records_at(rows, &changes)?.into_iter().filter(&wanted));
            match ranked.last() {
                Some(last) if ranked.len() >= room && found.len() < limit => from = *last,
                _ => return Ok(found),
            }
        }
    }

    /// The present version of a record, a tombstone included.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read. A damaged record counts as absent.
    pub fn record(&self, collection: &str, id: &[u8]) -> Result<Option<LoggedRecord>, StoreError> {
        let hash = self.records.hash(collection, id);
        let found = self.logged(|rows| self.records_at(rows, &rows.changes_of(hash)?))?;
        let is_it = |logged: &LoggedRecord| {
            logged.record.collection.as_str() == collection && logged.record.id.as_slice() == id
        };
        Ok(found.into_iter().find(is_it))
    }

    /// What this device learned after a position of its log, oldest first, at most `limit`; and the position up to which
    /// that is everything.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_after(&self, change: u64, limit: usize) -> Result<(Vec<LoggedRecord>, u64), StoreError> {
        self.logged(|rows| {
            let last = last_change(rows)?;
            let mut found = Vec::new();
            if change >= last {
                return Ok((found, change));
            }
            let mut from = rows.pack_at(change.saturating_add(1))?.map_or(0, |(number, _)| number);
            loop {
                let packs = rows.packs_from(from, PACKS)?;
                if packs.is_empty() {
                    return Ok((found, last));
                }
                for (number, sealed) in packs {
                    from = number.saturating_add(1);
                    let entries = self.open.open(&self.records, number, &sealed).unwrap_or_default();
                    for entry in entries.iter().filter(|entry| entry.change > change) {
                        found.push(LoggedRecord::of(entry));
                        if found.len() >= limit {
                            return Ok((found, entry.change));
                        }
                    }
                }
            }
        })
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
        // Two groups may share a hash.
        let of_group = |logged: &LoggedRecord| {
            logged.record.collection.as_str() == collection
                && logged.record.content.as_ref().is_some_and(|content| content.group.as_slice() == group)
        };
        let from = (self.records.rank(before.order), before.change);
        self.logged(|rows| {
            let page = |(rank, change), limit| rows.changes_in(Spot { place, rank }, change, limit);
            self.listed(rows, from, limit, page, of_group)
        })
    }

    /// Records of all groups older than `before` and not older than `oldest`, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_by_order(&self, before: Cursor, oldest: u64, limit: usize) -> Result<Vec<LoggedRecord>, StoreError> {
        let (from, least) = ((self.records.rank(before.order), before.change), self.records.rank(oldest));
        self.logged(|rows| {
            let page = |(rank, change), limit| rows.changes_by_rank(rank, change, least, limit);
            self.listed(rows, from, limit, page, |_| true)
        })
    }

    /// Tombstones up to a position of the log, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<LoggedRecord>, StoreError> {
        self.logged(|rows| self.records_at(rows, &rows.tombstones(up_to, limit)?))
    }

    /// Drops tombstones that are still the version that was seen; a later version stays.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn drop_tombstones<'a>(
        &mut self,
        seen: impl IntoIterator<Item = (&'a str, &'a [u8], u64)>,
    ) -> Result<(), StoreError> {
        self.check_key()?;
        let seen: Vec<_> = seen.into_iter().collect();
        if seen.is_empty() {
            return Ok(());
        }
        self.write_records(|ledger| {
            seen.iter().try_for_each(|(collection, id, clock)| {
                ledger.take_out(collection, id, |known| known.content.is_none() && known.clock <= *clock)
            })
        })
    }

    fn write_records(&mut self, work: impl Fn(&mut Ledger<'_>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (sealer, open, rng) = (&self.records, &self.open, &mut self.rng);
        let (mut seals, mut stale) = (self.seals, Vec::new());
        let outcome = self.rows.write(BATCH, &mut |rows, _| {
            let mut ledger = Ledger::begin(rows, sealer, open)?;
            work(&mut ledger)?;
            (_, stale) = ledger.finish(&mut PackWriter::new(sealer, &mut **rng, &mut seals))?;
            rows.put_meta(SEAL_COUNT, &seals.to_be_bytes())
        });
        self.open.forget(&stale);
        outcome?;
        self.seals = seals;
        Ok(())
    }

    /// The newest position of the log.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn last_change(&self) -> Result<u64, StoreError> {
        self.rows.look(|rows| last_change(rows))
    }

    /// How many records there are, tombstones not counted, up to a position of the log and not older than a place.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn count_records(&self, up_to: u64, oldest: u64) -> Result<u64, StoreError> {
        let least = if oldest == 0 { i64::MIN } else { self.records.rank(oldest) };
        self.rows.look(|rows| {
            let all = up_to == u64::MAX || up_to >= last_change(rows)?;
            rows.count_records(least, if all { u64::MAX } else { up_to })
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

    /// Deletes packs that do not open, and builds the indexes anew from the others; of two versions of one record the higher
    /// stays. Gives how many records were lost; other devices still have them.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn repair_records(&mut self) -> Result<u64, StoreError> {
        self.check_key()?;
        if self.records_are_sound()? {
            return Ok(0);
        }
        self.open.clear();
        let (sealer, open, rng) = (&self.records, &self.open, &mut self.rng);
        let (mut seals, mut lost) = (self.seals, 0);
        let outcome = self.rows.write(BATCH, &mut |rows, _| {
            lost = ledger::rebuild(rows, sealer, open, &mut PackWriter::new(sealer, &mut **rng, &mut seals))?;
            rows.put_meta(SEAL_COUNT, &seals.to_be_bytes())
        });
        self.open.clear();
        outcome?;
        self.seals = seals;
        Ok(lost)
    }

    /// Whether every pack opens, and the indexes say of its records what they should, and nothing else.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn records_are_sound(&self) -> Result<bool, StoreError> {
        self.check_key()?;
        self.rows.look(|rows| {
            let (mut counts, mut from, mut last) = (EntryCounts::default(), 0, 0);
            loop {
                let packs = rows.packs_from(from, PACKS)?;
                if packs.is_empty() {
                    let given = match last_change(rows) {
                        Err(StoreError::Damaged) => return Ok(false),
                        given => given?,
                    };
                    return Ok(counts == rows.count_entries()? && last <= given);
                }
                for (number, sealed) in packs {
                    from = number.saturating_add(1);
                    let Some(entries) = pack::open(&self.records, number, &sealed) else { return Ok(false) };
                    for PackEntry { change, record, .. } in entries {
                        if change <= last || !rows.has_entry(&self.records.entry(change, &record))? {
                            return Ok(false);
                        }
                        last = change;
                        let listed = u64::from(record.content.is_some());
                        counts.hashes = counts.hashes.saturating_add(1);
                        counts.places = counts.places.saturating_add(listed);
                        counts.ranks = counts.ranks.saturating_add(listed);
                        counts.gone = counts.gone.saturating_add(listed ^ 1);
                    }
                }
            }
        })
    }
}
