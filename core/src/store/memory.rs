//! Rows in memory, with a journal of what changed: for a browser, whose database answers later and not at once.
//!
//! The whole store is opened from the rows that were kept, works in memory, and says after each transaction what must be
//! kept now ([`Store::unkept`](super::Store::unkept)). Whoever drives it lets nothing leave the device before the rows that
//! it depends on are kept. The rows are the sealed ones: memory holds no more in clear than a file would.
//!
//! ```text
//! key      = 0 | name                             what the store keeps about itself
//!          = 1 | kind (1 B) | row id              a row
//!          = 2 | change (8 B)                     a record before there were packs
//!          = 3 | number (8 B)                     a pack
//!          = 4 | change (8 B)                     an entry of the indexes
//! value of 2 = row id (16 B) | 0, or 1 | place (8 B) | rank (8 B) | sealed
//!       of 4 = hash (8 B) | nothing, or place (8 B) | rank (8 B)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::last_change;
use super::rows::{Body, Entry, EntryCounts, OldRecord, Pack, Points, Ranked, ReadRows, Rows, Seen, Spot, WriteRows};
use super::seal::ROW_ID_LEN;
use super::{Probe, StoreError};

const META: u8 = 0;
const ROW: u8 = 1;
const OLD: u8 = 2;
const PACK: u8 = 3;
const ENTRY: u8 = 4;

/// A row to keep: its key, and its bytes, or `None` when it is gone.
pub type KeptRow = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Meta(String),
    Row(i64, Vec<u8>),
    Old(u64),
    Pack(u64),
    Entry(u64),
}

impl Key {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Meta(name) => [&[META], name.as_bytes()].concat(),
            Self::Row(kind, row_id) => [&[ROW, u8::try_from(*kind).unwrap_or(u8::MAX)], row_id.as_slice()].concat(),
            Self::Old(change) => [[OLD].as_slice(), &change.to_be_bytes()].concat(),
            Self::Pack(number) => [[PACK].as_slice(), &number.to_be_bytes()].concat(),
            Self::Entry(change) => [[ENTRY].as_slice(), &change.to_be_bytes()].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&META, name) => Some(Self::Meta(String::from_utf8(name.to_vec()).ok()?)),
            (&ROW, rest) => rest.split_first().map(|(kind, row_id)| Self::Row(i64::from(*kind), row_id.to_vec())),
            (&OLD, change) => Some(Self::Old(u64::from_be_bytes(change.try_into().ok()?))),
            (&PACK, number) => Some(Self::Pack(u64::from_be_bytes(number.try_into().ok()?))),
            (&ENTRY, change) => Some(Self::Entry(u64::from_be_bytes(change.try_into().ok()?))),
            _ => None,
        }
    }
}

fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut bytes = entry.hash.to_be_bytes().to_vec();
    if let Some(Spot { place, rank }) = entry.spot {
        bytes.extend_from_slice(&place.to_be_bytes());
        bytes.extend_from_slice(&rank.to_be_bytes());
    }
    bytes
}

