//! The log of records inside one transaction: merges, and how packs change by them.

use std::collections::BTreeMap;

use pairlight_wire::sync::SyncRecord;

use super::StoreError;
use super::batch::{Merge, Rule};
use super::pack::{self, OpenPacks, PackEntry, PackWriter, entry_at};
use super::rows::{Entry, ReadRows, WriteRows};
use super::seal::RecordSealer;

/// Name of the newest position of the log: its records may be gone, and a position is never used twice.
pub(super) const LAST_CHANGE: &str = "last-change";
/// Whenever so many positions were given, the small packs at the end of the log are joined.
const JOIN_EVERY: u64 = 128;
/// Whenever so many positions were given, the index by hash is put in order. Each time it is written anew as a whole, and
/// what waits for it is looked through at every write.
const SORT_EVERY: u64 = 1 << 15;
/// A sealed pack shorter than this may be small, bytes.
const SMALL_BYTES: usize = 8 * 1024;

/// The newest position of the log that was ever given.
pub(super) fn last_change(rows: &(impl ReadRows + ?Sized)) -> Result<u64, StoreError> {
    let Some(bytes) = rows.meta(LAST_CHANGE)? else { return Ok(0) };
    bytes.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Damaged)
}

/// The log while it is written.
pub(super) struct Ledger<'t> {
    rows: &'t mut dyn WriteRows,
    sealer: &'t RecordSealer,
    open: &'t OpenPacks,
    /// Newest position before this transaction.
    before: u64,
    last: u64,
    fresh: Vec<PackEntry>,
    /// Packs of which something was taken, by their numbers, with what is left.
    changed: BTreeMap<u64, Vec<PackEntry>>,
}

impl<'t> Ledger<'t> {
    pub(super) fn begin(
        rows: &'t mut dyn WriteRows,
        sealer: &'t RecordSealer,
        open: &'t OpenPacks,
    ) -> Result<Self, StoreError> {
        let last = last_change(&*rows)?;
        Ok(Self { rows, sealer, open, before: last, last, fresh: Vec::new(), changed: BTreeMap::new() })
    }

    fn entry(&self, change: u64) -> Result<Option<PackEntry>, StoreError> {
        if change > self.before {
            return Ok(entry_at(&self.fresh, change).cloned());
        }
        let Some((number, entries)) = self.open.at(&*self.rows, self.sealer, change)? else { return Ok(None) };
        Ok(entry_at(self.changed.get(&number).unwrap_or(&entries), change).cloned())
    }

    /// The entry of a record, and positions with its hash that cannot be read.
    fn known(&self, collection: &str, id: &[u8]) -> Result<(Option<PackEntry>, Vec<u64>), StoreError> {
        let (mut known, mut unreadable) = (None, Vec::new());
        for change in self.rows.changes_of(self.sealer.hash(collection, id))? {
            match self.entry(change)? {
                // Another record may have the same hash.
                Some(entry) if entry.record.collection.as_str() == collection && entry.record.id.as_slice() == id => {
                    known = Some(entry);
                }
                Some(_) => {}
                None => unreadable.push(change),
            }
        }
        Ok((known, unreadable))
    }

    fn remove(&mut self, entry: &PackEntry) -> Result<(), StoreError> {
        self.rows.delete_entry(&self.sealer.entry(entry.change, &entry.record))?;
        if entry.change > self.before {
            self.fresh.retain(|fresh| fresh.change != entry.change);
        } else if let Some((number, entries)) = self.open.at(&*self.rows, self.sealer, entry.change)? {
            self.take(number, &entries, entry.change);
        }
        Ok(())
    }

    /// Takes a position from its pack.
    fn take(&mut self, number: u64, entries: &[PackEntry], change: u64) {
        let left = self.changed.entry(number).or_insert_with(|| entries.to_vec());
        left.retain(|left| left.change != change);
    }

