//! The store as its callers and its attackers see it. Crashes and several processes: `tests/tests/store_crash.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::*;

fn rng() -> Box<dyn CryptoRng + Send> {
    // Another stream for every call, as different runs of a program would have.
    use std::sync::atomic::{AtomicU64, Ordering};
    static SEED: AtomicU64 = AtomicU64::new(1);
    Box::new(ChaCha20Rng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed)))
}

/// A directory with a key file and a place for a store.
struct Home {
    dir: TempDir,
    key: KeyFile,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyFile::create(&dir.path().join("key"), rng()).unwrap();
        Self { dir, key }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.path(), &self.key, rng())
    }

    fn refusal(&self) -> StoreError {
        self.try_open().expect_err("the store opened")
    }

    /// The file as an attacker or another program handles it, while no store is open.
    fn raw<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&Connection::open(self.path()).unwrap())
    }

    /// Every byte that is on the disk, of all files but the key.
    fn bytes_on_disk(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "key" {
                all.extend(fs::read(path).unwrap());
            }
        }
        all
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn value(store: &Store, table: Table, id: &[u8]) -> Option<Vec<u8>> {
    store.get(table, id).unwrap().map(|v| v.to_vec())
}

#[test]
fn what_was_put_is_there_after_a_restart_in_every_table() {
    let home = Home::new();
    let long = vec![0xa5; 300_000];
    let mut store = home.open();
    for table in Table::ALL {
        store.put(table, b"b", table.name().as_bytes()).unwrap();
        store.put(table, b"", b"").unwrap();
        store.put(table, &[255; MAX_ID_LEN], &long).unwrap();
        store.put(table, b"gone", b"x").unwrap();
        store.delete(table, b"gone").unwrap();
        store.delete(table, b"never there").unwrap();
    }
    drop(store);
    let store = home.open();
    for table in Table::ALL {
        assert_eq!(value(&store, table, b"b").unwrap(), table.name().as_bytes());
        assert_eq!(value(&store, table, b"gone"), None);
        let listed: Vec<Record> = store.list(table).unwrap().into_iter().map(Result::unwrap).collect();
        let shown: Vec<(&[u8], usize)> = listed.iter().map(|r| (r.id.as_slice(), r.value.len())).collect();
        assert_eq!(shown, [(&b""[..], 0), (b"b", table.name().len()), (&[255; MAX_ID_LEN], long.len())]);
    }
    store.integrity_check().unwrap();
}

#[test]
fn a_batch_is_applied_in_order_and_replaces() {
    let home = Home::new();
    let mut store = home.open();
    let mut batch = Batch::new();
    batch.put(Table::Link, b"a", b"1").delete(Table::Link, b"a").put(Table::Link, b"a", b"2");
    batch.put(Table::Link, b"b", b"1").delete(Table::Link, b"b");
    store.commit(&batch).unwrap();
    assert_eq!(value(&store, Table::Link, b"a").unwrap(), b"2");
    assert_eq!(value(&store, Table::Link, b"b"), None);
    store.commit(&Batch::new()).unwrap();
}

#[test]
fn a_batch_with_one_impossible_change_changes_nothing() {
    let home = Home::new();
    let mut store = home.open();
    for (id, value, what) in [(256, 1, "id"), (1, MAX_VALUE_LEN + 1, "value")] {
        let mut batch = Batch::new();
        batch.put(Table::Link, b"a", b"1").put(Table::Link, &vec![1; id], &vec![1; value]);
        let error = store.commit(&batch).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { what: w, .. } if w == what), "{error}");
        assert_eq!(value_count(&store), 0);
    }
    store.put(Table::Link, &[1; MAX_ID_LEN], &vec![1; MAX_VALUE_LEN]).unwrap();
    assert_eq!(value(&store, Table::Link, &[1; MAX_ID_LEN]).unwrap().len(), MAX_VALUE_LEN);
}

fn value_count(store: &Store) -> usize {
    Table::ALL.iter().map(|&t| store.list(t).unwrap().len()).sum()
}

#[test]
fn another_key_file_does_not_open_the_store_and_changes_nothing() {
    let home = Home::new();
    home.open().put(Table::Identity, b"root", b"seed").unwrap();
    let before = home.bytes_on_disk();
    let other = KeyFile::create(&home.dir.path().join("key2"), rng()).unwrap();
    let error = Store::open(&home.path(), &other, rng()).unwrap_err();
    assert!(matches!(error, StoreError::Key(KeyWrapError::WrongKey)), "{error}");
    fs::remove_file(home.dir.path().join("key2")).unwrap();
    assert_eq!(home.bytes_on_disk(), before);
    assert_eq!(value(&home.open(), Table::Identity, b"root").unwrap(), b"seed");
}

#[test]
fn a_wrong_passphrase_and_another_kind_of_key_are_told_apart() {
    let home = Home::new();
    let cheap = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };
    let with = |text: &str| Store::open(&home.path(), &Passphrase::new(text, cheap, rng()).unwrap(), rng());
    with("correct horse").unwrap().put(Table::Setting, b"a", b"1").unwrap();
    assert!(matches!(with("battery staple"), Err(StoreError::Key(KeyWrapError::WrongPassphrase))));
    assert!(matches!(home.refusal(), StoreError::Key(KeyWrapError::OtherKind)));
    assert_eq!(value(&with("correct horse").unwrap(), Table::Setting, b"a").unwrap(), b"1");
}

/// A platform key store that answers, but with another key than it was given.
struct Forgetful;

impl KeyWrap for Forgetful {
    fn wrap(&self, dek: &[u8; KEY_LEN]) -> Result<Vec<u8>, KeyWrapError> {
        Ok(dek.to_vec())
    }
    fn unwrap_key(&self, _: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
        Ok(Zeroizing::new([3; KEY_LEN]))
    }
}