fn decode_entry(change: u64, bytes: &[u8]) -> Option<Entry> {
    let (hash, rest) = bytes.split_first_chunk::<8>()?;
    let number = |bytes: &[u8]| Some(i64::from_be_bytes(bytes.try_into().ok()?));
    let spot = match rest.split_first_chunk::<8>() {
        Some((place, rank)) => Some(Spot { place: i64::from_be_bytes(*place), rank: number(rank)? }),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some(Entry { change, hash: i64::from_be_bytes(*hash), spot })
}

/// The row id and the sealed record: place and rank are made anew.
fn decode_old(change: u64, bytes: &[u8]) -> Option<OldRecord> {
    let (row_id, rest) = bytes.split_first_chunk::<ROW_ID_LEN>()?;
    let sealed = match rest.split_first()? {
        (0, sealed) => sealed,
        (1, rest) => rest.split_first_chunk::<16>()?.1,
        _ => return None,
    };
    Some((change, *row_id, sealed.to_vec()))
}

/// Rows in memory.
#[derive(Default)]
pub(super) struct Memory {
    meta: BTreeMap<String, Vec<u8>>,
    rows: BTreeMap<(i64, Vec<u8>), Vec<u8>>,
    old: BTreeMap<u64, Vec<u8>>,
    packs: BTreeMap<u64, Vec<u8>>,
    entries: BTreeMap<u64, Entry>,
    by_hash: BTreeSet<(i64, u64)>,
    by_place: BTreeSet<(i64, i64, u64)>,
    by_rank: BTreeSet<(i64, u64)>,
    gone: BTreeSet<u64>,
    /// What changed since it was last asked.
    journal: BTreeMap<Key, Option<Vec<u8>>>,
    /// What the running transaction changed, as it was before.
    undo: Vec<(Key, Option<Vec<u8>>)>,
}

impl Memory {
    /// From the rows that were kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for what is no row of a store.
    pub(super) fn load(kept: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, StoreError> {
        let mut memory = Self::default();
        for (key, value) in kept {
            let key = Key::decode(&key).ok_or(StoreError::Damaged)?;
            memory.set(&key, Some(value))?;
        }
        Ok(memory)
    }

    /// Whether nothing was kept.
    pub(super) fn is_empty(&self) -> bool {
        self.meta.is_empty() && self.rows.is_empty() && self.packs.is_empty() && self.old.is_empty()
    }

    /// Puts or removes a value and its place in the indexes. Gives what was there.
    fn set(&mut self, key: &Key, value: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(match (key, value) {
            (Key::Meta(name), Some(value)) => self.meta.insert(name.clone(), value),
            (Key::Meta(name), None) => self.meta.remove(name),
            (Key::Row(kind, row_id), Some(value)) => self.rows.insert((*kind, row_id.clone()), value),
            (Key::Row(kind, row_id), None) => self.rows.remove(&(*kind, row_id.clone())),
            (Key::Old(change), Some(value)) => {
                decode_old(*change, &value).ok_or(StoreError::Damaged)?;
                self.old.insert(*change, value)
            }
            (Key::Old(change), None) => self.old.remove(change),
            (Key::Pack(number), Some(value)) => self.packs.insert(*number, value),
            (Key::Pack(number), None) => self.packs.remove(number),
            (Key::Entry(change), value) => {
                let new = value.map(|bytes| decode_entry(*change, &bytes).ok_or(StoreError::Damaged)).transpose()?;
                let old = self.entries.remove(change);
                if let Some(Entry { hash, spot, .. }) = old {
                    self.by_hash.remove(&(hash, *change));
                    self.gone.remove(change);
                    if let Some(Spot { place, rank }) = spot {
                        self.by_place.remove(&(place, rank, *change));
                        self.by_rank.remove(&(rank, *change));
                    }
                }
                if let Some(entry) = new {
                    self.by_hash.insert((entry.hash, *change));
                    match entry.spot {
                        Some(Spot { place, rank }) => {
                            self.by_place.insert((place, rank, *change));
                            self.by_rank.insert((rank, *change));
                        }
                        None => drop(self.gone.insert(*change)),
                    }
                    self.entries.insert(*change, entry);
                }
                old.as_ref().map(encode_entry)
            }
        })
    }

    /// As [`Memory::set`], in a transaction.
    fn change(&mut self, key: Key, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let old = self.set(&key, value)?;
        self.undo.push((key, old));
        Ok(())
    }

    fn value(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Meta(name) => self.meta.get(name).cloned(),
            Key::Row(kind, row_id) => self.rows.get(&(*kind, row_id.clone())).cloned(),
            Key::Old(change) => self.old.get(change).cloned(),
            Key::Pack(number) => self.packs.get(number).cloned(),
            Key::Entry(change) => self.entries.get(change).map(encode_entry),
        }
    }
}

impl ReadRows for Memory {
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(name).cloned())
    }

    fn row(&self, kind: i64, row_id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&(kind, row_id.to_vec())).cloned())
    }

    fn walk(&self, kind: i64, visit: &mut dyn FnMut(Seen<'_>)) -> Result<(), StoreError> {
        let of_kind = self.rows.range((kind, Vec::new())..).take_while(|((of, _), _)| *of == kind);
        of_kind.for_each(|((_, row_id), sealed)| visit(Some((row_id, sealed))));
        Ok(())
    }

    fn row_ids(&self, kind: i64) -> Result<Vec<Vec<u8>>, StoreError> {
        let of_kind = self.rows.range((kind, Vec::new())..).take_while(|((of, _), _)| *of == kind);
        Ok(of_kind.map(|((_, row_id), _)| row_id.clone()).collect())
    }

    fn count_rows(&self) -> Result<i64, StoreError> {
        Ok(i64::try_from(self.rows.len()).unwrap_or(i64::MAX))
    }

    fn pack_at(&self, change: u64) -> Result<Option<Pack>, StoreError> {
        Ok(self.packs.range(..=change).next_back().map(|(number, sealed)| (*number, sealed.clone())))
    }

    fn packs_from(&self, number: u64, limit: usize) -> Result<Vec<Pack>, StoreError> {
        Ok(self.packs.range(number..).take(limit).map(|(number, sealed)| (*number, sealed.clone())).collect())
    }

    fn last_packs(&self, visit: &mut dyn FnMut(u64, &[u8]) -> bool) -> Result<(), StoreError> {
        let _all_seen = self.packs.iter().rev().all(|(number, sealed)| visit(*number, sealed));
        Ok(())
    }

    fn changes_of(&self, hash: i64) -> Result<Vec<u64>, StoreError> {
        Ok(self.by_hash.range((hash, 0)..=(hash, u64::MAX)).map(|(_, change)| *change).collect())
    }

    fn changes_in(&self, Spot { place, rank }: Spot, change: u64, limit: usize) -> Result<Vec<Ranked>, StoreError> {
        let before = self.by_place.range((place, i64::MIN, 0)..(place, rank, change));
        Ok(before.rev().map(|(_, rank, change)| (*rank, *change)).take(limit).collect())
    }

    fn changes_by_rank(&self, rank: i64, change: u64, least: i64, limit: usize) -> Result<Vec<Ranked>, StoreError> {
        // A range that ends before it begins is no range.
        if (least, 0) > (rank, change) {
            return Ok(Vec::new());
        }
        Ok(self.by_rank.range((least, 0)..(rank, change)).rev().copied().take(limit).collect())
    }

    fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        Ok(self.gone.range(..=up_to).copied().take(limit).collect())
    }

    fn count_records(&self, least: i64, up_to: u64) -> Result<u64, StoreError> {
        let count = self.by_rank.range((least, 0)..).filter(|(_, change)| *change <= up_to).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn has_entry(&self, entry: &Entry) -> Result<bool, StoreError> {
        Ok(self.entries.get(&entry.change) == Some(entry))
    }

    fn count_entries(&self) -> Result<EntryCounts, StoreError> {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let (hashes, gone) = (count(self.by_hash.len()), count(self.gone.len()));
        Ok(EntryCounts { hashes, places: count(self.by_place.len()), ranks: count(self.by_rank.len()), gone })
    }

    fn old_last_change(&self) -> Result<u64, StoreError> {
        last_change(self)
    }

    fn old_records(&self, change: u64, limit: usize) -> Result<Vec<OldRecord>, StoreError> {
        let Some(next) = change.checked_add(1) else { return Ok(Vec::new()) };
        Ok(self.old.range(next..).filter_map(|(change, bytes)| decode_old(*change, bytes)).take(limit).collect())
    }
}

