//! The device list: signed, hash-chained, and the one rule by which relay and devices accept a successor.

use crate::DecodeError;
use crate::codec::{List, Wire, coded, record};
use crate::device::{LabelCt, OPS_REISSUE, OPS_REMOVE, Role, open_ops};
use crate::hash::sha256;
use crate::id::{AccountId, DeviceId};
use crate::limits::{LIST_ENTRIES, LIST_RESETS, LIST_ROOTS, LIST_TOMBSTONES};
use crate::root::{check_path, open_recovery, open_rotation};
use crate::sign::{Signed, SigningContext, key_id, verify};

coded! {
    /// Why a device left the list.
    pub enum RemovalReason {
        /// The person revoked it.
        Revoked = 0,
        /// It logged out by itself.
        LoggedOut = 1,
        /// Its check-ins show a copy.
        Cloned = 2,
        /// Its link was never completed.
        Abandoned = 3,
        /// All devices were removed.
        RemovedAll = 4,
        /// Its check-ins do not add up.
        Discrepancy = 5,
        /// The account was recovered on another device; this one was lost.
        Recovered = 6,
        /// It did not report for too long.
        Lapsed = 7,
    }
}

impl RemovalReason {
    /// What a person reads, the same on the removed device and on all others.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Revoked => "removed by hand",
            Self::LoggedOut => "logged out",
            Self::Cloned => "two copies of it reported",
            Self::Abandoned => "its link was never completed",
            Self::RemovedAll => "all linked devices were removed",
            Self::Discrepancy => "its reports do not add up",
            Self::Recovered => "lost; the account was recovered on another device",
            Self::Lapsed => "it did not report for too long",
        }
    }
}

record! {
    /// One device of the account.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Entry [] {
        /// The device.
        pub device: DeviceId,
        /// Its Ed25519 public key.
        pub device_pk: [u8; 32],
        /// Its role.
        pub role: Role,
        /// Scope bits.
        pub scope: u64,
        /// Evidence, grade and preset, as in the certificate.
        pub evidence: u64,
        /// When it was certified, ms since 1970.
        pub created: u64,
        /// When its certificate ends, ms since 1970.
        pub not_after: u64,
        /// `H(cert payload || cert sig)`.
        pub cert_digest: [u8; 32],
        /// The device's acceptance: `Sign(d, device-accept, cert_digest)`.
        pub accept_sig: [u8; 64],
        /// The device's name, sealed under the account's label key.
        pub label_ct: LabelCt,
        /// Co-signature of a hardware key.
        pub hw_sig: Option<[u8; 64]>,
    }
}

record! {
    /// A device that was on the list. Kept for 180 days.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tombstone [] {
        /// The device.
        pub device: DeviceId,
        /// Why it left.
        pub reason: RemovalReason,
        /// When, ms since 1970.
        pub at: u64,
    }
}

record! {
    /// A session that was made anew because its messages did not open. Kept for 24 hours.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ResetMark [] {
        /// The linked device whose session with the primary device it was.
        pub device: DeviceId,
        /// When, ms since 1970.
        pub at: u64,
    }
}

record! {
    /// All devices of an account at one epoch. Signed with [`SigningContext::DeviceList`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeviceList [1] {
        /// The account.
        pub account: AccountId,
        /// Counts up by one; the first list is epoch 1.
        pub epoch: u64,
        /// SHA-256 of the payload of the list before; zero for the first.
        pub prev: [u8; 32],
        /// When it was signed, ms since 1970.
        pub issued: u64,
        /// The account's root public key.
        pub root_pk: [u8; 32],
        /// Devices, sorted by id.
        pub entries: List<Entry, LIST_ENTRIES>,
        /// Devices that left, sorted by id.
        pub tombstones: List<Tombstone, LIST_TOMBSTONES>,
        /// [`crate::root::RecoveryRecord`] by the root key, if the account has a recovery key.
        pub recovery: Option<Signed>,
        /// Every [`crate::root::RootRotation`] of the account, oldest first.
        pub roots: List<Signed, LIST_ROOTS>,
        /// Sessions that were made anew lately, oldest first.
        pub resets: List<ResetMark, LIST_RESETS>,
    }
}

/// Why a list is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not a device list.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Not signed by a key that may sign this change, or an entry whose device never accepted. Somebody lies.
    #[error("the device list is not signed by a key that may make this change")]
    Signature,
    /// The epoch is not the next one. Fetch the lists in between, or rebase.
    #[error("the device list has epoch {found}, expected {expected}")]
    Epoch {
        /// The next epoch.
        expected: u64,
        /// The epoch of the list.
        found: u64,
    },
    /// The list does not follow from the known one: a fork. Freeze and alert.
    #[error("the device list does not follow from the known one")]
    Fork,
    /// Entries out of order, doubled, or a device both listed and removed.
    #[error("the device list breaks the rule: {0}")]
    Rule(&'static str),
}

/// A device list whose signatures and place in the chain were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedList {
    signed: Signed,
    list: DeviceList,
    hash: [u8; 32],
}

impl VerifiedList {
    /// Checks the first list of an account, or one that is trusted because a certificate names its hash.
    ///
    /// # Errors
    /// [`ListError`] unless the root key of the list signed it and every entry was accepted by its device.
    pub fn anchor(signed: &Signed, ops: Option<&Signed>) -> Result<Self, ListError> {
        let list = DeviceList::decode(signed.payload.as_slice())?;
        check_shape(&list)?;
        if signed.open(&list.root_pk, SigningContext::DeviceList).is_err() {
            let ops = ops.and_then(|ops| open_ops(ops, &list.root_pk, &list.account).ok());
            let ops = ops.ok_or(ListError::Signature)?;
            signed.open(&ops.ops_pk, SigningContext::DeviceList).map_err(|_| ListError::Signature)?;
        }
        list.entries.as_slice().iter().try_for_each(check_acceptance)?;
        Ok(Self { hash: sha256(&[signed.payload.as_slice()]), signed: signed.clone(), list })
    }

