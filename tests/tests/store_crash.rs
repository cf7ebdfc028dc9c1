//! The store under `kill -9`, torn writes, a second process, a full disk and a read-only one.
#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pairlight_core::store::{Batch, Cursor, Probe, Store, StoreError, Table};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

#[expect(dead_code, reason = "the victim's own main is not used here, its description of the batches is")]
#[path = "../src/bin/store_victim.rs"]
mod victim;

use victim::{KEEP, MARK, ROWS, id_of, open, record_of, value_of};

const VICTIM: &str = env!("CARGO_BIN_EXE_store_victim");
const SIGKILL: i32 = 9;

/// A store that outlives many victims, and the last batch that is known to be in it.
struct Ward {
    dir: TempDir,
    last: Option<u64>,
    kills: u32,
    /// How often a batch turned out to be durable that its victim had no time to report.
    unreported: u32,
}

impl Ward {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), last: None, kills: 0, unreported: 0 }
    }

    fn next(&self) -> u64 {
        self.last.map_or(0, |last| last + 1)
    }

    fn victim(&self) -> Command {
        let mut command = Command::new(VICTIM);
        command.arg(self.dir.path()).arg(self.next().to_string());
        command
    }

    /// Takes the dead victim's words and holds the store against them.
    fn examine(&mut self, said: &str) {
        self.kills += 1;
        self.search_for_plaintext();
        let reported = said.lines().filter_map(|line| line.parse::<u64>().ok()).next_back().or(self.last);
        let store = open(self.dir.path(), Probe::default()).unwrap();
        store.integrity_check().unwrap();
        let last = last_batch(&store);
        // One more may be durable than was reported, never one less, and none in part.
        if last != reported {
            assert_eq!(last, Some(reported.map_or(0, |k| k + 1)), "reported {reported:?}");
            self.unreported += 1;
        }
        assert_holds_exactly(&store, last);
        self.last = last;
    }

    fn search_for_plaintext(&self) {
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(MARK.len()).any(|w| w == MARK.as_bytes()), "plaintext in {}", path.display());
            assert_ne!(path.extension().unwrap_or_default(), "db-shm");
        }
    }
}

/// The highest batch of which any row is there.
fn last_batch(store: &Store) -> Option<u64> {
    let number = |id: &[u8]| -> u64 {
        let id = std::str::from_utf8(id).unwrap();
        id.strip_prefix(MARK).unwrap()[1..].split('/').next().unwrap().parse().unwrap()
    };
    ROWS.iter().flat_map(|(table, _)| store.list(*table).unwrap()).map(|record| number(&record.unwrap().id)).max()
}

/// The rows of the last `KEEP` batches, each with its value, and no other row; and the records of all batches.
fn assert_holds_exactly(store: &Store, last: Option<u64>) {
    let records = store.count_records(u64::MAX, 0).unwrap();
    if let Some(last) = last {
        let newest = store.records_by_order(Cursor::NEWEST, 0, 1).unwrap().remove(0).record;
        assert_eq!(newest, record_of(last), "the record is of the same batch as the rows");
        assert_eq!(store.record(MARK, newest.id.as_slice()).unwrap().unwrap().record, newest);
    } else {
        assert_eq!(records, 0);
    }
    let kept: Vec<u64> = last.map_or(Vec::new(), |last| (last.saturating_sub(KEEP - 1)..=last).collect());
    for (table, letter) in ROWS {
        for &k in &kept {
            let found = store.get(table, id_of(k, letter).as_bytes()).unwrap();
            assert!(found.is_some_and(|v| *v == value_of(k, letter)), "batch {k} lacks row {letter}, last {last:?}");
        }
        assert_eq!(store.list(table).unwrap().len(), kept.len(), "table {table}, last {last:?}");
    }
}

/// Kills and reads what was said until then.
fn kill(mut child: Child) -> String {
    child.kill().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(SIGKILL), "the victim ended by itself: {status}");
    said
}