#[test]
fn a_key_store_that_returns_another_key_is_noticed_at_opening() {
    let home = Home::new();
    drop(Store::open(&home.path(), &Forgetful, rng()).unwrap());
    assert!(matches!(Store::open(&home.path(), &Forgetful, rng()), Err(StoreError::Key(KeyWrapError::WrongKey))));
}

#[test]
fn a_flip_of_any_byte_of_a_row_is_corrupt_names_the_table_and_spares_the_others() {
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::Link, b"peer-one", b"ratchet").unwrap();
    let len = home_sealed_len(b"peer-one", b"ratchet");
    store.put(Table::Link, b"two", b"other").unwrap();
    store.put(Table::DeviceKey, b"peer-one", b"key").unwrap();
    drop(store);
    let original: Vec<u8> = home.raw(|c| sealed_of_len(c, len));
    for at in 0..original.len() {
        let mut bad = original.clone();
        bad[at] ^= 0x40;
        home.raw(|c| c.execute("UPDATE record SET sealed = ?1 WHERE length(sealed) = ?2", params![bad, len]).unwrap());
        let store = home.open();
        let error = store.get(Table::Link, b"peer-one").unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { table: Table::Link }), "byte {at}: {error}");
        assert!(error.to_string().contains("\"link\"") && !error.to_string().contains("peer"), "{error}");
        assert_eq!(value(&store, Table::Link, b"two").unwrap(), b"other");
        assert_eq!(value(&store, Table::DeviceKey, b"peer-one").unwrap(), b"key");
        let listed = store.list(Table::Link).unwrap();
        assert!(matches!(&listed[..], [Ok(two), Err(StoreError::Corrupt { .. })] if **two.id == *b"two"));
        assert!(matches!(store.integrity_check(), Err(StoreError::Corrupt { table: Table::Link })));
    }
    // Writing the row anew heals it.
    let mut store = home.open();
    store.put(Table::Link, b"peer-one", b"ratchet").unwrap();
    store.integrity_check().unwrap();
}

fn home_sealed_len(id: &[u8], value: &[u8]) -> i64 {
    // Format, nonce, length of id, tag.
    i64::try_from(1 + 12 + 1 + 16 + id.len() + value.len()).unwrap()
}

fn sealed_of_len(conn: &Connection, len: i64) -> Vec<u8> {
    conn.query_row("SELECT sealed FROM record WHERE length(sealed) = ?1", [len], |row| row.get(0)).unwrap()
}

#[test]
fn a_row_moved_to_another_table_or_id_is_refused() {
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::PendingLink, b"a", b"pending").unwrap();
    store.put(Table::Link, b"b", b"linked!").unwrap();
    drop(store);
    // To another table, keeping its row id; and in the place of another row of its table.
    home.raw(|c| {
        c.execute("INSERT INTO record SELECT 6, row_id, sealed FROM record WHERE kind = 5", []).unwrap();
        c.execute("UPDATE record SET row_id = randomblob(16) WHERE kind = 5", []).unwrap();
    });
    let store = home.open();
    assert!(matches!(store.list(Table::PendingLink).unwrap()[..], [Err(StoreError::Corrupt { .. })]));
    assert!(matches!(store.list(Table::Link).unwrap()[..], [Ok(_), Err(StoreError::Corrupt { .. })]));
    // Its row id in the other table is not the one that its id has there.
    assert_eq!(value(&store, Table::Link, b"a"), None);
    drop(store);
    home.raw(|c| {
        c.execute("DELETE FROM record WHERE kind = 6", []).unwrap();
        c.execute("UPDATE record SET kind = 77", []).unwrap();
    });
    assert!(matches!(home.open().integrity_check(), Err(StoreError::Damaged)));
}

#[test]
fn two_swapped_rows_are_both_refused() {
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::Link, b"a", b"1").unwrap();
    store.put(Table::Link, b"b", b"2").unwrap();
    drop(store);
    home.raw(|c| {
        let swap = "UPDATE record AS r SET sealed = (SELECT sealed FROM record WHERE row_id <> r.row_id)";
        let both: Vec<Vec<u8>> = c
            .prepare("SELECT sealed FROM record ORDER BY row_id DESC")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        c.execute(swap, []).unwrap();
        // SQLite may apply the statement row by row: make sure that the two really changed places.
        let rows: Vec<Vec<u8>> = c
            .prepare("SELECT row_id FROM record ORDER BY row_id")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for (row_id, sealed) in rows.iter().zip(&both) {
            c.execute("UPDATE record SET sealed = ?1 WHERE row_id = ?2", params![sealed, row_id]).unwrap();
        }
    });
    let store = home.open();
    for id in [b"a", b"b"] {
        assert!(matches!(store.get(Table::Link, id), Err(StoreError::Corrupt { table: Table::Link })));
    }
}

#[test]
fn no_flipped_byte_of_the_file_makes_it_panic_or_lie() {
    let home = Home::new();
    let mut store = home.open();
    for (table, id) in [(Table::Link, b"a"), (Table::Link, b"b"), (Table::Setting, b"c")] {
        store.put(table, id, id).unwrap();
    }
    drop(store);
    let good = fs::read(home.path()).unwrap();
    let (mut refused, mut noticed, mut unseen) = (0, 0, 0);
    // Zeros are free space; of the rest every third byte, which keeps the test short and meets every structure.
    let used: Vec<usize> = (0..good.len()).filter(|&at| good[at] != 0).step_by(3).collect();
    for &at in &used {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        fs::write(home.path(), &bad).unwrap();
        let Ok(store) = home.try_open() else {
            refused += 1;
            continue;
        };
        for (table, id) in [(Table::Link, b"a"), (Table::Link, b"b"), (Table::Setting, b"c")] {
            if let Ok(Some(value)) = store.get(table, id) {
                assert_eq!(value.as_slice(), id, "byte {at}");
            }
            for record in store.list(table).unwrap_or_default().into_iter().flatten() {
                assert_eq!(record.id, record.value, "byte {at}");
            }
        }
        if store.integrity_check().is_err() { noticed += 1 } else { unseen += 1 }
    }
    println!("{} flips: {refused} refused at opening, {noticed} noticed, {unseen} without meaning", used.len());
    assert!(refused > 0 && noticed > 0);
}

