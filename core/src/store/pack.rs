//! Packs: stretches of the log, many records compressed and sealed as one.
//!
//! ```text
//! sealed = format 1 (1 B) | nonce (12 B, random) | AES-256-GCM( method (1 B) | entries, as they are or compressed ) | tag (16 B)
//! AAD    = format | "sync-pack" | 0x00 | number of the pack (8 B)
//! ```
//! A pack begins at the position that is its number and reaches to where the next begins. So a position finds its pack
//! without being told, and packs are joined and cut without touching an index.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use pairlight_wire::sync::SyncRecord;
use pairlight_wire::{List, Wire, record};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::rows::{ReadRows, WriteRows};
use super::seal::RecordSealer;
use super::{StoreError, compression, next_seal};

/// Encoded records in a pack, bytes: more compresses hardly better, and a single record costs the opening of a whole pack.
const PACK_BYTES: usize = 64 * 1024;
/// Most records in a pack.
const PACK_RECORDS: usize = 512;
/// Longest thing that a pack may unpack to, bytes: the records of a full pack and a longest one.
const UNPACKED_BYTES: usize = 256 * 1024;
/// Packs that stay open: the latest messages of 200 conversations that are about as busy lie in about as many.
const MOST_OPEN: usize = 64;

/// What an entry has beside its names and its content, bytes, at most: heads, numbers, a device.
const ENTRY_HEADS: usize = 64;
/// So many packs are cut at a time where many are written, so that they are of about the same size.
const WAITING_PACKS: usize = 4;

const AS_IT_IS: u8 = 0;
const COMPRESSED: u8 = 1;

record! {
    /// A record in a pack.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct PackEntry [] {
        /// Position in the log.
        pub(super) change: u64,
        /// Number of the device that it came from, 0 is this one.
        pub(super) source: u8,
        /// The record.
        pub(super) record: SyncRecord,
    }
}

record! {
    struct PackEntries [] {
        entries: List<PackEntry, PACK_RECORDS>,
    }
}

/// Seals entries as the pack of a number.
pub(super) fn seal(
    sealer: &RecordSealer,
    number: u64,
    entries: Vec<PackEntry>,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, StoreError> {
    let entries = List::new(entries).map_err(|_| StoreError::Damaged)?;
    let encoded = Zeroizing::new(PackEntries { entries }.encode());
    let packed = compression::compress(&encoded).map(Zeroizing::new).filter(|packed| packed.len() < encoded.len());
    let (method, content) = packed.as_ref().map_or((AS_IT_IS, &encoded), |packed| (COMPRESSED, packed));
    let mut plain = Zeroizing::new(Vec::with_capacity(content.len().saturating_add(1)));
    plain.push(method);
    plain.extend_from_slice(content);
    sealer.seal_pack(number, &plain, rng)
}

/// Opens a pack: its entries in the order of their positions. `None` for anything that [`seal`] did not make for this number.
pub(super) fn open(sealer: &RecordSealer, number: u64, sealed: &[u8]) -> Option<Vec<PackEntry>> {
    let plain = sealer.open_pack(number, sealed)?;
    let decoded = match plain.split_first()? {
        (&AS_IT_IS, encoded) => PackEntries::decode(encoded),
        (&COMPRESSED, packed) => PackEntries::decode(&Zeroizing::new(compression::decompress(packed, UNPACKED_BYTES)?)),
        _ => return None,
    };
    let entries = decoded.ok()?.entries.into_vec();
    let ascend = entries.is_sorted_by(|one, next| one.change < next.change);
    (ascend && entries.first().is_none_or(|first| first.change >= number)).then_some(entries)
}

/// The entry of a position.
pub(super) fn entry_at(entries: &[PackEntry], change: u64) -> Option<&PackEntry> {
    let found = entries.binary_search_by_key(&change, |entry| entry.change).ok()?;
    entries.get(found)
}

/// How many bytes an entry encodes to, at most, and some dozen less. Encoding it would copy what it says.
fn size_of(entry: &PackEntry) -> usize {
    let record = &entry.record;
    let content =
        record.content.as_ref().map(|content| [content.group.as_slice().len(), content.body.as_slice().len()]);
    let [group, body] = content.unwrap_or_default();
    [record.collection.as_str().len(), record.id.as_slice().len(), group, body]
        .into_iter()
        .fold(ENTRY_HEADS, usize::saturating_add)
}

fn size_of_all(entries: &[PackEntry]) -> usize {
    entries.iter().map(size_of).fold(0, usize::saturating_add)
}

/// Whether there is room in a pack for as much again.
pub(super) fn is_small(entries: &[PackEntry]) -> bool {
    entries.len() <= PACK_RECORDS / 2 && size_of_all(entries) <= PACK_BYTES / 2
}

/// Cuts entries into packs of about the same size.
fn cut(entries: Vec<PackEntry>) -> Vec<Vec<PackEntry>> {
    let whole = size_of_all(&entries);
    let share = whole.div_ceil(whole.div_ceil(PACK_BYTES).max(1));
    let (mut packs, mut pack, mut filled) = (Vec::new(), Vec::new(), 0_usize);
    for entry in entries {
        filled = filled.saturating_add(size_of(&entry));
        pack.push(entry);
        if filled >= share || pack.len() >= PACK_RECORDS {
            packs.push(core::mem::take(&mut pack));
            filled = 0;
        }
    }
    packs.extend((!pack.is_empty()).then_some(pack));
    packs
}

/// Writes packs one after another, and counts how often the key sealed.
pub(super) struct PackWriter<'w> {
    sealer: &'w RecordSealer,
    rng: &'w mut dyn CryptoRng,
    seals: &'w mut u64,
    waiting: Vec<PackEntry>,
    /// About how many bytes they encode to.
    waiting_bytes: usize,
}

