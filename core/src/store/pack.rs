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
/// Packs that stay open: what one screen shows lies in about as many.
const MOST_OPEN: usize = 16;

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

/// Cuts entries into packs of about the same size.
fn cut(entries: Vec<PackEntry>) -> Vec<Vec<PackEntry>> {
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.encode().len()).collect();
    let whole = sizes.iter().fold(0_usize, |sum, size| sum.saturating_add(*size));
    let share = whole.div_ceil(whole.div_ceil(PACK_BYTES).max(1));
    let (mut packs, mut pack, mut filled) = (Vec::new(), Vec::new(), 0_usize);
    for (entry, size) in entries.into_iter().zip(sizes) {
        filled = filled.saturating_add(size);
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
}

impl<'w> PackWriter<'w> {
    pub(super) fn new(sealer: &'w RecordSealer, rng: &'w mut dyn CryptoRng, seals: &'w mut u64) -> Self {
        Self { sealer, rng, seals, waiting: Vec::new() }
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
        self.waiting.push(entry);
        if self.waiting.len() >= 4 * PACK_RECORDS { self.flush(rows) } else { Ok(()) }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, rows: &mut dyn WriteRows) -> Result<(), StoreError> {
        let waiting = core::mem::take(&mut self.waiting);
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
