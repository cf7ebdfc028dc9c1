//! What the two machines keep on disk, and the checks that a linked device makes before it believes an account.

use pairlight_wire::device::{Certificate, Lease, Role, open_lease, open_ops};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::list::{Entry, ListError, VerifiedList};
use pairlight_wire::pairing::M3Body;
use pairlight_wire::relay::ListChain;
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{Bytes, Wire, record};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Timestamp;
use crate::crypto::CryptoError;
use crate::crypto::sign::{DeviceKey, SigningKey};
use crate::devices::LabelKey;

/// Declares a form in which a linked device's account lies in the sealed store. They differ in what is kept of the device's key.
macro_rules! stored_account {
    ($(#[$meta:meta])* $name:ident $tag:literal $key:ident) => {
        record! {
            $(#[$meta])*
            struct $name [$tag] {
                $key: [u8; 32],
                root_pk: [u8; 32],
                cert: Signed,
                ops: Signed,
                list: Signed,
                lease: Signed,
                label_key: [u8; 32],
                created: u64,
                committed: bool,
                session: Bytes<{ 257 * 1024 }>,
            }
        }

        impl $name {
            fn of(account: &LinkedAccount, $key: [u8; 32]) -> Result<Self, CryptoError> {
                Ok(Self {
                    $key,
                    root_pk: account.list.list().root_pk,
                    cert: account.cert.clone(),
                    ops: account.ops.clone(),
                    list: account.list.signed().clone(),
                    lease: account.lease.clone(),
                    label_key: *account.label_key,
                    created: account.created.unix_ms(),
                    committed: account.committed,
                    session: Bytes::new(account.session.to_vec()).map_err(|_| CryptoError)?,
                })
            }

            fn account(&self, device: DeviceKey) -> Result<LinkedAccount, CryptoError> {
                Ok(LinkedAccount {
                    device,
                    cert: self.cert.clone(),
                    ops: self.ops.clone(),
                    list: VerifiedList::anchor(&self.list, Some(&self.ops)).map_err(|_| CryptoError)?,
                    lease: self.lease.clone(),
                    label_key: Zeroizing::new(self.label_key),
                    created: Timestamp::from_unix_ms(self.created),
                    committed: self.committed,
                    session: Zeroizing::new(self.session.as_slice().to_vec()),
                })
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.$key.zeroize();
                self.label_key.zeroize();
                core::mem::take(&mut self.session).into_vec().zeroize();
            }
        }
    };
}

stored_account! {
    /// With the seed of the device's key.
    StoredLinkedAccount 1 device_seed
}
stored_account! {
    /// Of a device whose key the platform guards: only the public key is known.
    StoredGuardedAccount 2 device_pk
}

/// What a linked device knows about its account, every signature checked.
#[derive(Clone)]
pub struct LinkedAccount {
    device: DeviceKey,
    cert: Signed,
    ops: Signed,
    list: VerifiedList,
    lease: Signed,
    label_key: Zeroizing<LabelKey>,
    created: Timestamp,
    committed: bool,
    session: Zeroizing<Vec<u8>>,
}

impl LinkedAccount {
    /// Checks everything that M3 says: the certificate is by the account's root, for this key and this pairing, follows
    /// from the list, and the lease is by an ops key that the root certified.
    pub(super) fn verify(m3: &M3Body, device: DeviceKey, th2: &[u8; 32], now: Timestamp) -> Result<Self, CryptoError> {
        let payload = m3.cert.open(&m3.root_pk, SigningContext::DeviceCert).map_err(|_| CryptoError)?;
        let cert = Certificate::decode(payload).map_err(|_| CryptoError)?;
        let list = VerifiedList::anchor(&m3.list, Some(&m3.ops)).map_err(|_| CryptoError)?;
        let lease = open_lease(&m3.lease, &m3.ops, &m3.root_pk, &list.list().account).map_err(|_| CryptoError)?;
        let own = DeviceId::of(&device.public());
        let for_us = cert.device_pk == device.public() && cert.device == own && cert.role == Role::Linked;
        let of_account = cert.account == list.list().account && list.list().root_pk == m3.root_pk;
        let in_chain = cert.prev_list == *list.hash() && Some(cert.epoch) == list.list().epoch.checked_add(1);
        let leased = lease.device == own && lease.not_after > lease.not_before && lease.list_hash == *list.hash();
        if !(for_us && of_account && in_chain && leased && cert.link_th == *th2) {
            return Err(CryptoError);
        }
        Ok(Self {
            device,
            cert: m3.cert.clone(),
            ops: m3.ops.clone(),
            list,
            lease: m3.lease.clone(),
            label_key: Zeroizing::new(m3.label_key),
            created: now,
            committed: false,
            session: Zeroizing::new(Vec::new()),
        })
    }

    /// Reads [`LinkedAccount::encode`] back.
    ///
    /// # Errors
    /// [`CryptoError`] when it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CryptoError> {
        if let Ok(stored) = StoredGuardedAccount::decode(bytes) {
            return stored.account(DeviceKey::Guarded(stored.device_pk));
        }
        let stored = StoredLinkedAccount::decode(bytes).map_err(|_| CryptoError)?;
        stored.account(DeviceKey::Own(SigningKey::from_seed(&stored.device_seed)))
    }

    /// Everything, for the sealed store. Secret.
    ///
    /// # Errors
    /// [`CryptoError`] when the session is larger than any session.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Ok(Zeroizing::new(match &self.device {
            DeviceKey::Own(key) => StoredLinkedAccount::of(self, *key.to_seed())?.encode(),
            DeviceKey::Guarded(public) => StoredGuardedAccount::of(self, *public)?.encode(),
        }))
    }

    pub(super) fn set_session(&mut self, session: Zeroizing<Vec<u8>>) {
        self.session = session;
    }

    /// Follows the chain of lists; commits the link once this device is on it.
    ///
    /// # Errors
    /// [`CryptoError`] when a list does not follow, or the certificate on it is another.
    pub fn follow(&mut self, chain: &ListChain) -> Result<(), CryptoError> {
        let ops = chain.ops.as_ref().or(Some(&self.ops)).cloned();
        for signed in chain.lists.as_slice() {
            if sha256(&[signed.payload.as_slice()]) == *self.list.hash() {
                continue;
            }
            self.advance(signed, ops.as_ref())?;
        }
        Ok(())
    }

    /// Takes the next list.
    ///
    /// # Errors
    /// As [`LinkedAccount::follow`].
    pub fn advance(&mut self, signed: &Signed, ops: Option<&Signed>) -> Result<(), CryptoError> {
        self.step(signed, ops).map_err(|_| CryptoError)
    }

    /// As [`LinkedAccount::advance`], and says what is wrong with the list.
    ///
    /// # Errors
    /// [`ListError`]; nothing changes then.
    pub fn step(&mut self, signed: &Signed, ops: Option<&Signed>) -> Result<(), ListError> {
        let (next, used) = match self.list.successor(signed, ops.or(Some(&self.ops))) {
            Ok(next) => (next, ops.cloned()),
            // Signed before the ops key was renewed.
            Err(error) => (self.list.successor(signed, Some(&self.ops)).map_err(|_| error)?, None),
        };
        if let Some(entry) = next.entry(&self.device_id()) {
            if entry.cert_digest != self.cert.digest() {
                return Err(ListError::Signature);
            }
            self.committed = true;
        }
        // The stored list must verify with the certificate that is stored beside it.
        if let Some(used) = used.filter(|used| open_ops(used, &next.list().root_pk, &next.list().account).is_ok()) {
            self.ops = used;
        }
        self.list = next;
        Ok(())
    }

    /// Takes a newer lease: for this device, by an ops key of the account, answering the last check-in, whose number and
    /// digest are given, or one between that and the one that the present lease answers.
    ///
    /// # Errors
    /// [`CryptoError`]; the present lease stays.
    pub fn accept_lease(
        &mut self,
        lease: &Signed,
        ops: &Signed,
        (ctr, digest): (u64, [u8; 32]),
    ) -> Result<Lease, CryptoError> {
        let list = self.list.list();
        let opened = open_lease(lease, ops, &list.root_pk, &list.account).map_err(|_| CryptoError)?;
        let current = self.opened_lease().map_or(0, |lease| lease.ctr);
        let due = opened.checkin == digest || (current..=ctr).contains(&opened.ctr);
        if opened.device != self.device_id() || !due || opened.not_after <= opened.not_before {
            return Err(CryptoError);
        }
        self.lease = lease.clone();
        Ok(opened)
    }

    /// The lease was checked when it was taken.
    fn opened_lease(&self) -> Option<Lease> {
        Lease::decode(self.lease.payload.as_slice()).ok()
    }

    /// When the permission of this device ends, ms since 1970: with its lease, or its certificate when that is earlier.
    #[must_use]
    pub fn ends(&self) -> u64 {
        let cert = Certificate::decode(self.cert.payload.as_slice()).map_or(0, |cert| cert.not_after);
        self.opened_lease().map_or(0, |lease| lease.not_after).min(cert)
    }

    /// The scope of this device now: what the lease leaves of the certificate.
    #[must_use]
    pub fn scope(&self) -> u64 {
        let cert = Certificate::decode(self.cert.payload.as_slice()).map_or(0, |cert| cert.scope);
        self.opened_lease().map_or(0, |lease| lease.scope) & cert
    }

    /// Whether this device is on its account's list.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.list.entry(&self.device_id()).is_some()
    }

    /// Whether the link was ever completed; `false` = pending.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// When the pairing reached the certificate.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// This device.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.device.public())
    }

    /// This device's key, for logging in at the relay.
    #[must_use]
    pub fn device_key(&self) -> &DeviceKey {
        &self.device
    }

    /// The account.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.list.list().account
    }

    /// The primary device that holds the account: the first on the list.
    #[must_use]
    pub fn primary(&self) -> Option<DeviceId> {
        let mut entries = self.list.list().entries.as_slice().iter();
        entries.find(|entry| entry.role == Role::Primary).map(|entry| entry.device)
    }

    /// The newest known list.
    #[must_use]
    pub fn list(&self) -> &VerifiedList {
        &self.list
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Signed {
        &self.cert
    }

    /// The current lease.
    #[must_use]
    pub fn lease(&self) -> &Signed {
        &self.lease
    }

    /// Key of the device names.
    #[must_use]
    pub fn label_key(&self) -> &LabelKey {
        &self.label_key
    }

    /// The encoded session with the primary device as it stood at linking.
    #[must_use]
    pub fn first_session(&self) -> &[u8] {
        &self.session
    }
}