    /// Checks that `signed` is the next list. The root key may change everything; the ops key, certified by `ops`, may
    /// only remove devices or repeat them, and note resets. Another root key counts from the list on that carries the
    /// rotation to it.
    ///
    /// # Errors
    /// [`ListError`]; nothing is accepted in part.
    pub fn successor(&self, signed: &Signed, ops: Option<&Signed>) -> Result<Self, ListError> {
        let list = DeviceList::decode(signed.payload.as_slice())?;
        check_shape(&list)?;
        let expected = self.list.epoch.saturating_add(1);
        if list.account != self.list.account {
            return Err(ListError::Signature);
        }
        if list.epoch != expected {
            return Err(ListError::Epoch { expected, found: list.epoch });
        }
        if list.prev != self.hash {
            return Err(ListError::Fork);
        }
        self.check_root(&list)?;
        if signed.kid == key_id(&list.root_pk) {
            signed.open(&list.root_pk, SigningContext::DeviceList).map_err(|_| ListError::Signature)?;
        } else {
            let ops = ops.and_then(|ops| open_ops(ops, &list.root_pk, &list.account).ok());
            let ops = ops.ok_or(ListError::Signature)?;
            signed.open(&ops.ops_pk, SigningContext::DeviceList).map_err(|_| ListError::Signature)?;
            let known = self.list.entries.as_slice();
            let only_known = list.entries.as_slice().iter().all(|entry| known.contains(entry));
            let needed = if list.entries.as_slice().len() < known.len() { OPS_REMOVE } else { OPS_REISSUE };
            let same_keys = list.root_pk == self.list.root_pk && list.recovery == self.list.recovery;
            if !only_known || !same_keys || ops.caps & needed == 0 {
                return Err(ListError::Signature);
            }
        }
        let added = list.entries.as_slice().iter().filter(|entry| !self.list.entries.as_slice().contains(entry));
        added.into_iter().try_for_each(check_acceptance)?;
        Ok(Self { hash: sha256(&[signed.payload.as_slice()]), signed: signed.clone(), list })
    }

    /// The root key is the known one, or one that a single new rotation leads to.
    fn check_root(&self, list: &DeviceList) -> Result<(), ListError> {
        let (known, roots) = (self.list.roots.as_slice(), list.roots.as_slice());
        if list.root_pk == self.list.root_pk {
            return if roots == known { Ok(()) } else { Err(ListError::Signature) };
        }
        let Some((last, before)) = roots.split_last() else { return Err(ListError::Signature) };
        let rotation = open_rotation(last, &list.account).map_err(|_| ListError::Signature)?;
        // An older recovery key counts no more: it must be the one that the known list names.
        let by_known_key = rotation.recovery.is_none() || rotation.recovery == self.list.recovery;
        let follows = rotation.from_pk == self.list.root_pk && rotation.to_pk == list.root_pk;
        if before == known && follows && by_known_key { Ok(()) } else { Err(ListError::Signature) }
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> &DeviceList {
        &self.list
    }

    /// The list as it was signed.
    #[must_use]
    pub fn signed(&self) -> &Signed {
        &self.signed
    }

    /// SHA-256 of its payload: what the next list and every lease refer to.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The entry of a device, if it is listed.
    #[must_use]
    pub fn entry(&self, device: &DeviceId) -> Option<&Entry> {
        self.list.entries.as_slice().iter().find(|entry| entry.device == *device)
    }

    /// Why and when a device was removed, if it was.
    #[must_use]
    pub fn tombstone(&self, device: &DeviceId) -> Option<&Tombstone> {
        self.list.tombstones.as_slice().iter().find(|tombstone| tombstone.device == *device)
    }
}

/// Rules that hold for a list by itself.
fn check_shape(list: &DeviceList) -> Result<(), ListError> {
    let entries = list.entries.as_slice();
    let tombstones = list.tombstones.as_slice();
    if check_path(&list.account, list.roots.as_slice(), &list.root_pk).is_err() {
        return Err(ListError::Rule(
            "the account is the hash of its first root key, from which rotations lead to its own",
        ));
    }
    if list.recovery.as_ref().is_some_and(|record| open_recovery(record, &list.root_pk, &list.account).is_err()) {
        return Err(ListError::Rule("the root key names the recovery key"));
    }
    if list.epoch == 0 {
        return Err(ListError::Rule("epochs start at 1"));
    }
    if list.epoch == 1 && list.prev != [0; 32] {
        return Err(ListError::Rule("the first list follows nothing"));
    }
    if !is_sorted(entries.iter().map(|e| e.device)) || !is_sorted(tombstones.iter().map(|t| t.device)) {
        return Err(ListError::Rule("devices are sorted and unique"));
    }
    if entries.iter().any(|entry| tombstones.iter().any(|t| t.device == entry.device)) {
        return Err(ListError::Rule("a removed device is not listed"));
    }
    if entries.iter().any(|entry| entry.device != DeviceId::of(&entry.device_pk)) {
        return Err(ListError::Rule("a device is the hash of its key"));
    }
    Ok(())
}

fn is_sorted(mut ids: impl Iterator<Item = DeviceId>) -> bool {
    let mut last = ids.next();
    ids.all(|id| last.replace(id) < Some(id))
}

fn check_acceptance(entry: &Entry) -> Result<(), ListError> {
    verify(&entry.device_pk, SigningContext::DeviceAccept, &entry.cert_digest, &entry.accept_sig)
        .map_err(|_| ListError::Signature)
}
