//! What survives a restart, sealed at rest: keys, links, lists and checkpoints in one SQLite file, or in rows that the caller
//! keeps (a browser).
//!
//! What it does not do: it does not guard against somebody who holds the wrapping key, it does not hide how many rows of which kind there
//! are and how long they are, and it cannot notice that a row, or the whole file, was deleted or replaced by an older version of itself.
//!
//! ```text
//! Batch --seal--> rows --one transaction, synced--> file            KeyWrap guards the data key,
//!        data key ^                                                 the data key seals the rows
//! ```
//! The caller's contract:
//! 1. What must be true together goes into one [`Batch`]. When [`Store::commit`] returns `Ok`, all of it survives a power cut (of a file; else once the
//!    caller has kept it); after any
//!    other outcome, a crash included, all or nothing of it is there.
//! 2. The calls block on the disk: in async code, run them where blocking is allowed. A `Store` is `Send`, and one handle at a time may
//!    have the file.
//! 3. After [`StoreError::Disk`] from a write the store refuses everything; drop it and open it again.
//! 4. When [`Store::needs_rekey`] says so, and once a year, call [`Store::rekey`]. The same call changes a passphrase.
//!
//! ```
//! # use pairlight_core::store::{Batch, KeyFile, Store, Table};
//! # fn rng() -> Box<getrandom::rand_core::UnwrapErr<getrandom::SysRng>> { Box::default() }
//! # let dir = tempfile::tempdir()?;
//! let key = KeyFile::open_or_create(&dir.path().join("store.key"), rng())?;
//! let mut store = Store::open(&dir.path().join("store.db"), &key, rng())?;
//! let mut batch = Batch::new();
//! batch.put(Table::Link, b"laptop", b"ratchet").delete(Table::PendingLink, b"laptop");
//! store.commit(&batch)?;
//! assert_eq!(store.get(Table::Link, b"laptop")?.as_deref(), Some(&b"ratchet".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
pub(crate) mod compression;
#[cfg(not(target_arch = "wasm32"))]
mod database;
mod error;
#[cfg(not(target_arch = "wasm32"))]
mod key_file;
mod key_wrap;
mod ledger;
mod lifetime;
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod migration;
mod pack;
mod passphrase;
#[cfg(not(target_arch = "wasm32"))]
mod place;
mod probe;
mod records;
mod rows;
mod seal;
#[cfg(not(target_arch = "wasm32"))]
mod sql;
mod table;
#[cfg(test)]
mod tests;
mod vault;

use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use batch::Batch;
pub use error::{KeyWrapError, StoreError};
#[cfg(not(target_arch = "wasm32"))]
pub use key_file::KeyFile;
pub use key_wrap::{KEY_LEN, KeyWrap, unwrap_under, wrap_under};
pub use lifetime::{Followed, HeardReports, Unreadable};
pub use memory::KeptRow;
pub use passphrase::{Passphrase, PassphraseCost};
pub use probe::{Probe, WritePoint};
pub use records::{Cursor, LoggedRecord, Merged};
pub use seal::{MAX_ID_LEN, MAX_VALUE_LEN};
pub use table::Table;

#[cfg(not(target_arch = "wasm32"))]
use database::Database;
use ledger::Ledger;
use memory::Memory;
use pack::{OpenPacks, PackWriter};
#[cfg(not(target_arch = "wasm32"))]
use place::Place;
use rows::{BATCH, ReadRows, Rows, SCHEMA, WriteRows};
use seal::{RecordSealer, Sealer};

/// Sealings under one data key after which it should be renewed: far below the 2^32 that random 96-bit nonces allow.
const REKEY_AFTER: u64 = 1 << 28;
/// Sealings under one data key after which it seals no more.
const REKEY_AT_LATEST: u64 = 1 << 32;

const WRAPPED_KEY: &str = "wrapped-key";
const KEY_CHECK: &str = "key-check";
const SEAL_COUNT: &str = "seal-count";