#[test]
fn neither_ids_nor_values_stand_in_the_files() {
    let home = Home::new();
    let mut store = home.open();
    let (id, value) = (b"KNOWN-PLAINTEXT-ID-4711", b"KNOWN-PLAINTEXT-VALUE-0815");
    for table in Table::ALL {
        store.put(table, id, &value.repeat(300)).unwrap();
        store.put(table, b"KNOWN-PLAINTEXT-GONE", value).unwrap();
        store.delete(table, b"KNOWN-PLAINTEXT-GONE").unwrap();
    }
    let names = |home: &Home| -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(home.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&home), ["key", "store.db", "store.db-wal", "store.db.lock"], "no -shm, no temporary file");
    let dek = *store.sealer.dek();
    let open = home.bytes_on_disk();
    drop(store);
    assert_eq!(names(&home), ["key", "store.db", "store.db.lock"], "the journal is gone after closing");
    for (bytes, state) in [(open, "open"), (home.bytes_on_disk(), "closed")] {
        assert!(bytes.len() > 8 * 300 * value.len(), "the search looks at real content");
        for secret in [&b"KNOWN-PLAINTEXT"[..], &dek, &*fs::read(home.dir.path().join("key")).unwrap()] {
            assert!(!holds(&bytes, secret), "found in the {state} store");
        }
    }
}

#[test]
fn scrubbing_removes_the_sealed_remains_of_a_deleted_record() {
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::Link, b"keep", b"1").unwrap();
    store.put(Table::DeviceKey, b"doomed", &[9; 500]).unwrap();
    let (_, sealed) = {
        let row_id = store.sealer.row_id(Table::DeviceKey, b"doomed");
        let sealed: Vec<u8> = store.rows.look(|rows| rows.row(3, &row_id)).unwrap().unwrap();
        (row_id, sealed)
    };
    let needle = &sealed[..64];
    assert!(holds(&home.bytes_on_disk(), needle));
    store.delete(Table::DeviceKey, b"doomed").unwrap();
    assert!(holds(&home.bytes_on_disk(), needle), "still in the journal: scrubbing has something to do");
    store.scrub().unwrap();
    assert!(!holds(&home.bytes_on_disk(), needle));
    assert_eq!(value(&store, Table::Link, b"keep").unwrap(), b"1");
}

#[test]
fn rekeying_changes_the_passphrase_and_leaves_nothing_that_the_old_one_opens() {
    let home = Home::new();
    let cheap = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };
    let with = |text: &str| Passphrase::new(text, cheap, rng()).unwrap();
    let mut store = Store::open(&home.path(), &with("old"), rng()).unwrap();
    for n in 0..20_u8 {
        store.put(Table::Link, &[n], &[n; 100]).unwrap();
    }
    let wrapped = store.rows.look(|rows| rows.meta(WRAPPED_KEY)).unwrap().unwrap();
    assert!(holds(&home.bytes_on_disk(), &wrapped));
    store.rekey(&with("new")).unwrap();
    assert!(!holds(&home.bytes_on_disk(), &wrapped));
    store.put(Table::Link, b"after", b"1").unwrap();
    drop(store);
    let refused = Store::open(&home.path(), &with("old"), rng());
    assert!(matches!(refused, Err(StoreError::Key(KeyWrapError::WrongPassphrase))));
    let store = Store::open(&home.path(), &with("new"), rng()).unwrap();
    assert_eq!(value_count(&store), 21);
    assert_eq!(value(&store, Table::Link, &[7]).unwrap(), [7; 100]);
    store.integrity_check().unwrap();
}

#[test]
fn a_key_that_was_used_too_often_asks_for_renewal_and_then_refuses() {
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::Link, b"a", b"1").unwrap();
    drop(store);
    let set =
        |n: u64| home.raw(|c| c.execute("UPDATE meta SET value = ?1 WHERE name = 'seal-count'", [n.to_be_bytes()]));
    set(REKEY_AFTER - 1).unwrap();
    let mut store = home.open();
    assert!(!store.needs_rekey());
    store.put(Table::Link, b"a", b"2").unwrap();
    assert!(store.needs_rekey());
    drop(store);
    set(REKEY_AT_LATEST).unwrap();
    let mut store = home.open();
    assert!(matches!(store.put(Table::Link, b"a", b"3"), Err(StoreError::KeyExhausted)));
    store.delete(Table::Link, b"zzz").unwrap();
    store.rekey(&home.key).unwrap();
    assert!(!store.needs_rekey());
    store.put(Table::Link, b"a", b"3").unwrap();
    drop(store);
    assert_eq!(value(&home.open(), Table::Link, b"a").unwrap(), b"3");
}

#[test]
fn a_newer_store_is_refused_unchanged() {
    let home = Home::new();
    drop(home.open());
    home.raw(|c| c.pragma_update(None, "user_version", migration::SUPPORTED + 1).unwrap());
    let before = fs::read(home.path()).unwrap();
    let error = home.refusal();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert!(error.to_string().contains("Update"), "{error}");
    assert_eq!(fs::read(home.path()).unwrap(), before);
}

