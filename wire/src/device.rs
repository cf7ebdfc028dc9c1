//! Statements about one device: certificate, lease, check-in; and the certificate of the operations key.

use crate::codec::{Bytes, Wire, coded, record};
use crate::id::{AccountId, DeviceId};
use crate::sign::{InvalidSignature, Signed, SigningContext};

coded! {
    /// What a device is in its account.
    pub enum Role {
        /// Holds the root key; may add devices.
        Primary = 1,
        /// Linked by a primary device.
        Linked = 2,
    }
}

coded! {
    /// Policy preset under which a link was allowed. Stands in the certificate's evidence field, so nobody is weaker in silence.
    pub enum Preset {
        /// The embedder's own table.
        Custom = 0,
        /// No delays; for development only.
        Development = 1,
        /// The default.
        Balanced = 2,
        /// Delays and little scope without strong evidence.
        Strict = 3,
        /// Only strong evidence links.
        StrongOnly = 4,
    }
}

/// Scope bit: may receive messages.
pub const SCOPE_RECEIVE: u64 = 1;
/// Scope bit: may send messages.
pub const SCOPE_SEND: u64 = 2;
/// Scope bit: may export the history.
pub const SCOPE_EXPORT: u64 = 4;
/// Scope bit: may change settings.
pub const SCOPE_SETTINGS: u64 = 8;
/// All scope bits.
pub const SCOPE_ALL: u64 = SCOPE_RECEIVE | SCOPE_SEND | SCOPE_EXPORT | SCOPE_SETTINGS;

record! {
    /// The root key's statement that a device belongs to the account. Signed with [`SigningContext::DeviceCert`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Certificate [1] {
        /// The account.
        pub account: AccountId,
        /// The device.
        pub device: DeviceId,
        /// Its Ed25519 public key.
        pub device_pk: [u8; 32],
        /// Its role.
        pub role: Role,
        /// Scope bits (`SCOPE_*`).
        pub scope: u64,
        /// Evidence bits 0 to 7, grade in bits 8 and 9, preset in bits 12 to 15.
        pub evidence: u64,
        /// When it was made, ms since 1970 by the primary device's clock.
        pub created: u64,
        /// When it ends, ms since 1970.
        pub not_after: u64,
        /// Epoch of the list that will contain it.
        pub epoch: u64,
        /// Hash of the list before that.
        pub prev_list: [u8; 32],
        /// Transcript hash th2 of the pairing that made it.
        pub link_th: [u8; 32],
    }
}

record! {
    /// The root key's permission for the operations key. Signed with [`SigningContext::OpsCert`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OpsCertificate [1] {
        /// The account.
        pub account: AccountId,
        /// Ed25519 public key for daily operations.
        pub ops_pk: [u8; 32],
        /// When the permission ends, ms since 1970.
        pub not_after: u64,
        /// `OPS_*` bits.
        pub caps: u64,
    }
}

/// The operations key may sign leases.
pub const OPS_LEASE: u64 = 1;
/// The operations key may sign lists that only remove.
pub const OPS_REMOVE: u64 = 2;
/// The operations key may sign lists that repeat the entries of the one before.
pub const OPS_REISSUE: u64 = 4;

record! {
    /// Permission to stay, until a day. Signed by the ops key with [`SigningContext::Lease`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Lease [1] {
        /// The account.
        pub account: AccountId,
        /// The device.
        pub device: DeviceId,
        /// Counter of the check-in that it answers; 0 for the first.
        pub ctr: u64,
        /// Hash of that check-in; zero for the first.
        pub checkin: [u8; 32],
        /// Epoch of the list that it was made under.
        pub epoch: u64,
        /// Hash of that list.
        pub list_hash: [u8; 32],
        /// Start, ms since 1970.
        pub not_before: u64,
        /// End, ms since 1970.
        pub not_after: u64,
        /// Scope bits.
        pub scope: u64,
    }
}

record! {
    /// A linked device reports. Signed by the device with [`SigningContext::CheckIn`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CheckIn [1] {
        /// The device.
        pub device: DeviceId,
        /// Counts up by one.
        pub ctr: u64,
        /// Hash of the check-in before.
        pub prev: [u8; 32],
        /// Epoch of the list that the device knows.
        pub epoch: u64,
        /// Hash of that list.
        pub list_hash: [u8; 32],
        /// One more than the highest message number received in the session; 0 for none.
        pub rx_hw: u64,
        /// One more than the highest message number sent in the session; 0 for none.
        pub tx_hw: u64,
        /// Coarse platform fingerprint.
        pub platform: [u8; 8],
        /// The device's clock, ms since 1970.
        pub time: u64,
        /// Fresh randomness.
        pub nonce: [u8; 16],
    }
}

record! {
    /// What an envelope of kind 2 carries, sealed by a key of the account and not by the session's ratchet: a device whose
    /// ratchet is behind, as that of a copied profile is, must still be heard and judged.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Report [1] {
        /// Names the session that the counts of the check-in are of.
        pub session: [u8; 8],
        /// The signed [`CheckIn`].
        pub check_in: Signed,
    }
}

/// Opens and decodes a certificate of the ops key.
///
/// # Errors
/// [`InvalidSignature`] when the root key did not sign it, or it is of another account.
pub fn open_ops(signed: &Signed, root_pk: &[u8; 32], account: &AccountId) -> Result<OpsCertificate, InvalidSignature> {
    let payload = signed.open(root_pk, SigningContext::OpsCert)?;
    let ops = OpsCertificate::decode(payload).map_err(|_| InvalidSignature)?;
    if ops.account == *account { Ok(ops) } else { Err(InvalidSignature) }
}

/// Opens and decodes a lease: signed by an ops key that `root_pk` certified for leases.
///
/// # Errors
/// [`InvalidSignature`] when any link of that chain is broken. Times are the caller's to check.
pub fn open_lease(
    lease: &Signed,
    ops: &Signed,
    root_pk: &[u8; 32],
    account: &AccountId,
) -> Result<Lease, InvalidSignature> {
    let ops = open_ops(ops, root_pk, account)?;
    let payload = lease.open(&ops.ops_pk, SigningContext::Lease)?;
    let lease = Lease::decode(payload).map_err(|_| InvalidSignature)?;
    let covered = ops.caps & OPS_LEASE != 0 && lease.not_before <= ops.not_after && lease.account == ops.account;
    if covered { Ok(lease) } else { Err(InvalidSignature) }
}

/// A sealed device label.
pub type LabelCt = Bytes<128>;
