//! What a device remembers of its account over time: the lists that it had, a fork, how it stands, how others stand, and
//! who is still to be told of what. The rows lie in the table of lists, told apart by the start of their ids.

use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::LIST_ENTRIES;
use pairlight_wire::list::{ListError, RemovalReason, VerifiedList};
use pairlight_wire::relay::ListChain;
use pairlight_wire::sign::Signed;
use pairlight_wire::standing::{Discrepancy, Notice, NoticeKind};
use pairlight_wire::{List, Wire, record};

use super::{Batch, Store, StoreError, Table};
use crate::Timestamp;
use crate::devices::{Account, AccountError, ListFork, StoredNotice, Supervision, Tenancy};

/// Lists of this many epochs are remembered.
const EPOCHS_KEPT: u64 = 64;
const FORK: &[u8] = b"fork";
const TENANCY: &[u8] = b"tenancy";
const NOTICE: &[u8] = b"notice/";

record! {
    /// Messages of a device that did not open.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Unreadable [1] {
        /// In a row. Stays 0 while nothing has opened of a session that took the place of another: what does not open then may
        /// be mail of the one before.
        pub count: u64,
        /// When the first of them came, ms since 1970; 0 for none.
        pub since: u64,
    }
}

/// Reports of a device that are remembered.
const HEARD_KEPT: usize = 128;

record! {
    /// A report that was accepted, or that an accepted one named as the one before it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct HeardReport [] {
        /// Its counter.
        pub ctr: u64,
        /// The first 16 bytes of its digest.
        pub digest: [u8; 16],
    }
}

record! {
    /// The reports of a device that are remembered, oldest first.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HeardReports [1] {
        /// The device.
        pub device: DeviceId,
        /// Its reports.
        pub reports: List<HeardReport, HEARD_KEPT>,
    }
}

impl HeardReports {
    fn of(&self, ctr: u64) -> Option<&HeardReport> {
        self.reports.as_slice().iter().find(|heard| heard.ctr == ctr)
    }

    /// Whether a report that counts up to `ctr`, no more than the last one, is nothing new: it is among these, or it is one
    /// that never came, because nothing is known of its counter. Another one under a counter that is known is a copy's.
    #[must_use]
    pub fn explain(&self, ctr: u64, digest: &[u8; 32]) -> bool {
        self.of(ctr).is_none_or(|heard| digest.starts_with(&heard.digest))
    }

    /// Remembers one.
    pub fn add(&mut self, ctr: u64, digest: &[u8; 32]) {
        if self.of(ctr).is_some() {
            return;
        }
        let mut short = [0; 16];
        short.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        let mut reports = core::mem::take(&mut self.reports).into_vec();
        reports.push(HeardReport { ctr, digest: short });
        let surplus = reports.len().saturating_sub(HEARD_KEPT);
        reports.drain(..surplus);
        self.reports = List::new(reports).unwrap_or_default();
    }
}

fn heard_row(device: &DeviceId) -> Vec<u8> {
    [b"heard/".as_slice(), device.as_bytes()].concat()
}

fn list_row(epoch: u64) -> Vec<u8> {
    [b"list/".as_slice(), &epoch.to_be_bytes()].concat()
}

fn book_row(device: &DeviceId) -> Vec<u8> {
    [b"book/".as_slice(), device.as_bytes()].concat()
}

fn unreadable_row(device: &DeviceId) -> Vec<u8> {
    [b"unreadable/".as_slice(), device.as_bytes()].concat()
}

fn notice_row(id: &[u8; 8]) -> Vec<u8> {
    [NOTICE, id].concat()
}

fn damaged<E>(_: E) -> StoreError {
    StoreError::Corrupt { table: Table::DeviceList }
}

/// What following the lists of a relay, or of another device, led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Epoch before.
    pub before: u64,
    /// Epoch now.
    pub epoch: u64,
    /// Why this device is off the list, if it is.
    pub removal: Option<RemovalReason>,
    /// Whether a list came that the account never signed. Somebody lies.
    pub refused: bool,
    /// A list that does not follow; nothing of it was taken, and no list will be until the person decides.
    pub fork: Option<ListFork>,
}

