//! From a record to the bytes on the disk and back: which key, which nonce, which associated data.
//!
//! ```text
//! data key --HKDF("pairlight/v1/at-rest" | table)-----------> AES-256-GCM key of the table
//!          --HKDF("pairlight/v1/at-rest" | "row-id/" table)-> HMAC key of the table
//! row id   = HMAC-SHA256(id)[..16]
//! sealed   = format 1 (1 B) | nonce (12 B, random) | AES-256-GCM( length of id (1 B) | id | value ) | tag (16 B)
//! AAD      = format | table name | 0x00 | row id
//! ```
//! A row that is moved to another table or id therefore does not open. Not covered: deleting a row or putting back an older version of it.

use pairlight_wire::Wire;
use pairlight_wire::sync::SyncRecord;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::key_wrap::KEY_LEN;
use super::rows::{Entry, Spot};
use super::{Record, StoreError, Table};
use crate::crypto::aead::RecordKey;
use crate::crypto::kdf::{KdfLabel, derive, hmac_sha256};

/// First byte of every sealed record.
const FORMAT: u8 = 1;
/// Length of the keyed hash that stands for an id, bytes: 2^64 rows until two are likely to meet.
pub(super) const ROW_ID_LEN: usize = 16;
/// Longest id, bytes.
pub const MAX_ID_LEN: usize = 255;
/// Longest value, bytes. Bulk data (history, attachments) lives in files, not here.
pub const MAX_VALUE_LEN: usize = 8 << 20;
#[cfg(not(target_arch = "wasm32"))]
/// Longest thing in any column; SQLite refuses to read more, so a hostile file cannot make us allocate without bound.
pub(super) const MAX_SEALED_LEN: i32 = (8 << 20) + 512;

/// Stands in the place of a table name for packs of records that are kept in step.
const PACKS: &str = "sync-pack";
/// The same in formats before packs, where each record was sealed alone.
const RECORDS: &str = "sync-record";
/// Stands in the place of a table name for what the store keeps about itself. No table has this name.
const META: &str = "meta";
const KEY_CHECK: &[u8] = b"pairlight store";

/// Holds the data key and derives what each table needs from it.
pub(super) struct Sealer {
    dek: Zeroizing<[u8; KEY_LEN]>,
}

impl Sealer {
    pub(super) fn new(dek: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self { dek }
    }