/// An opened record: the id and value that were put. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// As given to `put`.
    pub id: Zeroizing<Vec<u8>>,
    /// As given to `put`.
    pub value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record(..)")
    }
}

/// The open store. See the [module](self) for the contract.
pub struct Store {
    rows: Box<dyn Rows>,
    sealer: Sealer,
    records: RecordSealer,
    open: OpenPacks,
    /// Whether the data key was dropped.
    locked: bool,
    /// Sealings under the present data key, as the file has it.
    seals: u64,
    rng: Box<dyn CryptoRng + Send>,
    // Last, so that the file is closed before others are let in.
    #[cfg(not(target_arch = "wasm32"))]
    _place: Option<Place>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Store {
    /// Opens the store in the file `path`, or creates it when there is none. `wrap` is asked once and not kept.
    ///
    /// Beside the file stand a journal (`-wal`) and a lock file (`.lock`); the directory must exist and be writable.
    ///
    /// # Errors
    /// [`StoreError::Key`] for a wrong key; [`StoreError::NotOurs`], [`StoreError::Newer`], [`StoreError::Damaged`] for what is in the file; [`StoreError::InUse`]
    /// and the variants of the environment. A file that is refused was not changed.
    pub fn open(path: &Path, wrap: &dyn KeyWrap, rng: Box<dyn CryptoRng + Send>) -> Result<Self, StoreError> {
        Self::open_probed(path, wrap, rng, Probe::default())
    }

    /// [`open`](Self::open) for crash tests: reports write points and may act a full disk.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub fn open_probed(
        path: &Path,
        wrap: &dyn KeyWrap,
        mut rng: Box<dyn CryptoRng + Send>,
        mut probe: Probe,
    ) -> Result<Self, StoreError> {
        let place = Place::claim(path)?;
        probe.pass(WritePoint::FileReady);
        let (mut db, found) = Database::open(path, probe)?;
        let (sealer, mut seals) = if found == 0 {
            let (sealer, wrapped, check) = new_key(wrap, &mut *rng)?;
            db.prepare()?;
            db.upgrade(found, &mut |rows, _| {
                rows.delete_old()?;
                put_key(rows, &wrapped, &check, 1)
            })?;
            (sealer, 1)
        } else {
            let opened = open_key(&db, wrap)?;
            db.prepare()?;
            opened
        };
        let records = sealer.record_sealer();
        if found != 0 && found < migration::SUPPORTED {
            db.upgrade(found, &mut |rows, _| match found {
                migration::PACKS.. => Ok(()),
                _ => move_old(rows, &records, &mut *rng, &mut seals),
            })?;
        }
        db.accept()?;
        let open = OpenPacks::default();
        Ok(Self { rows: Box::new(db), sealer, records, open, locked: false, seals, rng, _place: Some(place) })
    }
}

impl Store {
    /// Opens a store whose rows somebody else keeps, or begins one where nothing was kept: for a browser, whose database does
    /// not answer at once. After every call that may have written, [`Store::unkept`] says what has to be kept.
    ///
    /// # Errors
    /// [`StoreError::Key`] for a wrong key, [`StoreError::Damaged`] for rows that are none.
    pub fn from_kept(
        kept: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        wrap: &dyn KeyWrap,
        mut rng: Box<dyn CryptoRng + Send>,
    ) -> Result<Self, StoreError> {
        let mut memory = Memory::load(kept)?;
        let (sealer, mut seals) = if memory.is_empty() {
            let (sealer, wrapped, check) = new_key(wrap, &mut *rng)?;
            memory.write(SCHEMA, &mut |rows, _| put_key(rows, &wrapped, &check, 1))?;
            (sealer, 1)
        } else {
            open_key(&memory, wrap)?
        };
        let records = sealer.record_sealer();
        if !memory.old_records(0, 1)?.is_empty() {
            memory.write(SCHEMA, &mut |rows, _| move_old(rows, &records, &mut *rng, &mut seals))?;
        }
        Ok(Self {
            rows: Box::new(memory),
            sealer,
            records,
            open: OpenPacks::default(),
            locked: false,
            seals,
            rng,
            #[cfg(not(target_arch = "wasm32"))]
            _place: None,
        })
    }

