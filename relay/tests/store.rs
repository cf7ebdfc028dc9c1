//! One set of rules for every store: same calls, same answers.
#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;

use pairlight_relay::RelayError;
use pairlight_relay::store::*;
use pairlight_wire::id::{AccountId, BlobId, DeviceId};
use pairlight_wire::sign::Signed;
use pairlight_wire::{Bytes, Wire};

const LIMITS: MailboxLimits = MailboxLimits { bytes: 100, messages: 3 };
const MANY: MailboxLimits = MailboxLimits { bytes: 1 << 30, messages: 1 << 30 };
const TO: Mailbox = (AccountId([1; 16]), DeviceId([2; 16]));
const FROM: DeviceId = DeviceId([3; 16]);
const ACCOUNT: AccountId = AccountId([1; 16]);
const ROOM: u64 = 1 << 20;

fn sqlite(folder: &std::path::Path) -> SqliteStore {
    // Without a sync at every commit: the rules are the same, and the disk is spared.
    let options = SqliteOptions { most_bytes: 1 << 30, durability: Durability::ProgramEnd };
    SqliteStore::open(folder, options).unwrap()
}

/// Runs one rule on every kind of store, each fresh.
async fn everywhere<F: Future<Output = ()>>(rule: impl Fn(Arc<dyn Store>) -> F) {
    rule(Arc::new(MemoryStore::new(1 << 30))).await;
    let folder = tempfile::tempdir().unwrap();
    rule(Arc::new(sqlite(folder.path()))).await;
}

fn letter(reference: u64, size: usize, at: u64) -> NewMail {
    NewMail { to: TO, from: FROM, reference, envelope: vec![7; size], at }
}

fn signed(number: u8) -> Signed {
    Signed { kid: [number; 8], payload: Bytes::new(vec![number; 40]).unwrap(), sig: [number; 64] }
}

fn list(epoch: u64, after: Option<u64>, ops: u8) -> NewList {
    let stored = StoredList { list: signed(epoch as u8), ops: signed(ops) };
    NewList { account: ACCOUNT, epoch, after, stored, renews_ops: true, recovery: None, kept: 1_024 }
}

fn blob(number: u8) -> BlobKey {
    (ACCOUNT, BlobId([number; 32]))
}

fn part(number: u8, offset: u64, total: u64, bytes: &[u8], at: u64) -> NewPart {
    NewPart { blob: blob(number), offset, total, bytes: bytes.to_vec(), at }
}