    pub(super) fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut dek = Zeroizing::new([0; KEY_LEN]);
        rng.fill_bytes(dek.as_mut_slice());
        Self { dek }
    }

    pub(super) fn dek(&self) -> &[u8; KEY_LEN] {
        &self.dek
    }

    /// What stands in the file in the place of an id.
    pub(super) fn row_id(&self, table: Table, id: &[u8]) -> [u8; ROW_ID_LEN] {
        // No table is named "row-id/..", so this key is never one that seals.
        let key = derive(&[], self.dek.as_slice(), KdfLabel::AtRest, format!("row-id/{table}").as_bytes());
        let [row_id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hmac_sha256(&key, &[id]);
        row_id
    }

    pub(super) fn seal(
        &self,
        table: Table,
        id: &[u8],
        value: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<([u8; ROW_ID_LEN], Vec<u8>), StoreError> {
        check_len("id", id.len(), MAX_ID_LEN)?;
        check_len("value", value.len(), MAX_VALUE_LEN)?;
        let Ok(id_len) = u8::try_from(id.len()) else { return Err(StoreError::Damaged) };
        // Full size from the start: a growing buffer would leave copies of the plaintext behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(id.len().saturating_add(value.len()).saturating_add(1)));
        plain.push(id_len);
        plain.extend_from_slice(id);
        plain.extend_from_slice(value);
        let row_id = self.row_id(table, id);
        let body = self
            .key(table.name())
            .seal(&mut &mut *rng, &associated_data(table.name(), &row_id), &plain)
            .map_err(|_| StoreError::Damaged)?;
        let mut sealed = Vec::with_capacity(body.len().saturating_add(1));
        sealed.push(FORMAT);
        sealed.extend(body);
        Ok((row_id, sealed))
    }

    /// # Errors
    /// [`StoreError::Corrupt`] for anything that `seal` did not make for this very table and row.
    pub(super) fn open(&self, table: Table, row_id: &[u8], sealed: &[u8]) -> Result<Record, StoreError> {
        let corrupt = || StoreError::Corrupt { table };
        let Some((&FORMAT, body)) = sealed.split_first() else { return Err(corrupt()) };
        let plain = self.key(table.name()).open(&associated_data(table.name(), row_id), body);
        let plain = Zeroizing::new(plain.map_err(|_| corrupt())?);
        let (id_len, rest) = plain.split_first().ok_or_else(corrupt)?;
        let (id, value) = rest.split_at_checked(usize::from(*id_len)).ok_or_else(corrupt)?;
        Ok(Record { id: Zeroizing::new(id.to_vec()), value: Zeroizing::new(value.to_vec()) })
    }

    /// The keys for the records that are kept in step: derived once, used for each of many rows.
    pub(super) fn record_sealer(&self) -> RecordSealer {
        let key = |label: &str| derive(&[], self.dek.as_slice(), KdfLabel::AtRest, label.as_bytes());
        let offset: [u8; 8] = *derive(&[], self.dek.as_slice(), KdfLabel::AtRest, b"rank/sync-record");
        RecordSealer {
            seal: self.key(PACKS),
            old: self.key(RECORDS),
            row: key("row-id/sync-record"),
            place: key("place/sync-record"),
            // Below 2^46: hides a time in ms, leaves it 6 bytes in the file, and keeps the largest order in a column.
            offset: u64::from_be_bytes(offset) >> 18,
        }
    }

    /// A sealed constant that tells a wrong data key from a damaged row.
    pub(super) fn seal_key_check(&self, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, StoreError> {
        self.key(META).seal(&mut &mut *rng, &associated_data(META, &[]), KEY_CHECK).map_err(|_| StoreError::Damaged)
    }

    pub(super) fn passes_key_check(&self, sealed: &[u8]) -> bool {
        self.key(META).open(&associated_data(META, &[]), sealed).is_ok_and(|plain| plain == KEY_CHECK)
    }

    fn key(&self, name: &str) -> RecordKey {
        RecordKey::new(*derive(&[], self.dek.as_slice(), KdfLabel::AtRest, name.as_bytes()))
    }
}

/// Seals records that are kept in step and finds them again.
pub(super) struct RecordSealer {
    seal: RecordKey,
    old: RecordKey,
    row: Zeroizing<[u8; KEY_LEN]>,
    place: Zeroizing<[u8; KEY_LEN]>,
    offset: u64,
}

/// 47 bits of a keyed hash of two names: 6 bytes in the file. Where two meet, what they stand for is compared.
fn short_hash(key: &[u8; KEY_LEN], collection: &str, id: &[u8]) -> i64 {
    // No collection flows into the id: its length comes first.
    let length = [u8::try_from(collection.len()).unwrap_or(u8::MAX)];
    let [a, b, c, d, e, f, g, h, ..] = hmac_sha256(key, &[&length, collection.as_bytes(), id]);
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 17).cast_signed()
}

impl RecordSealer {
    /// What stands in the file in the place of collection and id.
    pub(super) fn hash(&self, collection: &str, id: &[u8]) -> i64 {
        short_hash(&self.row, collection, id)
    }

    /// What stands in the file in the place of collection and group.
    pub(super) fn place(&self, collection: &str, group: &[u8]) -> i64 {
        short_hash(&self.place, collection, group)
    }

    /// Keeps the order and hides the value.
    pub(super) fn rank(&self, order: u64) -> i64 {
        i64::try_from(order.saturating_add(self.offset)).unwrap_or(i64::MAX)
    }

    /// What the indexes say of a record.
    pub(super) fn entry(&self, change: u64, record: &SyncRecord) -> Entry {
        let collection = record.collection.as_str();
        let spot = record.content.as_ref().map(|content| Spot {
            place: self.place(collection, content.group.as_slice()),
            rank: self.rank(content.order),
        });
        Entry { change, hash: self.hash(collection, record.id.as_slice()), spot }
    }

    /// # Errors
    /// [`StoreError::Damaged`] never in practice: a pack is far below the limit of the cipher.
    pub(super) fn seal_pack(&self, number: u64, plain: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, StoreError> {
        let body = self.seal.seal(&mut &mut *rng, &associated_data(PACKS, &number.to_be_bytes()), plain);
        let mut sealed = vec![FORMAT];
        sealed.append(&mut body.map_err(|_| StoreError::Damaged)?);
        Ok(sealed)
    }

    /// `None` for anything that [`RecordSealer::seal_pack`] did not make for this number.
    pub(super) fn open_pack(&self, number: u64, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&FORMAT, body) = sealed.split_first()? else { return None };
        self.seal.open(&associated_data(PACKS, &number.to_be_bytes()), body).ok().map(Zeroizing::new)
    }

    /// A record that was sealed alone, and the number of the device that it came from.
    pub(super) fn open_old(&self, row_id: &[u8; ROW_ID_LEN], sealed: &[u8]) -> Option<(u8, SyncRecord)> {
        let (&FORMAT, body) = sealed.split_first()? else { return None };
        let plain = Zeroizing::new(self.old.open(&associated_data(RECORDS, row_id), body).ok()?);
        let (source, record) = plain.split_first()?;
        Some((*source, SyncRecord::decode(record).ok()?))
    }
}

fn check_len(what: &'static str, len: usize, limit: usize) -> Result<(), StoreError> {
    if len > limit { Err(StoreError::TooLarge { what, len, limit }) } else { Ok(()) }
}

fn associated_data(name: &str, row_id: &[u8]) -> Vec<u8> {
    let mut aad = vec![FORMAT];
    aad.extend_from_slice(name.as_bytes());
    // No name holds a zero, so that name and row id cannot flow into each other.
    aad.push(0);
    aad.extend_from_slice(row_id);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn sealed() -> (Sealer, [u8; ROW_ID_LEN], Vec<u8>) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealer = Sealer::generate(&mut rng);
        let (row_id, sealed) = sealer.seal(Table::Link, b"peer", b"ratchet", &mut rng).unwrap();
        (sealer, row_id, sealed)
    }

    #[test]
    fn a_record_opens_to_its_id_and_value() {
        let (sealer, row_id, sealed) = sealed();
        let record = sealer.open(Table::Link, &row_id, &sealed).unwrap();
        assert_eq!((&**record.id, &**record.value), (&b"peer"[..], &b"ratchet"[..]));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused_naming_the_table() {
        let (sealer, row_id, sealed) = sealed();
        let refused = |row_id: &[u8], sealed: &[u8]| {
            matches!(sealer.open(Table::Link, row_id, sealed), Err(StoreError::Corrupt { table: Table::Link }))
        };
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&row_id, &bad), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(refused(&row_id, &sealed[..len]), "cut at {len}");
        }
        for bit in 0..ROW_ID_LEN * 8 {
            let mut bad = row_id;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&bad, &sealed), "row id bit {bit}");
        }
    }

    #[test]
    fn a_record_does_not_open_in_another_table() {
        let (sealer, row_id, sealed) = sealed();
        for table in Table::ALL {
            assert_eq!(sealer.open(table, &row_id, &sealed).is_ok(), table == Table::Link, "{table}");
        }
    }

    #[test]
    fn the_same_id_has_another_hash_in_every_table_and_under_every_key() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (one, two) = (Sealer::generate(&mut rng), Sealer::generate(&mut rng));
        let mut seen: Vec<_> = Table::ALL.iter().flat_map(|&t| [one.row_id(t, b"a"), two.row_id(t, b"a")]).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 2 * Table::ALL.len());
    }

    #[test]
    fn bytes_sealed_by_an_earlier_build_still_open() {
        // Data key 32 times 0x07, nonce 0 to 11; computed with another implementation of HKDF, HMAC and AES-GCM. Changing any label, length or layout breaks every store in the field.
        let sealer = Sealer::new(Zeroizing::new([7; KEY_LEN]));
        let row_id = sealer.row_id(Table::Setting, b"theme");
        assert_eq!(hex::encode(row_id), FROZEN_ROW_ID);
        let sealed = hex::decode(FROZEN_SEALED).unwrap();
        assert_eq!(&**sealer.open(Table::Setting, &row_id, &sealed).unwrap().value, b"dark");
    }

    const FROZEN_ROW_ID: &str = "d7c66ba272718782fa0d6e671cd05de4";
    const FROZEN_SEALED: &str = "01000102030405060708090a0bc9aed4eaef2cf73bc497a596b674c35818463ccc2cf207905b81";
}