    /// The rows that changed since the last call, each once, with its present bytes: kept together or not at all, they are
    /// what [`Store::from_kept`] opens. Nothing for a store in a file, where a commit is durable when it returns.
    pub fn unkept(&mut self) -> Vec<KeptRow> {
        self.rows.unkept()
    }

    /// The value that was put under `id`, or `None`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when this row was altered; others stay readable.
    pub fn get(&self, table: Table, id: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.check_key()?;
        let row_id = self.sealer.row_id(table, id);
        let sealed = self.rows.look(|rows| rows.row(table.number(), &row_id));
        let Some(sealed) = sealed.map_err(|e| blame(table, e))? else { return Ok(None) };
        let record = self.sealer.open(table, &row_id, &sealed)?;
        if record.id.as_slice() == id { Ok(Some(record.value)) } else { Err(StoreError::Corrupt { table }) }
    }

    /// All records of a table, ordered by id; damaged ones come last, as errors, and do not hide the others.
    ///
    /// # Errors
    /// Of the file as a whole. [`StoreError::Corrupt`] in the place of a record that was altered.
    pub fn list(&self, table: Table) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        self.each(table, |opened| match opened {
            Ok(record) => records.push(record),
            Err(e) => damaged.push(e),
        })?;
        records.sort_unstable_by(|a, b| a.id.as_slice().cmp(b.id.as_slice()));
        Ok(records.into_iter().map(Ok).chain(damaged.into_iter().map(Err)).collect())
    }

    /// Opens the records of a table one by one, in the order of the file.
    fn each(&self, table: Table, mut visit: impl FnMut(Result<Record, StoreError>)) -> Result<(), StoreError> {
        self.check_key()?;
        let walked = self.rows.look(|rows| {
            rows.walk(table.number(), &mut |seen| {
                visit(match seen {
                    Some((row_id, sealed)) => self.sealer.open(table, row_id, sealed),
                    None => Err(StoreError::Corrupt { table }),
                });
            })
        });
        match walked.map_err(|e| blame(table, e)) {
            Ok(()) => Ok(()),
            // The structure is broken halfway: what was read up to here is authentic.
            Err(e @ StoreError::Corrupt { .. }) => {
                visit(Err(e));
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// Applies all changes of the batch and makes them durable, or changes nothing.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::KeyExhausted`], [`StoreError::DiskFull`], [`StoreError::Disk`], [`StoreError::Closed`].
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.commit_merging(batch).map(drop)
    }

    /// As [`commit`](Self::commit), and tells what became of the batch's records.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_merging(&mut self, batch: &Batch) -> Result<Merged, StoreError> {
        self.check_key()?;
        let mut merged = Merged::default();
        if batch.is_empty() {
            return Ok(merged);
        }
        let mut rows = Vec::with_capacity(batch.changes.len());
        let mut seals = self.seals;
        for change in &batch.changes {
            rows.push(match &change.value {
                Some(value) => {
                    seals = next_seal(seals)?;
                    let (row_id, sealed) = self.sealer.seal(change.table, &change.id, value, &mut *self.rng)?;
                    (change.table.number(), row_id, Some(sealed))
                }
                None => (change.table.number(), self.sealer.row_id(change.table, &change.id), None),
            });
        }
        let (sealer, open, rng) = (&self.records, &self.open, &mut self.rng);
        let mut stale = Vec::new();
        let outcome = self.rows.write(BATCH, &mut |stored, probe| {
            for (kind, row_id, sealed) in &rows {
                stored.put_row(*kind, row_id, sealed.as_deref())?;
                probe.pass(WritePoint::RowWritten);
            }
            if !batch.merges.is_empty() {
                let mut ledger = Ledger::begin(stored, sealer, open)?;
                for merge in &batch.merges {
                    merged.stands.push(ledger.merge(merge)?);
                    probe.pass(WritePoint::RowWritten);
                }
                let mut writer = PackWriter::new(sealer, &mut **rng, &mut seals);
                (merged.last_change, stale) = ledger.finish(&mut writer)?;
            }
            stored.put_meta(SEAL_COUNT, &seals.to_be_bytes())
        });
        self.open.forget(&stale);
        outcome?;
        self.seals = seals;
        Ok(merged)
    }

    /// A batch of one: inserts or replaces a record.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn put(&mut self, table: Table, id: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.commit(Batch::new().put(table, id, value))
    }

    /// A batch of one: deletes a record; a missing one is no error. See [`scrub`](Self::scrub) for what remains on the disk.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn delete(&mut self, table: Table, id: &[u8]) -> Result<(), StoreError> {
        self.commit(Batch::new().delete(table, id))
    }

    /// Removes the sealed remains of replaced and deleted records from the files: the journal keeps them until it is written over. Call it
    /// after deleting a key. What a flash disk keeps behind the file system's back is out of reach.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Disk`].
    pub fn scrub(&mut self) -> Result<(), StoreError> {
        self.rows.scrub()
    }

    /// Copies the journal into the file, when it is worth it and nothing was written since the last call, so that no later
    /// write has to wait for that. Call it now and then; gives whether it is worth calling again soon.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Disk`].
    pub fn tend(&mut self) -> Result<bool, StoreError> {
        self.rows.tend()
    }

    /// Drops the data key: until the file is opened again nothing can be read or written, only erased.
    pub fn lock(&mut self) {
        self.sealer = Sealer::generate(&mut *self.rng);
        self.records = self.sealer.record_sealer();
        self.open.clear();
        self.locked = true;
    }

    fn check_key(&self) -> Result<(), StoreError> {
        if self.locked { Err(StoreError::Locked) } else { Ok(()) }
    }

    /// Deletes every record, readable or not, key or no key, and removes the remains.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Disk`]; call again, what is left is still sealed.
    pub fn wipe(&mut self) -> Result<(), StoreError> {
        self.open.clear();
        self.rows.write(BATCH, &mut |rows, _| rows.delete_all())?;
        self.scrub()
    }

    /// Whether the data key has sealed so much that it should be renewed.
    #[must_use]
    pub fn needs_rekey(&self) -> bool {
        self.seals >= REKEY_AFTER
    }

    /// Makes a new data key guarded by `wrap` (another key file, a new passphrase) and seals every record anew, in one transaction; then
    /// removes the remains of the old ones. The old key opens nothing afterwards, except older copies of the file.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a row is damaged: delete it first. [`StoreError::Damaged`] when records of the log are: repair first
    /// ([`repair_records`](Self::repair_records)). Nothing was changed then. When only the removal at the end fails the new key is in force
    /// and the error is that of [`scrub`](Self::scrub).
    pub fn rekey(&mut self, wrap: &dyn KeyWrap) -> Result<(), StoreError> {
        self.check_key()?;
        let (sealer, wrapped, check) = new_key(wrap, &mut *self.rng)?;
        // Every row is known to open before one is touched: inside the transaction nothing but the disk can fail.
        self.check_rows()?;
        if !self.records_are_sound()? {
            return Err(StoreError::Damaged);
        }
        let records = sealer.record_sealer();
        let mut seals = 1_u64;
        let (old, old_records, rng) = (&self.sealer, &self.records, &mut self.rng);
        self.rows.write(BATCH, &mut |rows, probe| {
            for table in Table::ALL {
                for row_id in rows.row_ids(table.number())? {
                    // One at a time: the pieces of files are many megabytes.
                    let sealed = rows.row(table.number(), &row_id)?.ok_or(StoreError::Damaged)?;
                    let record = old.open(table, &row_id, &sealed)?;
                    let (new_id, sealed) = sealer.seal(table, &record.id, &record.value, &mut **rng)?;
                    rows.put_row(table.number(), &row_id, None)?;
                    rows.put_row(table.number(), &new_id, Some(&sealed))?;
                    seals = seals.saturating_add(1);
                    probe.pass(WritePoint::RowWritten);
                }
            }
            ledger::reseal(rows, old_records, &mut PackWriter::new(&records, &mut **rng, &mut seals))?;
            put_key(rows, &wrapped, &check, seals)
        })?;
        self.sealer = sealer;
        self.records = records;
        self.open.clear();
        self.seals = seals;
        self.scrub()
    }

    /// Reads the whole file: SQLite's structure, then every record.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for the structure or rows of no known table, [`StoreError::Corrupt`] for the first altered record.
    pub fn integrity_check(&self) -> Result<(), StoreError> {
        let (sound, rows) = (self.rows.is_sound()?, self.rows.look(|rows| rows.count_rows())?);
        let known = self.check_rows()?;
        if !self.records_are_sound()? {
            return Err(StoreError::Damaged);
        }
        if sound && usize::try_from(rows) == Ok(known) { Ok(()) } else { Err(StoreError::Damaged) }
    }
}