/// Lets a victim run to a write point and kills it there.
fn kill_at(ward: &mut Ward, point: u64) {
    let child = ward.victim().arg(point.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let said = kill_when_stopped(child);
    ward.examine(&said);
}

fn kill_when_stopped(mut child: Child) -> String {
    let mut said = String::new();
    let mut byte = [0];
    let mut out = child.stdout.take().unwrap();
    while !said.ends_with("stopped\n") {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "the victim ended before its write point");
        said.push(char::from(byte[0]));
    }
    child.stdout = Some(out);
    said + &kill(child)
}

#[test]
fn a_kill_at_every_write_point_of_a_new_store_leaves_whole_batches() {
    // File, schema and four batches: 4 + 4 * 6 points, two of a checkpoint.
    let (mut kills, mut unreported) = (0, 0);
    for point in 0..30 {
        let mut ward = Ward::new();
        kill_at(&mut ward, point);
        // The next one starts on what the first one left.
        kill_at(&mut ward, 12);
        kills += ward.kills;
        unreported += ward.unreported;
    }
    println!("{kills} kills at write points of new stores, {unreported} with a durable batch that was not reported");
    assert_eq!(kills, 60);
    assert!(unreported > 0, "no kill hit the moment between commit and report");
}

#[test]
fn a_kill_at_every_write_point_of_a_used_store_leaves_whole_batches() {
    let mut ward = Ward::new();
    for point in (0..10).chain(0..75) {
        kill_at(&mut ward, point);
    }
    println!("{} kills at write points, {} unreported, {:?} last", ward.kills, ward.unreported, ward.last);
    assert_eq!(ward.kills, 85);
}

#[test]
fn kills_at_random_moments_leave_whole_batches() {
    let mut ward = Ward::new();
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    for round in 0..120 {
        let mut child = ward.victim().stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        // Every fourth dies somewhere from its start on, the others after their first word, in the stream of writes.
        if round % 4 != 0 {
            let mut byte = [0];
            child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            said.push(char::from(byte[0]));
        }
        std::thread::sleep(Duration::from_micros(u64::from(rng.next_u32() % 40_000)));
        said += &kill(child);
        ward.examine(&said);
    }
    println!("{} random kills, {} unreported, {:?} last", ward.kills, ward.unreported, ward.last);
    assert_eq!(ward.kills, 120);
    assert!(ward.last.is_some_and(|last| last >= 90), "the victims hardly wrote: {:?}", ward.last);
}