#[derive(Default)]
struct Walked {
    refused: bool,
    fork: Option<ListFork>,
}

impl Batch {
    /// Adds: remember this list.
    pub(super) fn remember_list(&mut self, list: &VerifiedList) -> &mut Self {
        let epoch = list.list().epoch;
        if let Some(old) = epoch.checked_sub(EPOCHS_KEPT) {
            self.delete(Table::DeviceList, &list_row(old));
        }
        self.put(Table::DeviceList, &list_row(epoch), &list.signed().encode())
    }

    /// Adds: how this linked device stands.
    pub fn put_tenancy(&mut self, tenancy: &Tenancy) -> &mut Self {
        self.put(Table::DeviceList, TENANCY, &tenancy.encode())
    }

    /// Adds: what is known of a linked device.
    pub fn put_book(&mut self, book: &Supervision) -> &mut Self {
        self.put(Table::DeviceList, &book_row(&book.device), &book.encode())
    }

    /// Adds: which reports of a linked device were heard.
    pub fn put_heard(&mut self, heard: &HeardReports) -> &mut Self {
        self.put(Table::DeviceList, &heard_row(&heard.device), &heard.encode())
    }

    /// Adds: forget what was known of a device, because it was linked anew or is gone.
    pub(super) fn delete_book(&mut self, device: &DeviceId) -> &mut Self {
        self.delete(Table::DeviceList, &book_row(device))
            .delete(Table::DeviceList, &heard_row(device))
            .delete(Table::DeviceList, &unreadable_row(device))
    }

    /// Adds: nothing of a device has failed to open.
    pub(super) fn forget_unreadable(&mut self, from: &DeviceId) -> &mut Self {
        self.delete(Table::DeviceList, &unreadable_row(from))
    }

    /// Adds: a session with a device took the place of another, of which mail may still wait at the relay.
    pub(super) fn put_fresh_session(&mut self, with: &DeviceId) -> &mut Self {
        self.put(Table::DeviceList, &unreadable_row(with), &Unreadable { count: 0, since: 0 }.encode())
    }

    /// Adds: forget how this device stood, because it was linked anew.
    pub(super) fn delete_tenancy(&mut self) -> &mut Self {
        self.delete(Table::DeviceList, TENANCY).delete(Table::DeviceList, FORK)
    }

    /// Adds: keep a notice as it stands, or forget it when everybody has heard it.
    pub fn put_notice(&mut self, notice: &StoredNotice) -> &mut Self {
        let row = notice_row(&notice.id);
        if notice.is_done() {
            self.delete(Table::DeviceList, &row)
        } else {
            self.put(Table::DeviceList, &row, &notice.encode())
        }
    }
}

impl Store {
    fn row<T: Wire>(&self, id: &[u8]) -> Result<Option<T>, StoreError> {
        let row = self.get(Table::DeviceList, id)?;
        row.map(|bytes| T::decode(&bytes).map_err(damaged)).transpose()
    }