impl WriteRows for Memory {
    fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.change(Key::Meta(name.to_owned()), Some(value.to_vec()))
    }

    fn put_row(&mut self, kind: i64, row_id: &[u8], sealed: Option<&[u8]>) -> Result<(), StoreError> {
        self.change(Key::Row(kind, row_id.to_vec()), sealed.map(<[u8]>::to_vec))
    }

    fn put_pack(&mut self, number: u64, sealed: Option<&[u8]>) -> Result<(), StoreError> {
        self.change(Key::Pack(number), sealed.map(<[u8]>::to_vec))
    }

    fn put_entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.change(Key::Entry(entry.change), Some(encode_entry(entry)))
    }

    fn delete_entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.change(Key::Entry(entry.change), None)
    }

    fn sort_in(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn delete_entries(&mut self) -> Result<(), StoreError> {
        let keys: Vec<Key> = self.entries.keys().map(|change| Key::Entry(*change)).collect();
        keys.into_iter().try_for_each(|key| self.change(key, None))
    }

    fn delete_old(&mut self) -> Result<(), StoreError> {
        let keys: Vec<Key> = self.old.keys().map(|change| Key::Old(*change)).collect();
        keys.into_iter().try_for_each(|key| self.change(key, None))
    }

    fn delete_all(&mut self) -> Result<(), StoreError> {
        let rows = self.rows.keys().map(|(kind, row_id)| Key::Row(*kind, row_id.clone()));
        let keys: Vec<Key> = rows.chain(self.packs.keys().map(|number| Key::Pack(*number))).collect();
        keys.into_iter().try_for_each(|key| self.change(key, None))?;
        self.delete_entries()
    }
}

