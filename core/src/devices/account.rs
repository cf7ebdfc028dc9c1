//! The primary device's side of an account: it holds the root key and signs every change of the list.

use pairlight_wire::device::{
    Certificate, Lease, OPS_LEASE, OPS_REISSUE, OPS_REMOVE, OpsCertificate, Preset, Role, SCOPE_ALL, open_ops,
};
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::limits::{LIST_RESETS, LIST_TOMBSTONES};
use pairlight_wire::list::{DeviceList, Entry, ListError, RemovalReason, ResetMark, Tombstone, VerifiedList};
use pairlight_wire::sign::{Signed, SigningContext, key_id, verify};
use pairlight_wire::{List, Wire, record};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::label::{LabelKey, is_name, open_label, seal_label};
use crate::Timestamp;
use crate::crypto::sign::SigningKey;
use crate::crypto::{CryptoError, random};
use crate::trust::{Evidence, Grade};

/// The ops key is certified for this long, ms (at most 90 days).
const OPS_LIFETIME_MS: u64 = 90 * 24 * 3_600_000;
/// It is replaced this long before its end.
const OPS_RENEW_MS: u64 = 30 * 24 * 3_600_000;
/// Certificates outlive leases; a certificate ends after ten years.
const CERTIFICATE_LIFETIME_MS: u64 = 10 * 365 * 24 * 3_600_000;
/// Tombstones are kept for 180 days.
const TOMBSTONE_LIFETIME_MS: u64 = 180 * DAY_MS;
/// Resets of sessions are remembered for a day.
const DAY_MS: u64 = 24 * 3_600_000;

/// Why an account operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// A signature or a sealed value is not valid. The data is damaged, or somebody lies.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A list is not acceptable.
    #[error(transparent)]
    List(#[from] ListError),
    /// The account has as many devices as it may have. Remove one first.
    #[error("the account already has {0} devices")]
    Full(usize),
    /// The root key was rotated as often as a list can say. Make a new account.
    #[error("the root key was rotated {0} times; make a new account")]
    TooManyRoots(usize),
    /// The words are not those of this account's recovery key, or the account has none. Check them; their order counts.
    #[error("these words are not the recovery key of this account")]
    WrongWords,
    /// No such device in the list.
    #[error("the device is not on the list")]
    UnknownDevice,
    /// A name must have 1 to 64 bytes, none of them of a control character, and not be blank. Choose another one.
    #[error("a device's name has 1 to 64 bytes of visible text")]
    BadName,
    /// Stored bytes that are not an account. The store is damaged.
    #[error("the stored account cannot be read")]
    Damaged,
}

record! {
    /// The account as it lies in the sealed store.
    pub struct StoredAccount [1] {
        /// Seed of the root key.
        pub root_seed: [u8; 32],
        /// Seed of the ops key.
        pub ops_seed: [u8; 32],
        /// Seed of this device's own key.
        pub device_seed: [u8; 32],
        /// Key of the device names.
        pub label_key: [u8; 32],
        /// Certificate of the ops key.
        pub ops: Signed,
        /// The current list.
        pub list: Signed,
    }
}

impl ZeroizeOnDrop for StoredAccount {}

impl Drop for StoredAccount {
    fn drop(&mut self) {
        self.root_seed.zeroize();
        self.ops_seed.zeroize();
        self.device_seed.zeroize();
        self.label_key.zeroize();
    }
}

/// An account with its secret keys. Lives on the primary device only.
#[derive(Clone)]
pub struct Account {
    pub(super) root: SigningKey,
    pub(super) ops: SigningKey,
    pub(super) device: SigningKey,
    pub(super) label_key: Zeroizing<LabelKey>,
    pub(super) ops_cert: Signed,
    pub(super) list: VerifiedList,
}

/// What a certificate says about a new device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Its public key.
    pub device_pk: [u8; 32],
    /// Its name.
    pub name: String,
    /// Scope bits.
    pub scope: u64,
    /// Verified evidence.
    pub evidence: Evidence,
    /// Its grade.
    pub grade: Grade,
    /// The policy preset.
    pub preset: Preset,
    /// Transcript hash of the pairing.
    pub link_th: [u8; 32],
}