    /// Puts an entry of a pack into the indexes, unless a higher version of its record is in them; a lower one is taken out.
    /// Tells whether there is one more.
    fn restore(&mut self, entry: &PackEntry) -> Result<bool, StoreError> {
        let (known, _) = self.known(entry.record.collection.as_str(), entry.record.id.as_slice())?;
        if let Some(known) = &known {
            let superseded = entry.record.supersedes(&known.record);
            self.remove(if superseded { known } else { entry })?;
            if !superseded {
                return Ok(false);
            }
        }
        self.rows.put_entry(&self.sealer.entry(entry.change, &entry.record))?;
        Ok(known.is_none())
    }

    /// Writes the record at the next position unless a higher version is there; tells whether it stands now.
    pub(super) fn merge(&mut self, merge: &Merge) -> Result<bool, StoreError> {
        let Merge { source, record, rule } = merge;
        let (known, unreadable) = self.known(record.collection.as_str(), record.id.as_slice())?;
        if let Some(known) = known {
            if *rule != Rule::Always && !record.supersedes(&known.record) {
                if *rule == Rule::HigherOrBack && known.record.device == record.device && known.record != *record {
                    self.remove(&known)?;
                    self.put(0, &known.record, unreadable)?;
                }
                return Ok(false);
            }
            self.remove(&known)?;
        }
        self.put(*source, record, unreadable)?;
        Ok(true)
    }

    /// Writes a record at the next position.
    fn put(&mut self, source: u8, record: &SyncRecord, unreadable: Vec<u64>) -> Result<(), StoreError> {
        let change = self.last.saturating_add(1);
        let entry = self.sealer.entry(change, record);
        for change in unreadable {
            // A healthy copy of the record takes its place in the indexes.
            self.rows.delete_entry(&Entry { change, ..entry })?;
        }
        self.rows.put_entry(&entry)?;
        self.fresh.push(PackEntry { change, source, record: record.clone() });
        self.last = change;
        Ok(())
    }

    /// Takes a record out if `doomed` says so of it.
    pub(super) fn take_out(
        &mut self,
        collection: &str,
        id: &[u8],
        doomed: impl FnOnce(&SyncRecord) -> bool,
    ) -> Result<(), StoreError> {
        match self.known(collection, id)?.0 {
            Some(known) if doomed(&known.record) => self.remove(&known),
            _ => Ok(()),
        }
    }

    /// Writes the packs. Gives the newest position, and the numbers of packs that are not what they were.
    pub(super) fn finish(self, writer: &mut PackWriter<'_>) -> Result<(u64, Vec<u64>), StoreError> {
        let Self { rows, sealer, before, last, fresh, changed, .. } = self;
        let mut stale: Vec<u64> = changed.keys().copied().collect();
        for (number, entries) in changed {
            writer.put(rows, number, entries)?;
        }
        writer.put_all(rows, fresh)?;
        if last.checked_div(JOIN_EVERY) > before.checked_div(JOIN_EVERY) {
            stale.append(&mut join_small(rows, sealer, writer)?);
        }
        if last.checked_div(SORT_EVERY) > before.checked_div(SORT_EVERY) {
            rows.sort_in()?;
        }
        if last > before {
            rows.put_meta(LAST_CHANGE, &last.to_be_bytes())?;
        }
        Ok((last, stale))
    }
}