impl Rows for Memory {
    fn read(&self, look: &mut dyn FnMut(&dyn ReadRows) -> Result<(), StoreError>) -> Result<(), StoreError> {
        look(self)
    }

    fn write(&mut self, [begun, written, committed]: Points, body: &mut Body<'_>) -> Result<(), StoreError> {
        let mut probe = Probe::default();
        probe.pass(begun);
        if let Err(error) = body(self, &mut probe) {
            while let Some((key, old)) = self.undo.pop() {
                self.set(&key, old)?;
            }
            return Err(error);
        }
        probe.pass(written);
        for (key, _) in std::mem::take(&mut self.undo) {
            let value = self.value(&key);
            self.journal.insert(key, value);
        }
        probe.pass(committed);
        Ok(())
    }

    fn scrub(&mut self) -> Result<(), StoreError> {
        // What a browser's database leaves on the disk is out of reach.
        Ok(())
    }

    fn tend(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn is_sound(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn unkept(&mut self) -> Vec<KeptRow> {
        std::mem::take(&mut self.journal).into_iter().map(|(key, value)| (key.encode(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use pairlight_wire::id::DeviceId;
    use pairlight_wire::sync::{Content, SyncRecord};
    use pairlight_wire::{Bytes, Text};
    use rand_chacha::ChaCha20Rng;
    use rand_core::{CryptoRng, Rng, SeedableRng};

    use super::*;
    use crate::store::{Batch, Cursor, KeyFile, Store, Table};

    type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

    fn rng(seed: u64) -> Box<dyn CryptoRng + Send> {
        Box::new(ChaCha20Rng::seed_from_u64(seed))
    }

    fn keep(disk: &mut Disk, store: &mut Store) {
        for (key, value) in store.unkept() {
            match value {
                Some(value) => drop(disk.insert(key, value)),
                None => drop(disk.remove(&key)),
            }
        }
    }

    fn record(random: u64, clock: u64) -> SyncRecord {
        let content = Content {
            group: Bytes::new(vec![(random >> 8) as u8 % 3]).unwrap(),
            order: (random >> 16) % 20,
            body: Bytes::new(random.to_be_bytes().to_vec()).unwrap(),
        };
        SyncRecord {
            collection: Text::truncated("message"),
            id: Bytes::new(vec![random as u8 % 40]).unwrap(),
            clock,
            device: DeviceId([1; 16]),
            content: (!random.is_multiple_of(5)).then_some(content),
        }
    }

    /// Everything that a store says, asked in every way.
    fn all(store: &Store) -> String {
        let mut said = String::new();
        for table in [Table::Link, Table::Checkpoint] {
            for row in store.list(table).unwrap() {
                let row = row.unwrap();
                said += &format!("{table} {:?} {:?}\n", row.id, row.value);
            }
        }
        let last = store.last_change().unwrap();
        said += &format!("{last} {}\n", store.count_records(last, 5).unwrap());
        for from in [0, last / 2, last] {
            said += &format!("{:?}\n", store.records_after(from, 7).unwrap());
            said += &format!("{:?}\n", store.tombstones(from, 3).unwrap());
            let before = Cursor { order: from % 20, change: from };
            for before in [Cursor::NEWEST, before] {
                said += &format!("{:?}\n", store.records_by_order(before, 3, 9).unwrap());
                said += &format!("{:?}\n", store.records_in("message", &[1], before, 4).unwrap());
            }
        }
        said
    }

    #[test]
    fn memory_and_sqlite_say_the_same_whatever_is_done_and_after_every_restart() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::create(&folder.path().join("key"), rng(1)).unwrap();
        let mut file = Store::open(&folder.path().join("store.db"), &key, rng(2)).unwrap();
        let mut disk = Disk::new();
        let mut memory = Store::from_kept(disk.clone(), &key, rng(3)).unwrap();
        let mut random = ChaCha20Rng::seed_from_u64(4);
        for step in 1..400_u64 {
            let mut batch = Batch::new();
            for _ in 0..random.next_u64() % 6 {
                let id = [random.next_u64() as u8 % 10];
                match random.next_u64() % 4 {
                    0 => drop(batch.put(Table::Link, &id, &step.to_be_bytes())),
                    1 => drop(batch.delete(Table::Checkpoint, &id)),
                    2 => drop(batch.put(Table::Checkpoint, &id, b"")),
                    _ => drop(batch.merge(id[0], record(random.next_u64(), step + random.next_u64() % 3))),
                }
            }
            assert_eq!(file.commit_merging(&batch).unwrap(), memory.commit_merging(&batch).unwrap());
            if step % 17 == 0 {
                let gone: Vec<_> = file.tombstones(u64::MAX, 5).unwrap();
                let gone = gone.iter().map(|gone| &gone.record);
                let seen = gone.map(|gone| (gone.collection.as_str(), gone.id.as_slice(), gone.clock));
                file.drop_tombstones(seen.clone()).unwrap();
                memory.drop_tombstones(seen).unwrap();
            }
            if step % 23 == 0 {
                file.rekey(&key).unwrap();
                memory.rekey(&key).unwrap();
            }
            keep(&mut disk, &mut memory);
            if step % 29 == 0 {
                drop(memory);
                memory = Store::from_kept(disk.clone(), &key, rng(step + 10)).unwrap();
            }
            assert_eq!(all(&file), all(&memory), "after step {step}");
        }
        memory.integrity_check().unwrap();
        assert!(file.unkept().is_empty());
        memory.wipe().unwrap();
        keep(&mut disk, &mut memory);
        // What the store knows of itself stays; the positions of the log are not used again.
        assert!(disk.keys().all(|key| key[0] == META));
        let again = Store::from_kept(disk, &key, rng(5)).unwrap();
        assert_eq!(again.last_change().unwrap(), file.last_change().unwrap());
    }

    #[test]
    fn a_batch_that_fails_changes_nothing_and_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::create(&folder.path().join("key"), rng(1)).unwrap();
        let mut store = Store::from_kept([], &key, rng(2)).unwrap();
        store.put(Table::Link, b"peer", b"1").unwrap();
        store.unkept();
        let failed = store.rows.write(crate::store::BATCH, &mut |rows, _| {
            rows.delete_all()?;
            rows.put_row(5, &[7; ROW_ID_LEN], Some(b"new"))?;
            Err(StoreError::Damaged)
        });
        assert!(matches!(failed, Err(StoreError::Damaged)));
        assert!(store.unkept().is_empty());
        assert_eq!(**store.get(Table::Link, b"peer").unwrap().unwrap(), *b"1");
    }

    #[test]
    fn rows_that_are_none_are_refused_and_another_key_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::create(&folder.path().join("key"), rng(1)).unwrap();
        let other = KeyFile::create(&folder.path().join("other"), rng(2)).unwrap();
        let mut store = Store::from_kept([], &key, rng(3)).unwrap();
        let mut disk = Disk::new();
        keep(&mut disk, &mut store);
        assert!(matches!(Store::from_kept(disk.clone(), &other, rng(4)), Err(StoreError::Key(_))));
        for bad in [vec![], vec![9], vec![OLD, 1], vec![PACK, 1], vec![ENTRY], vec![META, 0xff]] {
            let mut hurt = disk.clone();
            hurt.insert(bad, vec![1]);
            assert!(matches!(Store::from_kept(hurt, &key, rng(5)), Err(StoreError::Damaged)));
        }
    }
}