impl Store {
    /// Opens every record of every table; gives how many there are.
    fn check_rows(&self) -> Result<usize, StoreError> {
        let mut known = 0_usize;
        for table in Table::ALL {
            let mut damage = None;
            self.each(table, |record| match record {
                Ok(_) => known = known.saturating_add(1),
                Err(error) => damage = Some(error),
            })?;
            if let Some(error) = damage {
                return Err(error);
            }
        }
        Ok(known)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store(..)")
    }
}

/// Damage that SQLite found while it read rows of a table is reported as damage of the table.
fn blame(table: Table, error: StoreError) -> StoreError {
    if matches!(error, StoreError::Damaged) { StoreError::Corrupt { table } } else { error }
}

fn next_seal(seals: u64) -> Result<u64, StoreError> {
    if seals >= REKEY_AT_LATEST { Err(StoreError::KeyExhausted) } else { Ok(seals.saturating_add(1)) }
}

/// Brings the records of a format before packs into this one.
fn move_old(
    rows: &mut dyn WriteRows,
    records: &RecordSealer,
    rng: &mut dyn CryptoRng,
    seals: &mut u64,
) -> Result<(), StoreError> {
    ledger::move_old(rows, &mut PackWriter::new(records, rng, seals))?;
    rows.put_meta(SEAL_COUNT, &seals.to_be_bytes())
}