/// A certificate with the list entry that still lacks the device's acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The signed certificate.
    pub cert: Signed,
    /// The entry; `accept_sig` is zero until [`Certified::accept`].
    pub entry: Entry,
}

impl Certified {
    /// Adds the device's acceptance.
    ///
    /// # Errors
    /// [`CryptoError`] when the device did not sign this certificate.
    pub fn accept(mut self, accept_sig: [u8; 64]) -> Result<Entry, CryptoError> {
        verify(&self.entry.device_pk, SigningContext::DeviceAccept, &self.entry.cert_digest, &accept_sig)
            .map_err(|_| CryptoError)?;
        self.entry.accept_sig = accept_sig;
        Ok(self.entry)
    }
}

/// Which check-in a lease answers, and what it grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Counter of the check-in; 0 for the first lease.
    pub ctr: u64,
    /// Hash of the check-in; zero for the first lease.
    pub checkin: [u8; 32],
    /// Scope bits.
    pub scope: u64,
    /// Length in ms.
    pub lease_ms: u64,
}

impl Account {
    /// A new account whose first list (epoch 1) holds this device alone.
    ///
    /// # Errors
    /// [`AccountError`] never in practice: everything is freshly made.
    pub fn generate(name: &str, now: Timestamp, rng: &mut impl CryptoRng) -> Result<Self, AccountError> {
        let (root, ops, device) = (SigningKey::generate(rng), SigningKey::generate(rng), SigningKey::generate(rng));
        let label_key = Zeroizing::new(random(rng));
        let account = AccountId::of(&root.public());
        let ops_cert = certify_ops(&root, &ops, account, now)?;
        let place = ListPlace { account, epoch: 1, prev: [0; 32] };
        let entry = enter_primary(&root, &device, name, place, &label_key, now, rng)?;
        let list = DeviceList {
            account,
            epoch: 1,
            prev: [0; 32],
            issued: now.unix_ms(),
            root_pk: root.public(),
            entries: List::new(vec![entry]).map_err(|_| AccountError::Full(0))?,
            tombstones: List::default(),
            recovery: None,
            roots: List::default(),
            resets: List::default(),
        };
        let signed = root.sign_payload(SigningContext::DeviceList, list.encode())?;
        let list = VerifiedList::anchor(&signed, None)?;
        Ok(Self { root, ops, device, label_key, ops_cert, list })
    }

