//! A store in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::sign::Signed;

use super::{
    BlobKey, BlobState, Deposit, Head, Mailbox, MailboxLimits, NewList, NewMail, NewPart, Numbered, OPS_KEPT,
    PartStored, REFERENCES_KEPT, Store, StoreError, Stored, StoredList, blob_room,
};

struct Letter {
    envelope: Vec<u8>,
    at: u64,
}

#[derive(Default)]
struct Letters {
    last: u64,
    letters: BTreeMap<u64, Letter>,
    bytes: usize,
    /// Newest last.
    references: HashMap<DeviceId, VecDeque<u64>>,
}

#[derive(Default)]
struct Account {
    /// By epoch.
    lists: BTreeMap<u64, StoredList>,
    ops: Vec<Signed>,
}

struct Blob {
    contents: Vec<u8>,
    total: u64,
    at: u64,
}

impl Blob {
    fn state(&self) -> BlobState {
        BlobState { received: self.contents.len() as u64, total: self.total }
    }

    fn bytes(&self) -> usize {
        self.contents.len().saturating_add(OVERHEAD)
    }
}

#[derive(Default)]
struct Memory {
    accounts: HashMap<AccountId, Account>,
    recoveries: HashMap<[u8; 32], AccountId>,
    mailboxes: HashMap<Mailbox, Letters>,
    blobs: HashMap<BlobKey, Blob>,
    /// What the blobs of an account take when complete.
    in_flight: HashMap<AccountId, u64>,
    bytes: usize,
}

/// A store in memory, for demonstrations, tests and small relays that may forget.
pub struct MemoryStore {
    memory: Mutex<Memory>,
    most_bytes: usize,
}

/// Bytes that a stored item takes beside its contents, roughly.
const OVERHEAD: usize = 256;
/// Bytes that a remembered reference takes.
const REFERENCE_BYTES: usize = 8;

fn list_bytes(stored: &StoredList) -> usize {
    let payloads = [&stored.list, &stored.ops].map(|signed| signed.payload.as_slice().len());
    payloads.into_iter().fold(2 * OVERHEAD, usize::saturating_add)
}