/// Joins the small packs at the end of the log, which single messages leave. However well they compress, what is half full
/// is left alone: so a record is written anew a few times and not at every join.
fn join_small(
    rows: &mut dyn WriteRows,
    sealer: &RecordSealer,
    writer: &mut PackWriter<'_>,
) -> Result<Vec<u64>, StoreError> {
    let mut small = Vec::new();
    rows.last_packs(&mut |number, sealed| {
        let opened = if sealed.len() < SMALL_BYTES { pack::open(sealer, number, sealed) } else { None };
        small.extend(opened.filter(|entries| pack::is_small(entries)).map(|entries| (number, entries)));
        small.last().is_some_and(|(last, _)| *last == number)
    })?;
    if small.len() < 2 {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for (number, opened) in small.iter_mut().rev() {
        rows.put_pack(*number, None)?;
        entries.append(opened);
    }
    writer.put_all(rows, entries)?;
    Ok(small.into_iter().map(|(number, _)| number).collect())
}

/// Deletes packs that do not open, and builds the indexes and the newest position anew from the others, inside the caller's
/// transaction. Gives how many records were lost.
pub(super) fn rebuild(
    rows: &mut dyn WriteRows,
    sealer: &RecordSealer,
    open: &OpenPacks,
    writer: &mut PackWriter<'_>,
) -> Result<u64, StoreError> {
    let (known, mut kept, mut broken) = (rows.count_entries()?.hashes, 0_u64, 0_u64);
    rows.delete_entries()?;
    let mut given = match last_change(&*rows) {
        Err(StoreError::Damaged) => 0,
        given => given?,
    };
    let mut strays = Vec::new();
    // Every position is one from before this transaction.
    let (before, fresh, changed) = (u64::MAX, Vec::new(), BTreeMap::new());
    let mut ledger = Ledger { rows: &mut *rows, sealer, open, before, last: before, fresh, changed };
    let mut next = ledger.rows.packs_from(0, 1)?.pop();
    while let Some((number, sealed)) = next {
        next = ledger.rows.packs_from(number.saturating_add(1), 1)?.pop();
        given = given.max(number);
        let Some(entries) = open.open(sealer, number, &sealed) else {
            ledger.rows.put_pack(number, None)?;
            broken = broken.saturating_add(1);
            continue;
        };
        for entry in entries.iter() {
            given = given.max(entry.change);
            if next.as_ref().is_some_and(|(end, _)| entry.change >= *end) {
                // A position that was given twice finds the later pack alone.
                ledger.take(number, &entries, entry.change);
                strays.push(Merge { source: entry.source, record: entry.record.clone(), rule: Rule::Higher });
            } else if ledger.restore(entry)? {
                kept = kept.saturating_add(1);
            }
        }
    }
    ledger.rows.put_meta(LAST_CHANGE, &given.to_be_bytes())?;
    ledger.finish(writer)?;
    open.clear();
    let mut ledger = Ledger::begin(rows, sealer, open)?;
    for stray in &strays {
        kept = kept.saturating_add(u64::from(ledger.merge(stray)?));
    }
    ledger.finish(writer)?;
    rows.sort_in()?;
    // Each broken pack held a record at least, whatever the indexes knew of it.
    Ok(known.saturating_sub(kept).max(broken))
}

/// Seals every pack anew for another data key, inside the caller's transaction. All of them open.
pub(super) fn reseal(
    rows: &mut dyn WriteRows,
    old: &RecordSealer,
    writer: &mut PackWriter<'_>,
) -> Result<(), StoreError> {
    rows.delete_entries()?;
    let mut from = 0;
    loop {
        let packs = rows.packs_from(from, 8)?;
        if packs.is_empty() {
            rows.sort_in()?;
            return writer.flush(rows);
        }
        for (number, sealed) in packs {
            rows.put_pack(number, None)?;
            let entries = pack::open(old, number, &sealed).ok_or(StoreError::Damaged)?;
            // What is written anew lies before the end of what was read.
            from = entries.last().map_or(number, |last| last.change).saturating_add(1);
            entries.into_iter().try_for_each(|entry| writer.push(rows, entry))?;
        }
    }
}

/// Moves the records of a format before packs into packs, inside the caller's transaction. A record that does not open
/// becomes a pack that does not: the repair finds it.
pub(super) fn move_old(rows: &mut dyn WriteRows, writer: &mut PackWriter<'_>) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let page = rows.old_records(from, 512)?;
        if page.is_empty() {
            break;
        }
        for (change, row_id, sealed) in page {
            from = change;
            match writer.sealer().open_old(&row_id, &sealed) {
                Some((source, record)) => writer.push(rows, PackEntry { change, source, record })?,
                None => {
                    writer.flush(rows)?;
                    rows.put_pack(change, Some(&sealed))?;
                }
            }
        }
    }
    writer.flush(rows)?;
    let last = rows.old_last_change()?;
    rows.put_meta(LAST_CHANGE, &last.to_be_bytes())?;
    rows.sort_in()?;
    rows.delete_old()
}