#[tokio::test]
async fn lists_are_swapped_only_when_they_follow_the_newest() {
    everywhere(|store| async move {
        assert_eq!(store.head(ACCOUNT).await.unwrap(), None);
        assert!(!store.append(list(2, Some(1), 0)).await.unwrap(), "of an unknown account");
        assert!(store.append(list(3, None, 50)).await.unwrap(), "any epoch may be the first");
        assert!(!store.append(list(4, None, 50)).await.unwrap(), "it is known now");
        assert!(!store.append(list(5, Some(4), 50)).await.unwrap());
        for (epoch, ops) in [(4, 51), (5, 51), (6, 50), (7, 52), (8, 53), (9, 54)] {
            assert!(store.append(list(epoch, Some(epoch - 1), ops)).await.unwrap(), "{epoch}");
        }
        let head = store.head(ACCOUNT).await.unwrap().unwrap();
        assert_eq!(head.newest, StoredList { list: signed(9), ops: signed(54) });
        assert_eq!(head.ops, [54, 53, 52, 50].map(signed), "the current one first, each once, the oldest gone");
        let kept = NewList { renews_ops: false, ..list(10, Some(9), 55) };
        assert!(store.append(kept).await.unwrap());
        assert_eq!(store.head(ACCOUNT).await.unwrap().unwrap().ops, [54, 53, 52, 50].map(signed));

        let lists = |from, most| store.lists(ACCOUNT, from, most);
        assert_eq!(lists(0, 2).await.unwrap(), [3, 4].map(signed));
        assert_eq!(lists(9, 9).await.unwrap(), [9, 10].map(signed));
        assert_eq!(lists(u64::MAX, 9).await.unwrap(), []);
        assert!(store.append(NewList { kept: 2, ..list(11, Some(10), 54) }).await.unwrap());
        assert_eq!(lists(0, 9).await.unwrap(), [10, 11].map(signed), "the oldest make room");
        assert_eq!(store.lists(AccountId([9; 16]), 0, 9).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_recovery_key_leads_to_the_account_that_named_it_first_and_still_does() {
    everywhere(|store| async move {
        let names = |account: u8, epoch, after, key: Option<u8>| NewList {
            account: AccountId([account; 16]),
            recovery: key.map(|key| [key; 32]),
            ..list(epoch, after, 0)
        };
        let owner = |key: u8| store.account_with_recovery([key; 32]);
        assert_eq!(owner(1).await.unwrap(), None);
        assert!(store.append(names(1, 1, None, Some(1))).await.unwrap());
        assert!(store.append(names(2, 1, None, Some(1))).await.unwrap());
        assert_eq!(owner(1).await.unwrap(), Some(AccountId([1; 16])));
        assert!(store.append(names(1, 2, Some(1), Some(2))).await.unwrap());
        assert_eq!(owner(2).await.unwrap(), Some(AccountId([1; 16])));
        assert_eq!(owner(1).await.unwrap(), None, "the other one named it too late");
        assert!(store.append(names(2, 2, Some(1), Some(1))).await.unwrap());
        assert_eq!(owner(1).await.unwrap(), Some(AccountId([2; 16])));
        assert!(store.append(names(1, 3, Some(2), None)).await.unwrap());
        assert_eq!(owner(2).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn of_two_lists_at_once_one_wins() {
    everywhere(|store| async move {
        assert!(store.append(list(1, None, 0)).await.unwrap());
        let tries: Vec<_> = (0..8).map(|_| tokio::spawn(append(store.clone(), list(2, Some(1), 0)))).collect();
        let mut winners = 0;
        for tried in tries {
            winners += usize::from(tried.await.unwrap());
        }
        assert_eq!(winners, 1);
    })
    .await;
}

async fn append(store: Arc<dyn Store>, new: NewList) -> bool {
    store.append(new).await.unwrap()
}

#[tokio::test]
async fn a_mailbox_numbers_refuses_repeats_and_frees() {
    everywhere(|store| async move {
        for (reference, size, expected) in [
            (1, 60, Deposit::Stored(1)),
            (1, 60, Deposit::Repeated),
            (2, 60, Deposit::Full),
            (3, 20, Deposit::Stored(2)),
            (u64::MAX, 20, Deposit::Stored(3)),
            (5, 0, Deposit::Full),
        ] {
            assert_eq!(store.deposit(letter(reference, size, 10), LIMITS).await.unwrap(), expected, "{reference}");
        }
        assert_eq!(store.mail(TO, 1, 1).await.unwrap(), [(2, vec![7; 20])]);
        store.acknowledge(TO, 2).await.unwrap();
        assert_eq!(store.mail(TO, 0, 9).await.unwrap(), [(3, vec![7; 20])]);
        assert_eq!(store.deposit(letter(1, 60, 10), LIMITS).await.unwrap(), Deposit::Repeated, "after the ack too");
        let other = NewMail { from: DeviceId([4; 16]), ..letter(1, 60, 20) };
        assert_eq!(
            store.deposit(other, LIMITS).await.unwrap(),
            Deposit::Stored(4),
            "another sender; numbers only grow"
        );
        store.drop_mail_before(15).await.unwrap();
        assert_eq!(store.mail(TO, 0, 9).await.unwrap(), [(4, vec![7; 60])]);
        assert_eq!(store.deposit(letter(6, 40, 30), LIMITS).await.unwrap(), Deposit::Stored(5), "its room is back");
        store.drop_mailbox(TO).await.unwrap();
        assert_eq!(store.mail(TO, 0, 9).await.unwrap(), []);
        assert_eq!(store.deposit(letter(1, 60, 30), LIMITS).await.unwrap(), Deposit::Stored(1), "a new mailbox");
    })
    .await;
}

#[tokio::test]
async fn references_are_remembered_in_bounded_memory() {
    everywhere(|store| async move {
        let kept = REFERENCES_KEPT as u64;
        for reference in 0..kept + 10 {
            assert!(matches!(store.deposit(letter(reference, 0, 0), MANY).await.unwrap(), Deposit::Stored(_)));
        }
        store.acknowledge(TO, u64::MAX).await.unwrap();
        assert_eq!(store.deposit(letter(10, 0, 0), MANY).await.unwrap(), Deposit::Repeated);
        assert!(matches!(store.deposit(letter(9, 0, 0), MANY).await.unwrap(), Deposit::Stored(_)), "forgotten");
    })
    .await;
}

#[tokio::test]
async fn posts_at_once_get_a_number_each() {
    everywhere(|store| async move {
        let posts: Vec<_> = (0..40)
            .map(|reference| {
                let store = store.clone();
                tokio::spawn(async move { store.deposit(letter(reference, 10, 0), MANY).await.unwrap() })
            })
            .collect();
        let mut numbers = Vec::new();
        for post in posts {
            match post.await.unwrap() {
                Deposit::Stored(number) => numbers.push(number),
                other => panic!("{other:?}"),
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
        let stored: Vec<_> = store.mail(TO, 0, 99).await.unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(stored, numbers);
    })
    .await;
}

#[tokio::test]
async fn a_blob_grows_part_by_part_and_is_read_from_anywhere() {
    everywhere(|store| async move {
        let state = |received| BlobState { received, total: 10 };
        assert_eq!(store.blob(blob(1)).await.unwrap(), None);
        let none = store.add_part(part(1, 3, 10, b"xyz", 5), ROOM).await.unwrap();
        assert_eq!(none, PartStored::Elsewhere(None), "not from the beginning");
        for (offset, bytes, expected) in [
            (0, b"".as_slice(), PartStored::Stored(state(0))),
            (0, b"abcd", PartStored::Stored(state(4))),
            (0, b"abcd", PartStored::Elsewhere(Some(state(4)))),
            (4, b"efghijk", PartStored::Elsewhere(Some(state(4)))),
            (4, b"efghij", PartStored::Stored(state(10))),
            (10, b"", PartStored::Stored(state(10))),
        ] {
            assert_eq!(store.add_part(part(1, offset, 10, bytes, 5), ROOM).await.unwrap(), expected, "{offset}");
        }
        let other_length = store.add_part(part(1, 10, 11, b"k", 5), ROOM).await.unwrap();
        assert_eq!(other_length, PartStored::Elsewhere(Some(state(10))));
        for most in 1..=11 {
            for from in 0..=11_usize {
                let read = store.read_blob(blob(1), from as u64, most).await.unwrap();
                assert!(read.len() <= most && b"abcdefghij"[from.min(10)..].starts_with(&read), "{from} {most}");
                assert_eq!(read.is_empty(), from >= 10, "{from} {most}");
            }
        }
        assert_eq!(store.read_blob((AccountId([8; 16]), blob(1).1), 0, 9).await.unwrap(), b"", "of its account only");
        store.drop_blob(blob(1)).await.unwrap();
        store.drop_blob(blob(1)).await.unwrap();
        assert_eq!(store.blob(blob(1)).await.unwrap(), None);
        assert_eq!(store.read_blob(blob(1), 0, 9).await.unwrap(), b"");
    })
    .await;
}

#[tokio::test]
async fn blobs_take_their_room_when_begun_and_give_it_back() {
    everywhere(|store| async move {
        let room = 3 * BLOB_LEAST;
        let begin = |number, total| store.add_part(part(number, 0, total, b"", u64::from(number)), room);
        assert!(matches!(begin(1, 2 * BLOB_LEAST).await.unwrap(), PartStored::Stored(_)));
        assert!(matches!(begin(2, 1).await.unwrap(), PartStored::Stored(_)), "counts as the least");
        assert_eq!(begin(3, 1).await.unwrap(), PartStored::Full);
        let foreign = NewPart { blob: (AccountId([9; 16]), blob(3).1), ..part(3, 0, 1, b"", 3) };
        assert!(matches!(store.add_part(foreign, room).await.unwrap(), PartStored::Stored(_)), "each account its own");
        store.drop_blob(blob(2)).await.unwrap();
        assert!(matches!(begin(4, 1).await.unwrap(), PartStored::Stored(_)));
        store.drop_blobs_before(4).await.unwrap();
        assert_eq!(store.blob(blob(1)).await.unwrap(), None);
        assert_eq!(store.blob(blob(4)).await.unwrap(), Some(BlobState { received: 0, total: 1 }));
        assert!(matches!(begin(5, 2 * BLOB_LEAST).await.unwrap(), PartStored::Stored(_)));
        assert_eq!(begin(6, 0).await.unwrap(), PartStored::Full);
    })
    .await;
}

#[tokio::test]
async fn sqlite_keeps_all_over_a_restart_and_is_used_by_one_relay_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path());
    assert!(store.append(list(1, None, 0)).await.unwrap());
    assert_eq!(store.deposit(letter(1, 9, 0), LIMITS).await.unwrap(), Deposit::Stored(1));
    store.add_part(part(1, 0, 9, b"half", 0), ROOM).await.unwrap();
    let second = SqliteStore::open(folder.path(), SqliteOptions { most_bytes: 0, durability: Durability::default() });
    match second {
        Err(RelayError::Store { reason, .. }) => assert!(reason.contains("another relay"), "{reason}"),
        _ => panic!("two relays on one folder"),
    }
    drop(store);

    let store = sqlite(folder.path());
    assert_eq!(store.head(ACCOUNT).await.unwrap().unwrap().newest.list.encode(), signed(1).encode());
    assert_eq!(store.deposit(letter(1, 9, 0), LIMITS).await.unwrap(), Deposit::Repeated);
    assert_eq!(store.mail(TO, 0, 9).await.unwrap(), [(1, vec![7; 9])]);
    assert_eq!(store.blob(blob(1)).await.unwrap(), Some(BlobState { received: 4, total: 9 }));
}

#[tokio::test]
async fn a_backup_that_was_made_while_the_relay_ran_is_a_store() {
    let (running, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = sqlite(running.path());
    assert!(store.append(list(1, None, 0)).await.unwrap());
    assert_eq!(store.deposit(letter(1, 9, 0), LIMITS).await.unwrap(), Deposit::Stored(1));
    // What the guide says, by SQLite itself.
    let live = rusqlite::Connection::open(running.path().join("relay.db")).unwrap();
    live.execute("VACUUM INTO ?", [restored.path().join("relay.db").to_str().unwrap()]).unwrap();
    assert_eq!(store.deposit(letter(2, 9, 0), LIMITS).await.unwrap(), Deposit::Stored(2), "it went on meanwhile");

    let restored = sqlite(restored.path());
    assert_eq!(restored.head(ACCOUNT).await.unwrap().unwrap().newest.list, signed(1));
    assert_eq!(restored.mail(TO, 0, 9).await.unwrap(), [(1, vec![7; 9])]);
    assert_eq!(restored.deposit(letter(1, 9, 0), LIMITS).await.unwrap(), Deposit::Repeated);
    assert!(restored.append(list(2, Some(1), 0)).await.unwrap());
}

#[tokio::test]
async fn a_full_sqlite_file_refuses_what_does_not_fit_and_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { most_bytes: 256 * 1024, durability: Durability::ProgramEnd };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    let mut stored = 0;
    let full = loop {
        match store.deposit(letter(stored + 1, 20_000, 0), MANY).await {
            Ok(Deposit::Stored(number)) => stored = number,
            other => break other,
        }
    };
    assert!(matches!(full, Err(StoreError::Full)) && stored > 3, "{full:?} after {stored}");
    assert_eq!(store.mail(TO, 0, 99).await.unwrap().len() as u64, stored, "what was accepted is there");
    store.acknowledge(TO, stored).await.unwrap();
    assert_eq!(store.deposit(letter(900, 20_000, 0), MANY).await.unwrap(), Deposit::Stored(stored + 1));
}

#[tokio::test]
async fn sqlite_does_not_touch_a_file_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relay.db"), "this is a letter, not a database, and long enough".repeat(99))
        .unwrap();
    let opened =
        SqliteStore::open(folder.path(), SqliteOptions { most_bytes: 1 << 20, durability: Durability::default() });
    assert!(matches!(opened, Err(RelayError::Store { .. })));
    assert!(std::fs::read_to_string(folder.path().join("relay.db")).unwrap().starts_with("this is a letter"));
}

#[tokio::test]
async fn space_that_was_freed_goes_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path());
    for reference in 0..40 {
        store.deposit(letter(reference, 60_000, 0), MANY).await.unwrap();
    }
    store.acknowledge(TO, u64::MAX).await.unwrap();
    for _ in 0..8 {
        store.drop_mail_before(0).await.unwrap();
    }
    drop(store);
    let size = std::fs::metadata(folder.path().join("relay.db")).unwrap().len();
    assert!(size < 1_000_000, "{size} bytes for an empty store");
}