fn put_key(rows: &mut dyn WriteRows, wrapped: &[u8], check: &[u8], seals: u64) -> Result<(), StoreError> {
    rows.put_meta(WRAPPED_KEY, wrapped)?;
    rows.put_meta(KEY_CHECK, check)?;
    rows.put_meta(SEAL_COUNT, &seals.to_be_bytes())
}

/// A new data key, the same wrapped, and what tells it from another.
fn new_key(wrap: &dyn KeyWrap, rng: &mut dyn CryptoRng) -> Result<(Sealer, Vec<u8>, Vec<u8>), StoreError> {
    let sealer = Sealer::generate(rng);
    let (wrapped, check) = (wrap.wrap(sealer.dek())?, sealer.seal_key_check(rng)?);
    Ok((sealer, wrapped, check))
}

/// Unwraps the data key and makes sure that it is the one that sealed this store. Also gives the number of sealings under it.
fn open_key(rows: &dyn Rows, wrap: &dyn KeyWrap) -> Result<(Sealer, u64), StoreError> {
    let meta = |name: &str| rows.look(|rows| rows.meta(name)?.ok_or(StoreError::Damaged));
    let (wrapped, check, count) = (meta(WRAPPED_KEY)?, meta(KEY_CHECK)?, meta(SEAL_COUNT)?);
    let seals = count.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Damaged)?;
    let sealer = Sealer::new(wrap.unwrap_key(&wrapped)?);
    if sealer.passes_key_check(&check) { Ok((sealer, seals)) } else { Err(KeyWrapError::WrongKey.into()) }
}