#[test]
fn a_file_that_is_not_ours_is_refused_unchanged() {
    let plain_text = |p: &Path| fs::write(p, "dear diary").unwrap();
    let long_text = |p: &Path| fs::write(p, "dear diary ".repeat(1000)).unwrap();
    let foreign = |p: &Path| Connection::open(p).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let claimed = |p: &Path| Connection::open(p).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    let versioned = |p: &Path| Connection::open(p).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
    let cases = [
        ("text", &plain_text as &dyn Fn(&Path)),
        ("long", &long_text),
        ("table", &foreign),
        ("id", &claimed),
        ("version", &versioned),
    ];
    for (name, make) in cases {
        let home = Home::new();
        make(&home.path());
        let before = fs::read(home.path()).unwrap();
        let error = home.refusal();
        assert!(matches!(error, StoreError::NotOurs { .. }), "{name}: {error}");
        assert_eq!(fs::read(home.path()).unwrap(), before, "{name}");
    }
}

#[test]
fn a_store_without_its_tables_or_with_planted_ones_is_damaged() {
    for sql in [
        "DROP TABLE record",
        "DROP TABLE meta",
        "DELETE FROM meta WHERE name = 'wrapped-key'",
        "UPDATE meta SET value = x'00' WHERE name = 'seal-count'",
        "DROP TABLE record; CREATE VIEW record AS SELECT 6 AS kind, randomblob(16) AS row_id, x'00' AS sealed",
    ] {
        let home = Home::new();
        drop(home.open());
        home.raw(|c| c.execute_batch(sql).unwrap());
        let error = match home.try_open() {
            Ok(store) => store.list(Table::Link).unwrap().pop().unwrap().unwrap_err(),
            Err(e) => e,
        };
        assert!(matches!(error, StoreError::Damaged | StoreError::Corrupt { table: Table::Link }), "{sql}: {error}");
    }
}

#[test]
fn a_planted_trigger_does_not_run() {
    let home = Home::new();
    drop(home.open());
    home.raw(|c| {
        c.execute_batch("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END").unwrap();
    });
    let mut store = home.open();
    store.put(Table::Link, b"a", b"1").unwrap();
    assert_eq!(value(&store, Table::Link, b"a").unwrap(), b"1");
}

#[test]
fn a_second_handle_is_refused_until_the_first_is_gone() {
    let home = Home::new();
    let store = home.open();
    let error = home.refusal();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().starts_with("another pairlight is using this store"), "{error}");
    drop(store);
    home.open();
    // A foreign SQLite program that is writing keeps us out as well.
    let foreign = Connection::open(home.path()).unwrap();
    foreign.execute_batch("BEGIN EXCLUSIVE; DELETE FROM record").unwrap();
    assert!(matches!(home.refusal(), StoreError::InUse { .. }));
}

#[test]
fn a_full_disk_undoes_the_batch_and_keeps_the_rest() {
    let home = Home::new();
    let probe = Probe { max_pages: Some(16), ..Probe::default() };
    let mut store = Store::open_probed(&home.path(), &home.key, rng(), probe).unwrap();
    store.put(Table::Link, b"a", b"1").unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Link, b"a", b"2").put(Table::Link, b"big", &[1; 60_000]);
    let error = store.commit(&batch).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    assert_eq!(value(&store, Table::Link, b"a").unwrap(), b"1");
    assert_eq!(value(&store, Table::Link, b"big"), None);
    store.put(Table::Link, b"a", b"3").unwrap();
    drop(store);
    let mut store = home.open();
    assert_eq!(value(&store, Table::Link, b"a").unwrap(), b"3");
    store.commit(&batch).unwrap();
    store.integrity_check().unwrap();
}

#[test]
fn a_missing_directory_and_a_directory_in_place_of_the_file_are_named() {
    let home = Home::new();
    let at = |path: &Path| Store::open(path, &home.key, rng()).expect_err("opened");
    let error = at(&home.dir.path().join("no/such/store.db"));
    assert!(matches!(&error, StoreError::MissingDirectory { path } if path.ends_with("no/such")), "{error}");
    let error = at(home.dir.path());
    assert!(matches!(error, StoreError::IsDirectory { .. }), "{error}");
    let error = at(&home.dir.path().join("key/store.db"));
    assert!(matches!(error, StoreError::MissingDirectory { .. }), "{error}");
    #[cfg(unix)]
    assert!(matches!(at(Path::new("/dev/null")), StoreError::NotOurs { .. }));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::Link, b"a", b"1").unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(home.dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn a_commit_is_in_the_files_when_the_call_returns() {
    let home = Home::new();
    let mut store = home.open();
    store.put(Table::Link, b"a", b"1").unwrap();
    // The files as a crash at this moment would leave them.
    let crashed =
        Home { dir: tempfile::tempdir().unwrap(), key: KeyFile::open(&home.dir.path().join("key"), rng()).unwrap() };
    for name in ["store.db", "store.db-wal"] {
        fs::copy(home.dir.path().join(name), crashed.dir.path().join(name)).unwrap();
    }
    assert_eq!(value(&crashed.open(), Table::Link, b"a").unwrap(), b"1");
}

#[test]
fn durability_settings_are_in_force() {
    let home = Home::new();
    drop(home.open());
    let (mut database, _) = Database::open(&home.path(), Probe::default()).unwrap();
    database.prepare().unwrap();
    let number = |name: &str| database.sql(|c| c.pragma_query_value(None, name, |r| r.get::<_, i64>(0))).unwrap();
    let text = |name: &str| database.sql(|c| c.pragma_query_value(None, name, |r| r.get::<_, String>(0))).unwrap();
    assert_eq!((text("journal_mode"), text("locking_mode")), ("wal".into(), "exclusive".into()));
    let numbers =
        ["synchronous", "secure_delete", "foreign_keys", "fullfsync", "temp_store", "busy_timeout"].map(number);
    assert_eq!(numbers, [2, 1, 1, 1, 2, 500]);
}

#[test]
fn the_journal_is_copied_in_a_quiet_moment_and_not_while_something_is_written() {
    let home = Home::new();
    let mut store = home.open();
    let length = |home: &Home| fs::metadata(home.path()).unwrap().len();
    let before = length(&home);
    let write = |store: &mut Store, n: u8| store.put(Table::Setting, &[n], &[n; 5000]).unwrap();
    (0..10).for_each(|n| write(&mut store, n));
    assert!(!store.tend().unwrap(), "not worth it yet");
    (10..40).for_each(|n| write(&mut store, n));
    for n in 0..3 {
        assert!(store.tend().unwrap(), "worth it, and just written to");
        write(&mut store, n);
    }
    assert_eq!(length(&home), before, "so far all is in the journal");
    assert!(store.tend().unwrap());
    assert!(!store.tend().unwrap());
    assert!(length(&home) > before + 30 * 5000);
    assert!(!store.tend().unwrap());
    assert_eq!(value(&store, Table::Setting, &[39]), Some(vec![39; 5000]));
}

#[test]
fn nothing_secret_is_shown_for_debugging() {
    let home = Home::new();
    let mut store = home.open();
    let mut batch = Batch::new();
    batch.put(Table::Link, b"peer", b"ratchet");
    store.commit(&batch).unwrap();
    let record = store.list(Table::Link).unwrap().pop().unwrap().unwrap();
    let cheap = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };
    let passphrase = Passphrase::new("horse", cheap, rng()).unwrap();
    assert_eq!(
        format!("{store:?} {batch:?} {record:?} {:?} {passphrase:?}", home.key),
        "Store(..) Batch(1 changes) Record(..) KeyFile(..) \
         Passphrase { cost: PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 }, .. }"
    );
}