impl<'w> PackWriter<'w> {
    pub(super) fn new(sealer: &'w RecordSealer, rng: &'w mut dyn CryptoRng, seals: &'w mut u64) -> Self {
        Self { sealer, rng, seals, waiting: Vec::new(), waiting_bytes: 0 }
    }

    pub(super) fn sealer(&self) -> &'w RecordSealer {
        self.sealer
    }

    /// Writes one pack, or deletes it when nothing is left of it.
    pub(super) fn put(
        &mut self,
        rows: &mut dyn WriteRows,
        number: u64,
        entries: Vec<PackEntry>,
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return rows.put_pack(number, None);
        }
        *self.seals = next_seal(*self.seals)?;
        rows.put_pack(number, Some(&seal(self.sealer, number, entries, self.rng)?))
    }

    /// Takes the next entry and its place in the indexes; writes when enough is there.
    pub(super) fn push(&mut self, rows: &mut dyn WriteRows, entry: PackEntry) -> Result<(), StoreError> {
        rows.put_entry(&self.sealer.entry(entry.change, &entry.record))?;
        self.waiting_bytes = self.waiting_bytes.saturating_add(size_of(&entry));
        self.waiting.push(entry);
        let full =
            self.waiting.len() >= WAITING_PACKS * PACK_RECORDS || self.waiting_bytes >= WAITING_PACKS * PACK_BYTES;
        if full { self.flush(rows) } else { Ok(()) }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, rows: &mut dyn WriteRows) -> Result<(), StoreError> {
        let waiting = core::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.put_all(rows, waiting)
    }

    /// Writes entries whose places in the indexes are known already, in as many packs as they need.
    pub(super) fn put_all(&mut self, rows: &mut dyn WriteRows, entries: Vec<PackEntry>) -> Result<(), StoreError> {
        for pack in cut(entries) {
            let Some(first) = pack.first() else { continue };
            self.put(rows, first.change, pack)?;
        }
        Ok(())
    }
}

type OpenPack = (u64, Arc<Vec<PackEntry>>);

/// The packs that were used last, opened.
#[derive(Default)]
pub(super) struct OpenPacks(RefCell<VecDeque<OpenPack>>);