impl MemoryStore {
    /// An empty store that holds at most `most_bytes`.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self { memory: Mutex::default(), most_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn reserve(&mut self, bytes: usize, most: usize) -> Result<(), StoreError> {
        let total = self.bytes.saturating_add(bytes);
        if total > most {
            return Err(StoreError::Full);
        }
        self.bytes = total;
        Ok(())
    }

    /// Drops the letters of one mailbox that `gone` picks.
    fn discard(&mut self, to: Mailbox, mut gone: impl FnMut(u64, &Letter) -> bool) {
        let Some(letters) = self.mailboxes.get_mut(&to) else { return };
        let mut freed = 0_usize;
        let mut contents = 0_usize;
        letters.letters.retain(|number, letter| {
            let drop = gone(*number, letter);
            if drop {
                contents = contents.saturating_add(letter.envelope.len());
                freed = freed.saturating_add(letter.envelope.len().saturating_add(OVERHEAD));
            }
            !drop
        });
        letters.bytes = letters.bytes.saturating_sub(contents);
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

impl Memory {
    fn drop_blob(&mut self, key: BlobKey) {
        let Some(blob) = self.blobs.remove(&key) else { return };
        self.bytes = self.bytes.saturating_sub(blob.bytes());
        if let Some(taken) = self.in_flight.get_mut(&key.0) {
            *taken = taken.saturating_sub(blob_room(blob.total));
            if *taken == 0 {
                self.in_flight.remove(&key.0);
            }
        }
    }
}

/// An answer that is there at once.
fn ready<'a, T: Send + 'a>(value: Result<T, StoreError>) -> Stored<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Store for MemoryStore {
    fn head(&self, account: AccountId) -> Stored<'_, Option<Head>> {
        let memory = self.lock();
        let head = memory.accounts.get(&account).and_then(|account| {
            let (_, newest) = account.lists.last_key_value()?;
            Some(Head { newest: newest.clone(), ops: account.ops.clone() })
        });
        ready(Ok(head))
    }

    fn lists(&self, account: AccountId, from: u64, most: usize) -> Stored<'_, Vec<Signed>> {
        let memory = self.lock();
        let lists = memory.accounts.get(&account).into_iter().flat_map(|account| account.lists.range(from..));
        ready(Ok(lists.take(most).map(|(_, stored)| stored.list.clone()).collect()))
    }

    fn append(&self, new: NewList) -> Stored<'_, bool> {
        let mut memory = self.lock();
        let account = memory.accounts.get(&new.account);
        let newest = account.and_then(|account| account.lists.last_key_value()).map(|(epoch, _)| *epoch);
        if newest != new.after {
            return ready(Ok(false));
        }
        if let Err(full) = memory.reserve(list_bytes(&new.stored), self.most_bytes) {
            return ready(Err(full));
        }
        let account = memory.accounts.entry(new.account).or_default();
        if new.renews_ops && account.ops.first() != Some(&new.stored.ops) {
            account.ops.retain(|ops| *ops != new.stored.ops);
            account.ops.insert(0, new.stored.ops.clone());
            account.ops.truncate(OPS_KEPT);
        }
        account.lists.insert(new.epoch, new.stored);
        let kept = account.lists.split_off(&new.epoch.saturating_sub(new.kept).saturating_add(1));
        let dropped = core::mem::replace(&mut account.lists, kept);
        let freed = dropped.values().map(list_bytes).fold(0, usize::saturating_add);
        memory.bytes = memory.bytes.saturating_sub(freed);
        memory.recoveries.retain(|key, owner| *owner != new.account || new.recovery == Some(*key));
        if let Some(key) = new.recovery {
            memory.recoveries.entry(key).or_insert(new.account);
        }
        ready(Ok(true))
    }

    fn account_with_recovery(&self, recovery_pk: [u8; 32]) -> Stored<'_, Option<AccountId>> {
        ready(Ok(self.lock().recoveries.get(&recovery_pk).copied()))
    }

    fn deposit(&self, mail: NewMail, limits: MailboxLimits) -> Stored<'_, Deposit> {
        let mut memory = self.lock();
        let size = mail.envelope.len();
        if let Some(letters) = memory.mailboxes.get(&mail.to) {
            if letters.references.get(&mail.from).is_some_and(|known| known.contains(&mail.reference)) {
                return ready(Ok(Deposit::Repeated));
            }
            if letters.letters.len() >= limits.messages || letters.bytes.saturating_add(size) > limits.bytes {
                return ready(Ok(Deposit::Full));
            }
        }
        let known = memory.mailboxes.get(&mail.to).and_then(|letters| letters.references.get(&mail.from));
        let forgets = known.is_some_and(|known| known.len() >= REFERENCES_KEPT);
        let remembered = if forgets { 0 } else { REFERENCE_BYTES };
        if let Err(full) = memory.reserve(size.saturating_add(OVERHEAD).saturating_add(remembered), self.most_bytes) {
            return ready(Err(full));
        }
        let letters = memory.mailboxes.entry(mail.to).or_default();
        let number = letters.last.saturating_add(1);
        letters.last = number;
        letters.bytes = letters.bytes.saturating_add(size);
        letters.letters.insert(number, Letter { envelope: mail.envelope, at: mail.at });
        let references = letters.references.entry(mail.from).or_default();
        references.push_back(mail.reference);
        if forgets {
            references.pop_front();
        }
        ready(Ok(Deposit::Stored(number)))
    }

    fn mail(&self, to: Mailbox, after: u64, most: usize) -> Stored<'_, Vec<Numbered>> {
        let memory = self.lock();
        let letters = memory.mailboxes.get(&to).into_iter();
        let letters = letters.flat_map(|letters| letters.letters.range(after.saturating_add(1)..));
        ready(Ok(letters.take(most).map(|(number, letter)| (*number, letter.envelope.clone())).collect()))
    }

    fn acknowledge(&self, to: Mailbox, up_to: u64) -> Stored<'_, ()> {
        self.lock().discard(to, |number, _| number <= up_to);
        ready(Ok(()))
    }

    fn drop_mailbox(&self, to: Mailbox) -> Stored<'_, ()> {
        let mut memory = self.lock();
        memory.discard(to, |_, _| true);
        if let Some(letters) = memory.mailboxes.remove(&to) {
            let references = letters.references.values().map(VecDeque::len).fold(0, usize::saturating_add);
            memory.bytes = memory.bytes.saturating_sub(references.saturating_mul(REFERENCE_BYTES));
        }
        ready(Ok(()))
    }

    fn drop_mail_before(&self, oldest: u64) -> Stored<'_, ()> {
        let mut memory = self.lock();
        let all: Vec<_> = memory.mailboxes.keys().copied().collect();
        for to in all {
            memory.discard(to, |_, letter| letter.at < oldest);
        }
        ready(Ok(()))
    }

    fn add_part(&self, part: NewPart, room: u64) -> Stored<'_, PartStored> {
        let mut memory = self.lock();
        let known = memory.blobs.get(&part.blob).map(Blob::state);
        let expected = known.map_or(0, |known| known.received);
        let end = part.offset.saturating_add(part.bytes.len() as u64);
        if part.offset != expected || end > part.total || known.is_some_and(|known| known.total != part.total) {
            return ready(Ok(PartStored::Elsewhere(known)));
        }
        let taken = memory.in_flight.get(&part.blob.0).copied().unwrap_or_default();
        let taken = taken.saturating_add(blob_room(part.total));
        if known.is_none() && taken > room {
            return ready(Ok(PartStored::Full));
        }
        let overhead = if known.is_none() { OVERHEAD } else { 0 };
        if let Err(full) = memory.reserve(part.bytes.len().saturating_add(overhead), self.most_bytes) {
            return ready(Err(full));
        }
        if known.is_none() {
            memory.in_flight.insert(part.blob.0, taken);
        }
        let new = || Blob { contents: Vec::new(), total: part.total, at: part.at };
        let blob = memory.blobs.entry(part.blob).or_insert_with(new);
        blob.contents.extend_from_slice(&part.bytes);
        ready(Ok(PartStored::Stored(blob.state())))
    }

    fn blob(&self, blob: BlobKey) -> Stored<'_, Option<BlobState>> {
        ready(Ok(self.lock().blobs.get(&blob).map(Blob::state)))
    }

    fn read_blob(&self, blob: BlobKey, from: u64, most: usize) -> Stored<'_, Vec<u8>> {
        let memory = self.lock();
        let contents = memory.blobs.get(&blob).map_or([].as_slice(), |blob| blob.contents.as_slice());
        let rest = usize::try_from(from).ok().and_then(|from| contents.get(from..)).unwrap_or_default();
        ready(Ok(rest.iter().take(most).copied().collect()))
    }

    fn drop_blob(&self, blob: BlobKey) -> Stored<'_, ()> {
        self.lock().drop_blob(blob);
        ready(Ok(()))
    }

    fn drop_blobs_before(&self, oldest: u64) -> Stored<'_, ()> {
        let mut memory = self.lock();
        let old: Vec<_> = memory.blobs.iter().filter(|(_, blob)| blob.at < oldest).map(|(key, _)| *key).collect();
        old.into_iter().for_each(|key| memory.drop_blob(key));
        ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MailboxLimits = MailboxLimits { bytes: 100, messages: 3 };
    const TO: Mailbox = (AccountId([1; 16]), DeviceId([2; 16]));

    fn letter(reference: u64, size: usize, at: u64) -> NewMail {
        NewMail { to: TO, from: DeviceId([3; 16]), reference, envelope: vec![7; size], at }
    }

    #[tokio::test]
    async fn a_mailbox_numbers_refuses_repeats_and_frees() {
        let store = MemoryStore::new(10_000);
        for (reference, size, expected) in [
            (1, 60, Deposit::Stored(1)),
            (1, 60, Deposit::Repeated),
            (2, 60, Deposit::Full),
            (3, 20, Deposit::Stored(2)),
            (4, 20, Deposit::Stored(3)),
            (5, 0, Deposit::Full),
        ] {
            assert_eq!(store.deposit(letter(reference, size, 10), LIMITS).await.unwrap(), expected, "{reference}");
        }
        store.acknowledge(TO, 2).await.unwrap();
        assert_eq!(store.mail(TO, 0, 9).await.unwrap(), [(3, vec![7; 20])]);
        assert_eq!(store.deposit(letter(1, 60, 10), LIMITS).await.unwrap(), Deposit::Repeated, "after the ack too");
        assert_eq!(store.deposit(letter(9, 60, 20), LIMITS).await.unwrap(), Deposit::Stored(4), "numbers only grow");
        store.drop_mail_before(15).await.unwrap();
        assert_eq!(store.mail(TO, 0, 9).await.unwrap().len(), 1);
        store.drop_mailbox(TO).await.unwrap();
        assert_eq!(store.lock().bytes, 0, "every byte is given back");
    }

    #[tokio::test]
    async fn a_full_store_refuses_and_stays_usable() {
        let store = MemoryStore::new(OVERHEAD + REFERENCE_BYTES + 10);
        assert!(matches!(store.deposit(letter(1, 11, 0), LIMITS).await, Err(StoreError::Full)));
        assert_eq!(store.deposit(letter(1, 10, 0), LIMITS).await.unwrap(), Deposit::Stored(1));
    }

    #[tokio::test]
    async fn references_are_remembered_in_bounded_memory() {
        const MANY: MailboxLimits = MailboxLimits { bytes: usize::MAX, messages: usize::MAX };
        let store = MemoryStore::new(usize::MAX);
        let kept = REFERENCES_KEPT as u64;
        for reference in 0..kept + 10 {
            assert!(matches!(store.deposit(letter(reference, 0, 0), MANY).await.unwrap(), Deposit::Stored(_)));
        }
        store.acknowledge(TO, u64::MAX).await.unwrap();
        assert_eq!(store.lock().bytes, REFERENCES_KEPT * REFERENCE_BYTES);
        assert_eq!(store.deposit(letter(10, 0, 0), MANY).await.unwrap(), Deposit::Repeated);
        assert!(matches!(store.deposit(letter(9, 0, 0), MANY).await.unwrap(), Deposit::Stored(_)), "forgotten");
        store.drop_mailbox(TO).await.unwrap();
        assert_eq!(store.lock().bytes, 0);
    }
}
