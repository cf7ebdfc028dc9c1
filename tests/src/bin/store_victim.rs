//! A program that writes to a store until somebody kills it: the victim of `tests/tests/store_crash.rs`.
//!
//! `store_victim <directory> <first batch> [<write point>]` writes batch after batch and prints the number of each after it was committed.
//! With a write point it stops at that one (counted from 0), prints `stopped` and waits for its end.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pairlight_core::store::{Batch, KeyFile, Probe, Store, StoreError, Table, WritePoint};
use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::{Content, SyncRecord};
use pairlight_wire::{Bytes, Text};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};

/// The rows of a batch, one in each of three tables.
pub(crate) const ROWS: [(Table, char); 3] = [(Table::Link, 'a'), (Table::DeviceKey, 'b'), (Table::Checkpoint, 'c')];
/// Batch `k` deletes batch `k - KEEP`, so that deleting must be whole as well.
pub(crate) const KEEP: u64 = 6;
/// After so many batches the journal is emptied, so that crashes meet checkpoints too.
const SCRUB_EVERY: u64 = 5;
/// Begins every id and value: must never be seen in a file.
pub(crate) const MARK: &str = "VICTIM-PLAINTEXT";

/// The system's random source, as programs use it.
pub(crate) fn system_rng() -> Box<dyn CryptoRng + Send> {
    Box::new(getrandom::rand_core::UnwrapErr(getrandom::SysRng))
}

/// Opens the store of a victim's directory.
pub(crate) fn open(directory: &Path, probe: Probe) -> Result<Store, StoreError> {
    let key = KeyFile::open_or_create(&directory.join("key"), system_rng())?;
    Store::open_probed(&directory.join("store.db"), &key, system_rng(), probe)
}

/// The id of a row of batch `k`.
pub(crate) fn id_of(k: u64, letter: char) -> String {
    format!("{MARK}-{k}/{letter}")
}

/// What stands in that row: some bytes up to several pages, other ones for every row.
pub(crate) fn value_of(k: u64, letter: char) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(k.wrapping_mul(256).wrapping_add(letter as u64));
    let len = usize::try_from(rng.next_u32() % 9000).unwrap_or_default();
    let mut value = format!("{MARK}-{k}-{letter}-").into_bytes();
    let start = value.len();
    value.resize(start + len, 0);
    rng.fill_bytes(&mut value[start..]);
    value
}

/// The record that batch `k` merges.
pub(crate) fn record_of(k: u64) -> SyncRecord {
    let content = Content { group: bytes(MARK.as_bytes().to_vec()), order: k, body: bytes(value_of(k, 'r')) };
    SyncRecord {
        collection: Text::truncated(MARK),
        id: bytes(id_of(k, 'r').into_bytes()),
        clock: k,
        device: DeviceId([1; 16]),
        content: Some(content),
    }
}

fn bytes<const MAX: usize>(bytes: Vec<u8>) -> Bytes<MAX> {
    Bytes::new(bytes).expect("short enough")
}

/// All changes of batch `k`.
pub(crate) fn batch_of(k: u64) -> Batch {
    let mut batch = Batch::new();
    for (table, letter) in ROWS {
        batch.put(table, id_of(k, letter).as_bytes(), &value_of(k, letter));
        if let Some(old) = k.checked_sub(KEEP) {
            batch.delete(table, id_of(old, letter).as_bytes());
        }
    }
    batch.merge(0, record_of(k));
    batch
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more when the pipe is closed; the next signal ends this program anyway.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn stop_at(point: u64) -> Probe {
    let passed = Arc::new(Mutex::new(0));
    let on_write = move |_: WritePoint| {
        let mut passed = passed.lock().expect("no panic under this lock");
        if *passed == point {
            say("stopped");
            loop {
                std::thread::park();
            }
        }
        *passed += 1;
    };
    Probe { on_write: Some(Box::new(on_write)), max_pages: None }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, first, rest @ ..] = arguments.as_slice() else {
        return Err("usage: store_victim <directory> <first batch> [<write point>]".into());
    };
    let probe = match rest.first() {
        Some(point) => stop_at(point.parse()?),
        None => Probe::default(),
    };
    let mut store = open(Path::new(directory), probe)?;
    for k in first.parse::<u64>()?.. {
        store.commit(&batch_of(k))?;
        say(&k.to_string());
        if k % SCRUB_EVERY == 0 {
            store.scrub()?;
        }
    }
    Ok(())
}