impl core::fmt::Debug for LinkedAccount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LinkedAccount")
            .field("epoch", &self.list.list().epoch)
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}

pairlight_wire::codec::coded! {
    /// How far a link got on the primary device.
    pub enum LinkStage {
        /// The certificate was made; it may have left. Nothing is published: abandon after a restart.
        Certified = 0,
        /// The device accepted and the list is signed; it may be published. Publish again after a restart.
        Publishing = 1,
        /// It took too long: only its removal may be published, whatever the clock says after a restart.
        Abandoning = 2,
    }
}

record! {
    /// A link that is not finished, as it lies in the primary device's sealed store.
    #[derive(Clone, PartialEq, Eq)]
    pub struct PendingLink [1] {
        /// The new device.
        pub device: DeviceId,
        /// How far it got.
        pub stage: LinkStage,
        /// When it was certified, ms since 1970.
        pub created: u64,
        /// Its entry; without the acceptance at [`LinkStage::Certified`].
        pub entry: Entry,
        /// The signed list with the device in it.
        pub list: Option<Signed>,
        /// The encoded session with the device; secret.
        pub session: Bytes<{ 257 * 1024 }>,
    }
}

impl ZeroizeOnDrop for PendingLink {}

impl Drop for PendingLink {
    fn drop(&mut self) {
        core::mem::take(&mut self.session).into_vec().zeroize();
    }
}

impl core::fmt::Debug for PendingLink {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PendingLink").field("stage", &self.stage).finish_non_exhaustive()
    }
}