#[test]
fn a_store_can_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&Home::new().open());
}

/// A store that an earlier release wrote; the files are never written anew.
fn old_store(format: u32) -> (Home, KeyFile, PathBuf) {
    let home = Home::new();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/stores/{format}"));
    fs::copy(old.join("store.db"), home.path()).unwrap();
    let bytes: [u8; KEY_LEN] = fs::read(old.join("store.key")).unwrap().try_into().unwrap();
    // The copy belongs to nobody else, whatever the checkout says about modes.
    let key_path = home.dir.path().join("old.key");
    fs::write(&key_path, bytes).unwrap();
    #[cfg(unix)]
    for path in [&key_path, &home.path()] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let key = KeyFile::open_or_create(&key_path, rng()).unwrap();
    (home, key, old)
}

#[test]
fn a_store_of_the_first_format_opens_and_takes_records() {
    // Written before there were records.
    let (home, key, _) = old_store(1);
    let mut store = Store::open(&home.path(), &key, rng()).unwrap();
    for table in &Table::ALL[..8] {
        let value = store.get(*table, b"id of the first format").unwrap().unwrap();
        assert_eq!(value.as_slice(), format!("value in {table}").as_bytes());
    }
    let mut batch = Batch::new();
    batch.merge(0, sample_record(b"new", 1, Some(7)));
    assert_eq!(store.commit_merging(&batch).unwrap().stands, [true]);
    drop(store);
    let store = Store::open(&home.path(), &key, rng()).unwrap();
    assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 1);
    store.integrity_check().unwrap();
}

/// What was written into the stores of the second format, in this order: batches of records with their sources.
fn written_in_the_second_format() -> Vec<Batch> {
    let batches = (0..40_u64).map(|n| {
        let mut batch = Batch::new();
        // Forty ids, written two and a half times; every ninth ends as a tombstone.
        for m in 0..2 + n % 2 {
            let id = (n * 7 + m * 13) % 40;
            let order = (id % 9 != 0 || n < 20).then_some(1_700_000_000_000 + id * 1000);
            batch.merge(u8::try_from(m).unwrap(), sample_record(format!("id {id}").as_bytes(), n + 1, order));
        }
        batch
    });
    batches.collect()
}

/// Everything that a store says of its records.
fn said(store: &Store) -> String {
    let last = store.last_change().unwrap();
    let all = store.records_after(0, usize::MAX).unwrap();
    let listed = store.records_in("things", b"group", Cursor::NEWEST, 100).unwrap();
    let (ordered, gone) = (store.records_by_order(Cursor::NEWEST, 0, 100), store.tombstones(u64::MAX, 100));
    let count = store.count_records(u64::MAX, 0).unwrap();
    format!("{last} {count} {all:?} {listed:?} {:?} {:?}", ordered.unwrap(), gone.unwrap())
}

#[test]
fn a_store_of_the_third_format_opens_and_its_hashes_are_found_in_both_places() {
    // Fifty conversations, written when there was one index by hash.
    let (home, key, _) = old_store(3);
    let mut store = Store::open(&home.path(), &key, rng()).unwrap();
    store.integrity_check().unwrap();
    assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 50);
    let old = store.record("conversation", &[7; 16]).unwrap().unwrap();
    let mut batch = Batch::new();
    let mut edited = old.record.clone();
    edited.clock += 1;
    batch.merge(0, edited.clone()).merge(0, sample_record(b"new", 1, Some(7)));
    assert_eq!(store.commit_merging(&batch).unwrap().stands, [true, true]);
    drop(store);
    let store = Store::open(&home.path(), &key, rng()).unwrap();
    assert_eq!(store.record("conversation", &[7; 16]).unwrap().unwrap().record, edited);
    assert!(store.record("things", b"new").unwrap().is_some());
    assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 51);
    store.integrity_check().unwrap();
}