#[test]
fn a_write_that_is_torn_at_any_kilobyte_leaves_whole_batches() {
    let mut ward = Ward::new();
    let mut torn = 0;
    // Making the tables alone takes some 60 KiB of journal, in blocks of half a kilobyte.
    for blocks in (1..=240).step_by(2) {
        // The system writes up to the limit and then ends the process: a journal cut off in the middle of a page.
        let limited = format!("ulimit -c 0; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let child = Command::new("sh")
            .arg("-c")
            .arg(limited)
            .arg(VICTIM)
            .arg(ward.dir.path())
            .arg(ward.next().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.signal().is_some(), "{blocks}: the victim ended by itself: {}", done.status);
        torn += 1;
        ward.examine(std::str::from_utf8(&done.stdout).unwrap());
    }
    println!("{torn} torn writes, {} unreported, {:?} last", ward.unreported, ward.last);
    assert!(ward.last.is_some(), "no victim got as far as a commit");
}

#[test]
fn a_second_process_is_kept_out_while_the_first_lives_and_not_longer() {
    let ward = Ward::new();
    let mut child = ward.victim().arg("20").stdout(Stdio::piped()).spawn().unwrap();
    // It has spoken, so it has the store.
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let error = open(ward.dir.path(), Probe::default()).expect_err("two processes have the store");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    kill(child);
    // The other way round: now this process has it, and the victim says why it gives up.
    let store = open(ward.dir.path(), Probe::default()).unwrap();
    let second = ward.victim().output().unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(words.contains("InUse"), "{words}");
    drop(store);
}

/// A small file system of its own; unmounted at the end.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn run(arguments: &[&str], at: &'a Path) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(at).output();
        match done {
            Ok(done) if done.status.success() => Some(Self(at)),
            Ok(done) => {
                println!("skipped: mount {arguments:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
                None
            }
            Err(e) => {
                println!("skipped: mount: {e}");
                None
            }
        }
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_is_really_full_loses_nothing_that_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::run(&["-t", "tmpfs", "-o", "size=512k", "tmpfs"], dir.path()) else { return };
    let mut store = open(dir.path(), Probe::default()).unwrap();
    let pair = |n: u32| {
        let mut batch = Batch::new();
        batch.put(Table::Link, &n.to_be_bytes(), &[1; 3000]).put(Table::DeviceKey, &n.to_be_bytes(), &[2; 3000]);
        batch
    };
    let mut committed = 0;
    let error = loop {
        match store.commit(&pair(committed)) {
            Ok(()) => committed += 1,
            Err(e) => break e,
        }
    };
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    let check = |store: &Store| {
        let counts =
            [Table::Link, Table::DeviceKey].map(|t| store.list(t).unwrap().into_iter().map(Result::unwrap).count());
        assert_eq!(counts, [committed as usize; 2]);
        store.integrity_check().unwrap();
    };
    check(&store);
    drop(store);
    let store = open(dir.path(), Probe::default());
    match &store {
        Ok(store) => check(store),
        Err(e) => assert!(matches!(e, StoreError::DiskFull), "{e}"),
    }
    drop(store);
    assert!(Command::new("mount").args(["-o", "remount,size=4m"]).arg(dir.path()).status().unwrap().success());
    let mut store = open(dir.path(), Probe::default()).unwrap();
    check(&store);
    store.commit(&pair(committed)).unwrap();
    println!("full after {committed} batches; all there, and writable again after more space was given");
}

#[test]
fn a_full_disk_at_creation_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::run(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"], dir.path()) else { return };
    drop(open_key(dir.path()));
    let _ = fs::write(dir.path().join("ballast"), vec![1; 256 * 1024]);
    let error = open(dir.path(), Probe::default()).expect_err("created on a full disk");
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    fs::remove_file(dir.path().join("ballast")).unwrap();
    open(dir.path(), Probe::default()).unwrap();
}

fn open_key(directory: &Path) -> pairlight_core::store::KeyFile {
    pairlight_core::store::KeyFile::open_or_create(&directory.join("key"), victim::system_rng()).unwrap()
}

#[test]
fn a_read_only_file_system_and_a_read_only_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::run(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"], dir.path()) else { return };
    open(dir.path(), Probe::default()).unwrap().put(Table::Setting, b"a", b"1").unwrap();
    let remount = |how: &str| {
        assert!(Command::new("mount").args(["-o", how]).arg(dir.path()).status().unwrap().success());
    };
    remount("remount,ro");
    let error = open(dir.path(), Probe::default()).expect_err("opened on a read-only file system");
    assert!(matches!(error, StoreError::ReadOnlyDirectory { .. }), "{error}");
    let fresh = Store::open(&dir.path().join("fresh.db"), &open_key(dir.path()), victim::system_rng());
    assert!(matches!(fresh, Err(StoreError::ReadOnlyDirectory { .. })), "{fresh:?}");
    remount("remount,rw");

    let file = dir.path().join("store.db");
    {
        let Some(_bound) = Mount::run(&["--bind", file.to_str().unwrap()], &file) else { return };
        assert!(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&file).status().unwrap().success());
        let error = open(dir.path(), Probe::default()).expect_err("opened a read-only file");
        assert!(matches!(error, StoreError::ReadOnlyFile { .. }), "{error}");
    }
    let store = open(dir.path(), Probe::default()).unwrap();
    assert_eq!(store.get(Table::Setting, b"a").unwrap().as_deref(), Some(&b"1".to_vec()));
}