    /// The list of an epoch, if this device had it lately.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn list_of(&self, epoch: u64) -> Result<Option<Signed>, StoreError> {
        self.row(&list_row(epoch))
    }

    /// Its hash.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn hash_of(&self, epoch: u64) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(self.list_of(epoch)?.map(|signed| sha256(&[signed.payload.as_slice()])))
    }

    /// The fork that froze the list, if one was seen.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn fork(&self) -> Result<Option<ListFork>, StoreError> {
        self.row(FORK)
    }

    /// Freezes the list; an earlier fork stays.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_fork(&mut self, fork: &ListFork) -> Result<(), StoreError> {
        if self.fork()?.is_some() {
            return Ok(());
        }
        self.put(Table::DeviceList, FORK, &fork.encode())
    }

    /// The person looked at both hashes and keeps this device's list.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn clear_fork(&mut self) -> Result<(), StoreError> {
        self.delete(Table::DeviceList, FORK)
    }

    /// How this linked device stands.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn tenancy(&self) -> Result<Option<Tenancy>, StoreError> {
        self.row(TENANCY)
    }

    /// What is known of a linked device; a fresh record before its first report.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn book(&self, device: &DeviceId) -> Result<Supervision, StoreError> {
        Ok(self.row(&book_row(device))?.unwrap_or_else(|| Supervision::new(*device)))
    }

    /// Reports of a linked device that were heard.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn heard_reports(&self, device: &DeviceId) -> Result<HeardReports, StoreError> {
        let none = || HeardReports { device: *device, reports: List::default() };
        Ok(self.row(&heard_row(device))?.unwrap_or_else(none))
    }

    /// A message that is said to be of this device did not open: counts it. For a device that is not on the list nothing
    /// is counted, or whoever carries messages could fill the store.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn count_unreadable(&mut self, from: &DeviceId, now: Timestamp) -> Result<Unreadable, StoreError> {
        let listed = match self.account()? {
            Some(account) => account.list().entry(from).is_some(),
            None => self.linked_account()?.is_some_and(|account| account.list().entry(from).is_some()),
        };
        if !listed {
            return Ok(Unreadable { count: 0, since: now.unix_ms() });
        }
        let known: Option<Unreadable> = self.row(&unreadable_row(from))?;
        let counted = match known {
            None => Unreadable { count: 1, since: now.unix_ms() },
            // Of a fresh session: only how long it lasts.
            Some(Unreadable { count: 0, since: 0 }) => Unreadable { count: 0, since: now.unix_ms() },
            Some(Unreadable { count: 0, since }) => Unreadable { count: 0, since },
            Some(known) => Unreadable { count: known.count.saturating_add(1), ..known },
        };
        self.put(Table::DeviceList, &unreadable_row(from), &counted.encode())?;
        Ok(counted)
    }

    /// A message of the device opened, or its session is made anew: counts from the start.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn forget_unreadable(&mut self, from: &DeviceId) -> Result<(), StoreError> {
        // Nearly always there is nothing to forget, and a read is no write.
        match self.get(Table::DeviceList, &unreadable_row(from))? {
            Some(_) => self.delete(Table::DeviceList, &unreadable_row(from)),
            None => Ok(()),
        }
    }

    /// A notice that somebody still has to hear, by its id.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn notice(&self, id: &[u8; 8]) -> Result<Option<StoredNotice>, StoreError> {
        self.row(&notice_row(id))
    }

    /// Notices that somebody still has to hear.
    ///
    /// # Errors
    /// [`StoreError`] when one cannot be read.
    pub fn notices(&self) -> Result<Vec<StoredNotice>, StoreError> {
        let mut notices = Vec::new();
        for row in self.list(Table::DeviceList)? {
            let row = row?;
            if row.id.starts_with(NOTICE) {
                notices.push(StoredNotice::decode(&row.value).map_err(damaged)?);
            }
        }
        notices.sort_by_key(|notice| notice.notice.at);
        Ok(notices)
    }

    /// Plans a notice about a device of the account, for every other linked device and for this one later.
    pub(super) fn plan_notice(
        &mut self,
        account: &Account,
        kind: NoticeKind,
        device: DeviceId,
        discrepancy: Option<Discrepancy>,
        now: Timestamp,
    ) -> StoredNotice {
        let list = account.list();
        let notice = Notice {
            kind,
            device,
            evidence: list.entry(&device).map_or(0, |entry| entry.evidence),
            removal: list.tombstone(&device).map(|tombstone| tombstone.reason),
            discrepancy,
            at: now.unix_ms(),
        };
        let own = account.device_id();
        let entries = list.list().entries.as_slice().iter().map(|entry| entry.device);
        let mut others: Vec<_> = entries.filter(|other| *other != own && *other != device).collect();
        others.truncate(LIST_ENTRIES);
        StoredNotice::plan(notice, others, &mut &mut *self.rng)
    }

    /// Follows lists, from whoever they come, as far as they follow from the known one. The account, or what this
    /// linked device knows of it, is stored before this returns; unless this device was removed: then the caller erases.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn follow(&mut self, chain: &ListChain, now: Timestamp) -> Result<Followed, StoreError> {
        if let Some(account) = self.account()? {
            let own = account.device_id();
            let mut account = account;
            let frozen = self.fork()?.is_some();
            let before = account.list().list().epoch;
            // A change of the root key that is under way: its list may come back before the answer to its publication, and
            // leads to the account with the new key. The old one under the new list would be no account.
            let mut next = self.next_account()?;
            let mut promoted = false;
            let Walked { refused, fork } = self.walk(chain, frozen, now, account.list().clone(), |signed| {
                if let Some(next) = next.take_if(|next| next.list().signed().payload == signed.payload) {
                    account = next;
                    promoted = true;
                    return Ok(account.list().clone());
                }
                account.advance(signed, chain.ops.as_ref()).map_err(|error| match error {
                    AccountError::List(error) => error,
                    _ => ListError::Signature,
                })?;
                Ok(account.list().clone())
            })?;
            let removal = account.list().tombstone(&own).map(|tombstone| tombstone.reason);
            let epoch = account.list().list().epoch;
            if removal.is_none() && promoted {
                self.promote_account(&account, now)?;
            } else if removal.is_none() && epoch > before {
                self.put_account(&account)?;
            }
            return Ok(Followed { before, epoch, removal, refused, fork });
        }
        let mut account = self.linked_account()?.ok_or(StoreError::Corrupt { table: Table::DeviceKey })?;
        let frozen = self.fork()?.is_some();
        let before = account.list().list().epoch;
        let Walked { refused, fork } = self.walk(chain, frozen, now, account.list().clone(), |signed| {
            account.step(signed, chain.ops.as_ref())?;
            Ok(account.list().clone())
        })?;
        let removal = account.list().tombstone(&account.device_id()).map(|tombstone| tombstone.reason);
        let epoch = account.list().list().epoch;
        if removal.is_none() && epoch > before {
            self.put_linked_account(&account)?;
        }
        Ok(Followed { before, epoch, removal, refused, fork })
    }

    /// Takes list after list with `step`; freezes at the first that does not follow.
    fn walk(
        &mut self,
        chain: &ListChain,
        frozen: bool,
        now: Timestamp,
        mut known: VerifiedList,
        mut step: impl FnMut(&Signed) -> Result<VerifiedList, ListError>,
    ) -> Result<Walked, StoreError> {
        if frozen {
            return Ok(Walked::default());
        }
        for signed in chain.lists.as_slice() {
            let hash = sha256(&[signed.payload.as_slice()]);
            let Ok(claimed) = pairlight_wire::list::DeviceList::decode(signed.payload.as_slice()) else { continue };
            if hash == *known.hash() {
                continue;
            }
            let had = self.hash_of(claimed.epoch)?;
            if claimed.epoch <= known.list().epoch && had == Some(hash) {
                continue;
            }
            // Only the account itself can fork its list: what it never signed is noise.
            let anchored = VerifiedList::anchor(signed, chain.ops.as_ref());
            let by_account = anchored.is_ok_and(|list| list.list().root_pk == known.list().root_pk);
            let fork = match step(signed) {
                Ok(next) => {
                    let mut batch = Batch::new();
                    batch.remember_list(&next);
                    self.commit(&batch)?;
                    known = next;
                    continue;
                }
                // The next one, but after another than ours.
                Err(ListError::Fork) if by_account => {
                    ListFork { epoch: known.list().epoch, ours: *known.hash(), theirs: claimed.prev, at: now.unix_ms() }
                }
                // An epoch that this device had, with another list.
                Err(ListError::Epoch { .. }) if by_account && had.is_some_and(|had| had != hash) => {
                    let ours = had.unwrap_or(*known.hash());
                    ListFork { epoch: claimed.epoch, ours, theirs: hash, at: now.unix_ms() }
                }
                // With a gap: the lists between come another time.
                Err(ListError::Epoch { .. }) => return Ok(Walked::default()),
                Err(_) => return Ok(Walked { refused: true, fork: None }),
            };
            self.put_fork(&fork)?;
            return Ok(Walked { refused: false, fork: Some(fork) });
        }
        Ok(Walked::default())
    }
}