#[test]
fn the_index_by_hash_is_put_in_order_as_it_grows_and_finds_every_record_before_and_after() {
    let home = Home::new();
    let mut store = home.open();
    for part in 0..10_u64 {
        let mut batch = Batch::new();
        for n in part * 4000..(part + 1) * 4000 {
            batch.merge(0, sample_record(&n.to_be_bytes(), 1, Some(n)));
        }
        store.commit_merging(&batch).unwrap();
    }
    // One that is in order is replaced, one that waits is deleted.
    let mut batch = Batch::new();
    batch
        .merge(0, sample_record(&5_u64.to_be_bytes(), 2, Some(5)))
        .merge(0, sample_record(&39_999_u64.to_be_bytes(), 2, None));
    assert_eq!(store.commit_merging(&batch).unwrap().stands, [true, true]);
    store.integrity_check().unwrap();
    for n in (0..40_000_u64).step_by(37) {
        assert_eq!(store.record("things", &n.to_be_bytes()).unwrap().unwrap().record.id.as_slice(), n.to_be_bytes());
    }
    assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 39_999);
    assert_eq!(store.count_records(40_001, 0).unwrap(), 39_999, "the tombstone is the last position");
    assert_eq!(store.count_records(1000, 0).unwrap(), 999, "one of them was replaced");
    drop(store);
    let counted = |table: &str| -> u64 {
        let query = format!("SELECT count(*) FROM {table}");
        let conn = rusqlite::Connection::open(home.path()).unwrap();
        conn.query_row(&query, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    };
    assert_eq!(counted("by_hash") + counted("new_hash"), 40_000);
    assert!(counted("by_hash") > 30_000 && counted("new_hash") > 4000, "some of both");
}

#[test]
fn stores_of_the_second_format_on_a_disk_and_in_a_browser_keep_every_record_its_position_and_its_source() {
    // Written before there were packs: each record was a row of its own.
    let (home, key, old) = old_store(2);
    let mut expected = Home::new().open();
    for batch in written_in_the_second_format() {
        expected.commit_merging(&batch).unwrap();
    }
    let kept = fs::read(old.join("kept.bin")).unwrap();
    let (mut rest, mut parts) = (kept.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (part, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        parts.push(part.to_vec());
        rest = after;
    }
    let kept: std::collections::BTreeMap<_, _> =
        parts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    for mut store in
        [Store::open(&home.path(), &key, rng()).unwrap(), Store::from_kept(kept.clone(), &key, rng()).unwrap()]
    {
        for table in Table::ALL {
            let value = store.get(table, b"id of the second format").unwrap().unwrap();
            assert_eq!(value.as_slice(), format!("value in {table}").as_bytes());
        }
        assert_eq!(said(&store), said(&expected));
        store.integrity_check().unwrap();
        let mut disk = kept.clone();
        for (key, value) in store.unkept() {
            match value {
                Some(value) => drop(disk.insert(key, value)),
                None => drop(disk.remove(&key)),
            }
        }
        drop(store);
        // The second opening has nothing left to move.
        let again = if disk == kept {
            Store::open(&home.path(), &key, rng()).unwrap()
        } else {
            Store::from_kept(disk, &key, rng()).unwrap()
        };
        assert_eq!(said(&again), said(&expected));
    }
    home.raw(|c| {
        let old = c.query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sync%'", [], |row| row.get(0));
        assert_eq!(old, Ok(0));
    });
}

#[test]
fn a_record_that_was_damaged_before_it_came_into_a_pack_is_still_found_by_the_repair() {
    let (home, key, _) = old_store(2);
    home.raw(|c| c.execute("UPDATE sync_record SET sealed = zeroblob(70) WHERE change = 30", []).unwrap());
    let hurt: i64 =
        home.raw(|c| c.query_row("SELECT count(*) FROM sync_record WHERE change = 30", [], |row| row.get(0)).unwrap());
    let mut store = Store::open(&home.path(), &key, rng()).unwrap();
    assert_eq!(store.integrity_check().is_err(), hurt == 1);
    assert_eq!(store.repair_records().unwrap(), hurt.unsigned_abs());
    store.integrity_check().unwrap();
}

#[test]
fn what_is_replaced_or_deleted_leaves_its_pack_and_small_packs_are_joined() {
    let home = Home::new();
    let mut store = home.open();
    let put = |store: &mut Store, n: u64, clock: u64, order: Option<u64>| {
        let mut batch = Batch::new();
        batch.merge(0, sample_record(&n.to_be_bytes(), clock, order));
        store.commit_merging(&batch).unwrap();
    };
    let packs =
        |home: &Home| -> i64 { home.raw(|c| c.query_row("SELECT count(*) FROM pack", [], |row| row.get(0)).unwrap()) };
    // One by one, as messages come.
    (0..1000).for_each(|n| put(&mut store, n, 1, Some(n)));
    drop(store);
    assert!(packs(&home) < 1 + 128, "{}", packs(&home));
    let mut store = home.open();
    for n in (0..1000).filter(|n| n % 10 != 3) {
        put(&mut store, n, 2, (n % 2 == 0).then_some(n));
    }
    store.integrity_check().unwrap();
    assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 500 + 100);
    assert_eq!(store.tombstones(u64::MAX, 2000).unwrap().len(), 400);
    // All but what was never touched lies after the first thousand positions.
    let (old, _) = store.records_after(0, 100).unwrap();
    assert!(old.iter().all(|logged| logged.change <= 1000 && logged.record.clock == 1));
    assert_eq!(store.records_after(1000, 2000).unwrap().0.len(), 900);
    // A batch that replaces what it has written itself.
    let mut batch = Batch::new();
    for clock in [5, 7, 6] {
        batch.merge(0, sample_record(b"again", clock, Some(clock)));
    }
    assert_eq!(store.commit_merging(&batch).unwrap().stands, [true, true, false]);
    assert_eq!(store.record("things", b"again").unwrap().unwrap().record.clock, 7);
    store.integrity_check().unwrap();
    store.rekey(&home.key).unwrap();
    store.integrity_check().unwrap();
    assert_eq!(store.records_by_order(Cursor::NEWEST, 0, 9000).unwrap().len(), 601);
}