impl OpenPacks {
    fn used(&self, wanted: impl Fn(&OpenPack) -> bool) -> Option<OpenPack> {
        let mut open = self.0.borrow_mut();
        let at = open.iter().position(wanted)?;
        let pack = open.remove(at)?;
        open.push_front(pack.clone());
        Some(pack)
    }

    /// A pack that was read; `None` when it does not open.
    pub(super) fn open(&self, sealer: &RecordSealer, number: u64, sealed: &[u8]) -> Option<Arc<Vec<PackEntry>>> {
        if let Some((_, entries)) = self.used(|(known, _)| *known == number) {
            return Some(entries);
        }
        let entries = Arc::new(open(sealer, number, sealed)?);
        let mut open = self.0.borrow_mut();
        open.push_front((number, Arc::clone(&entries)));
        open.truncate(MOST_OPEN);
        Some(entries)
    }

    /// The pack of a position; `None` when it is missing or does not open.
    pub(super) fn at(
        &self,
        rows: &(impl ReadRows + ?Sized),
        sealer: &RecordSealer,
        change: u64,
    ) -> Result<Option<OpenPack>, StoreError> {
        let within = |(_, entries): &OpenPack| {
            let (first, last) = (entries.first(), entries.last());
            first.is_some_and(|first| first.change <= change) && last.is_some_and(|last| change <= last.change)
        };
        if let Some(pack) = self.used(within) {
            return Ok(Some(pack));
        }
        let Some((number, sealed)) = rows.pack_at(change)? else { return Ok(None) };
        Ok(self.open(sealer, number, &sealed).map(|entries| (number, entries)))
    }

    /// Forgets packs that were written anew.
    pub(super) fn forget(&self, numbers: &[u64]) {
        self.0.borrow_mut().retain(|(number, _)| !numbers.contains(number));
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use pairlight_wire::id::DeviceId;
    use pairlight_wire::sync::Content;
    use pairlight_wire::{Bytes, Text};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::store::memory::Memory;
    use crate::store::rows::{BATCH, Rows};
    use crate::store::seal::Sealer;

    fn entry(change: u64, body: usize) -> PackEntry {
        let (group, body) = (Bytes::new(vec![3; body.min(64)]).unwrap(), Bytes::new(vec![7; body]).unwrap());
        let record = SyncRecord {
            collection: Text::truncated("message"),
            id: Bytes::new(change.to_be_bytes().to_vec()).unwrap(),
            clock: change << 20,
            device: DeviceId([3; 16]),
            content: (body.as_slice().len() != 1).then_some(Content { group, order: change, body }),
        };
        PackEntry { change, source: change.to_be_bytes()[7], record }
    }

    #[test]
    fn a_size_that_is_estimated_is_not_too_small_and_little_too_large() {
        for change in [1, 200, 70_000, u64::MAX >> 21] {
            for body in [0, 1, 20, 300, 49_152] {
                let entry = entry(change, body);
                let (said, is) = (size_of(&entry), entry.encode().len());
                assert!((is..is + 48).contains(&said), "{said} for {is}");
            }
        }
    }

    #[test]
    fn what_waits_is_written_when_it_is_much_in_number_or_in_bytes() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealer = Sealer::generate(&mut rng).record_sealer();
        for (body, count) in [(40_000, 100), (20, 5000)] {
            let (mut rows, mut seals, mut most) = (Memory::load([]).unwrap(), 0, (0, 0));
            rows.write(BATCH, &mut |rows, _| {
                let mut writer = PackWriter::new(&sealer, &mut rng, &mut seals);
                for change in 1..=count {
                    writer.push(rows, entry(change, body))?;
                    most = (most.0.max(writer.waiting.len()), most.1.max(size_of_all(&writer.waiting)));
                }
                writer.flush(rows)
            })
            .unwrap();
            assert!(most.0 < WAITING_PACKS * PACK_RECORDS && most.1 < WAITING_PACKS * PACK_BYTES, "{most:?}");
            let packs = rows.packs_from(0, usize::MAX).unwrap();
            let opened = packs.iter().flat_map(|(number, sealed)| open(&sealer, *number, sealed).unwrap());
            assert!(opened.map(|entry| entry.change).eq(1..=count));
        }
    }
}