    /// The account that [`Account::encode`] gave.
    ///
    /// # Errors
    /// [`AccountError::Damaged`] when it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, AccountError> {
        let stored = StoredAccount::decode(bytes).map_err(|_| AccountError::Damaged)?;
        let list = VerifiedList::anchor(&stored.list, Some(&stored.ops))?;
        let root = SigningKey::from_seed(&stored.root_seed);
        if list.list().root_pk != root.public() {
            return Err(AccountError::Damaged);
        }
        Ok(Self {
            root,
            ops: SigningKey::from_seed(&stored.ops_seed),
            device: SigningKey::from_seed(&stored.device_seed),
            label_key: Zeroizing::new(stored.label_key),
            ops_cert: stored.ops.clone(),
            list,
        })
    }

    /// Everything, for the sealed store. Secret.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredAccount {
            root_seed: *self.root.to_seed(),
            ops_seed: *self.ops.to_seed(),
            device_seed: *self.device.to_seed(),
            label_key: *self.label_key,
            ops: self.ops_cert.clone(),
            list: self.list.signed().clone(),
        };
        Zeroizing::new(stored.encode())
    }

    /// The account's id.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.list.list().account
    }

    /// This device's id.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.device.public())
    }

    /// This device's own key, for logging in at the relay.
    #[must_use]
    pub fn device_key(&self) -> &SigningKey {
        &self.device
    }

    /// The root public key.
    #[must_use]
    pub fn root_pk(&self) -> [u8; 32] {
        self.root.public()
    }

    /// Key of the device names.
    #[must_use]
    pub fn label_key(&self) -> &LabelKey {
        &self.label_key
    }

    /// Certificate of the ops key.
    #[must_use]
    pub fn ops_cert(&self) -> &Signed {
        &self.ops_cert
    }

    /// The current list.
    #[must_use]
    pub fn list(&self) -> &VerifiedList {
        &self.list
    }

    /// A device's name.
    ///
    /// # Errors
    /// [`CryptoError`] for a label that was not sealed by this account.
    pub fn name_of(&self, entry: &Entry) -> Result<String, CryptoError> {
        open_label(&self.label_key, &entry.device, &entry.label_ct)
    }

    /// Follows the chain to `signed`, which must be the next list.
    ///
    /// # Errors
    /// [`AccountError::List`]; nothing changes then.
    pub fn advance(&mut self, signed: &Signed, ops: Option<&Signed>) -> Result<(), AccountError> {
        let own = || self.list.successor(signed, Some(&self.ops_cert));
        self.list = match ops {
            Some(ops) => self.list.successor(signed, Some(ops)).or_else(|_| own())?,
            None => own()?,
        };
        Ok(())
    }

    /// Certifies a new linked device for the next epoch, with the root key.
    ///
    /// # Errors
    /// [`AccountError::Full`] when there is no room in the list.
    pub fn certify(
        &self,
        new: &NewDevice,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Certified, AccountError> {
        let entries = self.list.list().entries.as_slice().len();
        // A device that comes back under its key takes its own place.
        let returns = self.list.entry(&DeviceId::of(&new.device_pk)).is_some();
        if entries >= pairlight_wire::limits::LIST_ENTRIES && !returns {
            return Err(AccountError::Full(entries));
        }
        let place =
            ListPlace { account: self.id(), epoch: self.list.list().epoch.saturating_add(1), prev: *self.list.hash() };
        certify(&self.root, new, Role::Linked, place, &self.label_key, now, rng)
    }

    /// A lease for a device, signed by the ops key.
    ///
    /// # Errors
    /// [`AccountError`] never in practice: the lease is short.
    pub fn lease(&self, device: DeviceId, terms: &LeaseTerms, now: Timestamp) -> Result<Signed, AccountError> {
        let lease = Lease {
            account: self.id(),
            device,
            ctr: terms.ctr,
            checkin: terms.checkin,
            epoch: self.list.list().epoch,
            list_hash: *self.list.hash(),
            not_before: now.unix_ms(),
            not_after: now.plus_ms(terms.lease_ms).unix_ms(),
            scope: terms.scope,
        };
        Ok(self.ops.sign_payload(SigningContext::Lease, lease.encode())?)
    }

    /// The next list with `entry` in it, signed by the root key.
    ///
    /// # Errors
    /// [`AccountError`] when the entry does not fit or was not accepted by its device.
    pub fn list_with(&self, entry: Entry, now: Timestamp) -> Result<VerifiedList, AccountError> {
        let mut entries = self.list.list().entries.as_slice().to_vec();
        entries.retain(|known| known.device != entry.device);
        entries.push(entry);
        self.sign_list(ListDraft { entries, ..self.draft() }, &self.root, now)
    }

    /// The next list without `device`, signed by the ops key. However many were removed before: the oldest tombstones make
    /// room.
    ///
    /// # Errors
    /// [`AccountError::UnknownDevice`] when it is not listed.
    pub fn list_without(
        &self,
        device: &DeviceId,
        reason: RemovalReason,
        now: Timestamp,
    ) -> Result<VerifiedList, AccountError> {
        if self.list.entry(device).is_none() {
            return Err(AccountError::UnknownDevice);
        }
        self.list_barring(device, reason, now)
    }

    /// The next list with a tombstone for `device`, whether it was ever listed or not, signed by the ops key. It takes
    /// the place in the chain of a list that was signed with the device and may still be on its way to the relay.
    ///
    /// # Errors
    /// [`AccountError::List`] when it already has a tombstone.
    pub fn list_barring(
        &self,
        device: &DeviceId,
        reason: RemovalReason,
        now: Timestamp,
    ) -> Result<VerifiedList, AccountError> {
        let mut entries = self.list.list().entries.as_slice().to_vec();
        entries.retain(|entry| entry.device != *device);
        let mut tombstones = self.list.list().tombstones.as_slice().to_vec();
        tombstones.push(Tombstone { device: *device, reason, at: now.unix_ms() });
        self.sign_list(ListDraft { entries, tombstones, ..self.draft() }, &self.ops, now)
    }

    /// The next list with this device alone, signed by the ops key: one list ends all others.
    ///
    /// # Errors
    /// [`AccountError::UnknownDevice`] when there is no other.
    pub fn list_alone(&self, reason: RemovalReason, now: Timestamp) -> Result<VerifiedList, AccountError> {
        let own = self.device_id();
        let (entries, gone): (Vec<_>, Vec<_>) =
            self.list.list().entries.as_slice().iter().cloned().partition(|entry| entry.device == own);
        if gone.is_empty() {
            return Err(AccountError::UnknownDevice);
        }
        let mut tombstones = self.list.list().tombstones.as_slice().to_vec();
        tombstones.extend(gone.iter().map(|entry| Tombstone { device: entry.device, reason, at: now.unix_ms() }));
        self.sign_list(ListDraft { entries, tombstones, ..self.draft() }, &self.ops, now)
    }

    /// The next list, which notes that the session with `device` was made anew, signed by the ops key.
    ///
    /// # Errors
    /// [`AccountError::UnknownDevice`] when it is not listed.
    pub fn list_with_reset(&self, device: &DeviceId, now: Timestamp) -> Result<VerifiedList, AccountError> {
        if self.list.entry(device).is_none() {
            return Err(AccountError::UnknownDevice);
        }
        let mut draft = self.draft();
        draft.resets.push(ResetMark { device: *device, at: now.unix_ms() });
        self.sign_list(draft, &self.ops, now)
    }

    /// What the next list says when nothing changes.
    pub(super) fn draft(&self) -> ListDraft {
        let list = self.list.list();
        ListDraft {
            entries: list.entries.as_slice().to_vec(),
            tombstones: list.tombstones.as_slice().to_vec(),
            recovery: list.recovery.clone(),
            roots: list.roots.as_slice().to_vec(),
            resets: list.resets.as_slice().to_vec(),
        }
    }

    /// The next list in which `device` has another name, signed by the root key.
    ///
    /// # Errors
    /// [`AccountError::UnknownDevice`] when it is not listed, [`AccountError::BadName`].
    pub fn list_renamed(
        &self,
        device: &DeviceId,
        name: &str,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<VerifiedList, AccountError> {
        if !is_name(name) {
            return Err(AccountError::BadName);
        }
        let mut entries = self.list.list().entries.as_slice().to_vec();
        let entry = entries.iter_mut().find(|entry| entry.device == *device).ok_or(AccountError::UnknownDevice)?;
        entry.label_ct = seal_label(&self.label_key, device, name, rng)?;
        self.sign_list(ListDraft { entries, ..self.draft() }, &self.root, now)
    }

    /// Replaces the ops key when its certificate ends within 30 days; `true` when it did, and the account must be stored.
    ///
    /// # Errors
    /// [`AccountError`] never in practice: the certificate is short.
    pub fn renew_ops(&mut self, now: Timestamp, rng: &mut impl CryptoRng) -> Result<bool, AccountError> {
        let current = open_ops(&self.ops_cert, &self.root.public(), &self.id()).map_err(|_| AccountError::Damaged)?;
        if current.not_after > now.plus_ms(OPS_RENEW_MS).unix_ms() {
            return Ok(false);
        }
        let ops = SigningKey::generate(rng);
        self.ops_cert = certify_ops(&self.root, &ops, self.id(), now)?;
        self.ops = ops;
        // A list signed by the old ops key could not be checked after the old certificate is gone: sign it anew.
        if self.list.signed().kid != key_id(&self.root.public()) {
            self.list = self.sign_list(self.draft(), &self.root, now)?;
        }
        Ok(true)
    }

    pub(super) fn sign_list(
        &self,
        draft: ListDraft,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<VerifiedList, AccountError> {
        let ListDraft { mut entries, mut tombstones, recovery, roots, mut resets } = draft;
        resets.retain(|mark| now.ms_since(Timestamp::from_unix_ms(mark.at)) < DAY_MS);
        let surplus = resets.len().saturating_sub(LIST_RESETS);
        resets.drain(..surplus);
        entries.sort_by_key(|entry| entry.device);
        tombstones.retain(|old| now.ms_since(Timestamp::from_unix_ms(old.at)) < TOMBSTONE_LIFETIME_MS);
        // A removal never fails for want of room: what was removed long ago makes room for what is removed now, which comes
        // last here. Their order is by a time that no clock which ran ahead can put into the future.
        let known = self.list.list().tombstones.as_slice();
        tombstones.sort_by_key(|stone| (!known.contains(stone), stone.at.min(now.unix_ms()), stone.device));
        let surplus = tombstones.len().saturating_sub(LIST_TOMBSTONES);
        tombstones.drain(..surplus);
        tombstones.sort_by_key(|tombstone| tombstone.device);
        let list = DeviceList {
            account: self.id(),
            epoch: self.list.list().epoch.saturating_add(1),
            prev: *self.list.hash(),
            issued: now.unix_ms(),
            root_pk: self.root.public(),
            entries: List::new(entries).map_err(|entries| AccountError::Full(entries.len()))?,
            tombstones: List::new(tombstones).map_err(|tombstones| AccountError::Full(tombstones.len()))?,
            recovery,
            roots: List::new(roots).map_err(|roots| AccountError::TooManyRoots(roots.len()))?,
            resets: List::new(resets).unwrap_or_default(),
        };
        let signed = key.sign_payload(SigningContext::DeviceList, list.encode())?;
        Ok(self.list.successor(&signed, Some(&self.ops_cert))?)
    }
}

impl core::fmt::Debug for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Account").field("epoch", &self.list.list().epoch).finish_non_exhaustive()
    }
}