#[test]
fn damaged_packs_and_indexes_are_found_and_the_rest_is_read_and_listed_on() {
    let fill = |home: &Home| {
        let mut store = home.open();
        for stretch in 0..4_u64 {
            let mut batch = Batch::new();
            (0..600).for_each(|n| {
                batch.merge(0, sample_record(&(stretch * 600 + n).to_be_bytes(), 1, Some(n * 4 + stretch)));
            });
            store.commit_merging(&batch).unwrap();
        }
    };
    for (hurt, most_lost) in [
        ("UPDATE pack SET sealed = zeroblob(60) WHERE pack = (SELECT min(pack) FROM pack WHERE pack > 1)", 600),
        ("UPDATE pack SET pack = pack + 1 WHERE pack = (SELECT min(pack) FROM pack WHERE pack > 1)", 600),
        ("DELETE FROM pack WHERE pack = (SELECT min(pack) FROM pack WHERE pack > 1)", 600),
        ("DELETE FROM new_hash WHERE change = 700", 0),
        ("UPDATE by_place SET rank = rank + 1 WHERE change = 700", 0),
        ("DELETE FROM by_rank WHERE change = 700", 0),
        ("INSERT INTO gone VALUES (700)", 0),
        ("INSERT INTO by_hash VALUES (7, 7)", 1),
        ("INSERT INTO new_hash VALUES (7, 7)", 1),
        ("UPDATE meta SET value = x'00000000000002bc' WHERE name = 'last-change'", 0),
        ("UPDATE meta SET value = x'07' WHERE name = 'last-change'", 0),
        ("DELETE FROM meta WHERE name = 'last-change'", 0),
    ] {
        let home = Home::new();
        fill(&home);
        home.open().integrity_check().unwrap();
        home.raw(|c| assert_eq!(c.execute(hurt, []).unwrap(), 1, "{hurt}"));
        let mut store = home.open();
        assert!(matches!(store.integrity_check(), Err(StoreError::Damaged)), "{hurt}");
        let all = store.records_in("things", b"group", Cursor::NEWEST, 5000).unwrap();
        assert!(all.len() >= 2400 - 600, "{hurt}");
        let page = store.records_in("things", b"group", Cursor::NEWEST, 20).unwrap();
        assert_eq!(page, all[..20], "a page is full although what it would have shown is damaged");
        let lost = store.repair_records().unwrap();
        assert!(lost <= most_lost && (most_lost == 0) == (lost == 0), "{hurt}: {lost}");
        store.integrity_check().unwrap();
        assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 2400 - if most_lost > 1 { lost } else { 0 }, "{hurt}");
        // Healthy copies come back and stand.
        let mut batch = Batch::new();
        (0..2400_u64).for_each(|n| {
            batch.merge(1, sample_record(&n.to_be_bytes(), 1, Some(n % 600 * 4 + n / 600)));
        });
        store.commit_merging(&batch).unwrap();
        store.integrity_check().unwrap();
        assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 2400, "{hurt}");
    }
}

#[test]
fn a_repair_leaves_one_version_of_each_record_whatever_was_written_before_it() {
    let fill = |store: &mut Store, ids: core::ops::Range<u64>, clock: u64| {
        let mut batch = Batch::new();
        for n in ids {
            batch.merge(0, sample_record(&n.to_be_bytes(), clock, Some(n)));
        }
        store.commit_merging(&batch).unwrap();
    };
    let hurts = [
        // The index does not know what is edited next.
        "DELETE FROM new_hash WHERE change BETWEEN 100 AND 109",
        // Positions are given a second time: behind what lies in a pack, within it, and in the place of one.
        "UPDATE meta SET value = x'00000000000004ae' WHERE name = 'last-change'",
        "UPDATE meta SET value = x'0000000000000064' WHERE name = 'last-change'",
    ];
    for (hurt, first) in hurts.into_iter().zip([99, 99, 300]) {
        let home = Home::new();
        let mut store = home.open();
        fill(&mut store, 0..1200, 1);
        drop(store);
        home.raw(|c| assert!(c.execute(hurt, []).unwrap() > 0, "{hurt}"));
        let mut store = home.open();
        // Edits of what the index has lost, or of anything, and new ones.
        fill(&mut store, first..first + 10, 2);
        fill(&mut store, 5000..5010, 1);
        assert!(matches!(store.integrity_check(), Err(StoreError::Damaged)), "{hurt}");
        assert_eq!(store.repair_records().unwrap(), 0, "{hurt}");
        store.integrity_check().unwrap();
        let last = store.last_change().unwrap();
        assert!(last >= 1220, "{hurt}: {last}");
        for listed in [
            store.records_in("things", b"group", Cursor::NEWEST, 9000).unwrap(),
            store.records_after(0, 9000).unwrap().0,
        ] {
            assert_eq!(listed.len(), 1210, "{hurt}");
            assert_eq!(listed.iter().filter(|logged| logged.record.clock == 2).count(), 10, "{hurt}");
        }
        for id in (0..1200_u64).chain(5000..5010) {
            let clock = store.record("things", &id.to_be_bytes()).unwrap().unwrap().record.clock;
            assert_eq!(clock, if (first..first + 10).contains(&id) { 2 } else { 1 }, "{hurt}: {id}");
        }
    }
}

#[test]
fn a_new_data_key_is_refused_while_records_are_damaged() {
    let home = Home::new();
    let mut store = home.open();
    let mut batch = Batch::new();
    for n in 0..600_u64 {
        batch.merge(0, sample_record(&n.to_be_bytes(), 1, Some(n)));
    }
    store.commit_merging(&batch).unwrap();
    drop(store);
    home.raw(|c| c.execute("UPDATE pack SET sealed = zeroblob(60) WHERE pack = 1", []).unwrap());
    let mut store = home.open();
    let other = KeyFile::create(&home.dir.path().join("other"), rng()).unwrap();
    assert!(matches!(store.rekey(&other), Err(StoreError::Damaged)), "what is lost would be lost without a word");
    drop(store);
    // Nothing was changed: the old key opens it, and a repair makes way.
    let mut store = home.open();
    let lost = store.repair_records().unwrap();
    assert!(lost > 0);
    store.rekey(&other).unwrap();
    store.integrity_check().unwrap();
    assert_eq!(store.count_records(u64::MAX, 0).unwrap(), 600 - lost);
}

#[test]
fn a_pack_that_is_half_full_is_not_written_anew_however_well_it_compresses() {
    use pairlight_wire::Bytes;
    let home = Home::new();
    let mut store = home.open();
    let packs = |store: &Store| -> std::collections::BTreeMap<u64, Vec<u8>> {
        store.rows.look(|rows| rows.packs_from(0, usize::MAX >> 1)).unwrap().into_iter().collect()
    };
    let (mut before, mut most, mut joins) = (packs(&store), 0, 0);
    for n in 0..2000_u64 {
        let mut record = sample_record(&n.to_be_bytes(), 1, Some(n));
        record.content.as_mut().unwrap().body = Bytes::new(b"the same text ".repeat(74)).unwrap();
        let mut batch = Batch::new();
        batch.merge(0, record);
        store.commit_merging(&batch).unwrap();
        let after = packs(&store);
        let anew = before.iter().filter(|(number, sealed)| after.get(number) != Some(sealed)).count();
        if anew > 0 {
            (most, joins) = (most.max(anew), joins + 1);
        }
        before = after;
    }
    assert_eq!(joins, 2000 / 128);
    assert!(most <= 128 + 2, "{most} packs were opened and sealed for one join");
    assert!(before.len() < 2000 * 1024 / (32 * 1024) + 128, "and they are joined: {}", before.len());
    store.integrity_check().unwrap();
}

fn sample_record(id: &[u8], clock: u64, order: Option<u64>) -> pairlight_wire::sync::SyncRecord {
    use pairlight_wire::sync::{Content, SyncRecord};
    use pairlight_wire::{Bytes, Text};
    let bytes = |bytes: &[u8]| Bytes::new(bytes.to_vec()).unwrap();
    SyncRecord {
        collection: Text::truncated("things"),
        id: Bytes::new(id.to_vec()).unwrap(),
        clock,
        device: pairlight_wire::id::DeviceId([3; 16]),
        content: order.map(|order| Content {
            group: bytes(b"group"),
            order,
            body: Bytes::new(b"body".to_vec()).unwrap(),
        }),
    }
}

#[test]
fn records_list_by_group_and_order_and_a_deleted_one_is_listed_nowhere() {
    let home = Home::new();
    let mut store = home.open();
    let mut batch = Batch::new();
    for (id, order) in [(b"a", 3), (b"b", 1), (b"c", 3), (b"d", 2)] {
        batch.merge(0, sample_record(id, 1, Some(order)));
    }
    assert_eq!(store.commit_merging(&batch).unwrap(), Merged { stands: vec![true; 4], last_change: 4 });
    let ids = |found: Vec<LoggedRecord>| -> Vec<Vec<u8>> {
        found.into_iter().map(|logged| logged.record.id.as_slice().to_vec()).collect()
    };
    let all = store.records_in("things", b"group", Cursor::NEWEST, 9).unwrap();
    assert_eq!(ids(all.clone()), [b"c", b"a", b"d", b"b"]);
    assert_eq!(ids(store.records_in("things", b"group", all[1].cursor(), 9).unwrap()), [b"d", b"b"]);
    assert_eq!(ids(store.records_by_order(all[0].cursor(), 2, 9).unwrap()), [b"a", b"d"]);
    assert!(store.records_in("things", b"other", Cursor::NEWEST, 9).unwrap().is_empty());
    let mut batch = Batch::new();
    batch.merge(0, sample_record(b"a", 2, None)).merge(0, sample_record(b"d", 1, Some(9)));
    batch.merge(0, sample_record(b"c", 0, None));
    assert_eq!(
        store.commit_merging(&batch).unwrap().stands,
        [true, true, false],
        "the same version: the longer encoding"
    );
    assert_eq!(ids(store.records_in("things", b"group", Cursor::NEWEST, 9).unwrap()), [b"d", b"c", b"b"]);
    assert_eq!(ids(store.tombstones(u64::MAX >> 1, 9).unwrap()), [b"a"]);
    assert!(store.record("things", b"a").unwrap().unwrap().record.content.is_none());
    assert_eq!(ids(store.records_after(4, 9).unwrap().0), [b"a", b"d"]);
}

#[test]
fn the_list_that_changes_the_root_key_leads_to_the_account_that_has_the_key() {
    use pairlight_wire::List;
    use pairlight_wire::relay::ListChain;

    use crate::Timestamp;
    use crate::devices::Account;

    let home = Home::new();
    let (mut store, now) = (home.open(), Timestamp::from_unix_ms(1_800_000_000_000));
    let account = Account::generate("phone", now, &mut rng()).unwrap();
    let next = account.rotate_root(now, &mut rng()).unwrap();
    store.put_account(&account).unwrap();
    store.put_next_account(&next).unwrap();
    // The connection hears of the list before the publication is answered, or the program dies between the two.
    let lists = List::new(vec![next.list().signed().clone()]).unwrap();
    let followed = store.follow(&ListChain { lists, ops: Some(next.ops_cert().clone()) }, now).unwrap();
    assert!(followed.epoch == next.list().list().epoch && !followed.refused && followed.fork.is_none());
    drop(store);
    let mut store = home.open();
    let kept = store.account().unwrap().expect("an account");
    assert_eq!(kept.root_pk(), next.root_pk());
    assert!(store.next_account().unwrap().is_none());
    // The answer that comes afterwards changes nothing, and tells nobody twice.
    let notices = store.notices().unwrap().len();
    store.promote_account(&next, now).unwrap();
    assert_eq!(
        (store.account().unwrap().unwrap().root_pk(), store.notices().unwrap().len()),
        (next.root_pk(), notices)
    );
}