/// What a list says beside its place in the chain.
pub(super) struct ListDraft {
    pub(super) entries: Vec<Entry>,
    pub(super) tombstones: Vec<Tombstone>,
    pub(super) recovery: Option<Signed>,
    pub(super) roots: Vec<Signed>,
    pub(super) resets: Vec<ResetMark>,
}

/// Where in the chain of which account a certificate belongs.
pub(super) struct ListPlace {
    pub(super) account: AccountId,
    pub(super) epoch: u64,
    pub(super) prev: [u8; 32],
}

pub(super) fn certify_ops(
    root: &SigningKey,
    ops: &SigningKey,
    account: AccountId,
    now: Timestamp,
) -> Result<Signed, CryptoError> {
    let certificate = OpsCertificate {
        account,
        ops_pk: ops.public(),
        not_after: now.plus_ms(OPS_LIFETIME_MS).unix_ms(),
        caps: OPS_LEASE | OPS_REMOVE | OPS_REISSUE,
    };
    root.sign_payload(SigningContext::OpsCert, certificate.encode())
}

/// The entry of a primary device, certified by the root key that it holds and accepted by itself.
pub(super) fn enter_primary(
    root: &SigningKey,
    device: &SigningKey,
    name: &str,
    place: ListPlace,
    label_key: &LabelKey,
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> Result<Entry, AccountError> {
    let own = NewDevice {
        device_pk: device.public(),
        name: name.to_owned(),
        scope: SCOPE_ALL,
        evidence: Evidence::NONE,
        grade: Grade::Strong,
        preset: Preset::Custom,
        link_th: [0; 32],
    };
    let certified = certify(root, &own, Role::Primary, place, label_key, now, rng)?;
    let accept_sig = device.sign(SigningContext::DeviceAccept, &certified.entry.cert_digest);
    Ok(certified.accept(accept_sig)?)
}

fn certify(
    root: &SigningKey,
    new: &NewDevice,
    role: Role,
    place: ListPlace,
    label_key: &LabelKey,
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> Result<Certified, AccountError> {
    let device = DeviceId::of(&new.device_pk);
    let certificate = Certificate {
        account: place.account,
        device,
        device_pk: new.device_pk,
        role,
        scope: new.scope,
        evidence: new.evidence.to_certificate(new.grade, new.preset),
        created: now.unix_ms(),
        not_after: now.plus_ms(CERTIFICATE_LIFETIME_MS).unix_ms(),
        epoch: place.epoch,
        prev_list: place.prev,
        link_th: new.link_th,
    };
    let cert = root.sign_payload(SigningContext::DeviceCert, certificate.encode())?;
    let entry = Entry {
        device,
        device_pk: new.device_pk,
        role,
        scope: certificate.scope,
        evidence: certificate.evidence,
        created: certificate.created,
        not_after: certificate.not_after,
        cert_digest: cert.digest(),
        accept_sig: [0; 64],
        label_ct: seal_label(label_key, &device, &new.name, rng)?,
        hw_sig: None,
    };
    Ok(Certified { cert, entry })
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
