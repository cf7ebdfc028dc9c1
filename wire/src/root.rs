//! How an account outlives its root key: rotation by the old key, or by the recovery key that the list names.
//!
//! The account's id is the hash of its first root key and never changes. A list carries every rotation since, so that
//! whoever meets the account later can check by which path the present root key came to hold it.

use crate::codec::{Bytes, Wire, record};
use crate::id::AccountId;
use crate::sign::{InvalidSignature, Signed, SigningContext};

record! {
    /// The account's recovery key. Signed by the root key with [`SigningContext::Recovery`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RecoveryRecord [1] {
        /// The account.
        pub account: AccountId,
        /// Ed25519 public key; the private one is 24 words on paper.
        pub recovery_pk: [u8; 32],
        /// The key of the device names, sealed under a key of the same words: nonce and ciphertext.
        pub label_key_ct: Bytes<64>,
        /// When it was made, ms since 1970.
        pub at: u64,
    }
}

record! {
    /// Another root key holds the account from now on. Signed with [`SigningContext::RootRotate`] by `from_pk`, or by the
    /// recovery key when `recovery` is there.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RootRotation [1] {
        /// The account.
        pub account: AccountId,
        /// The root key before.
        pub from_pk: [u8; 32],
        /// The root key from now on.
        pub to_pk: [u8; 32],
        /// When, ms since 1970.
        pub at: u64,
        /// [`RecoveryRecord`] by `from_pk`: the recovery key signed, because the root key was lost.
        pub recovery: Option<Signed>,
    }
}

/// Opens the recovery record of an account, signed by `root_pk`.
///
/// # Errors
/// [`InvalidSignature`] for another key or account.
pub fn open_recovery(
    signed: &Signed,
    root_pk: &[u8; 32],
    account: &AccountId,
) -> Result<RecoveryRecord, InvalidSignature> {
    let payload = signed.open(root_pk, SigningContext::Recovery)?;
    let record = RecoveryRecord::decode(payload).map_err(|_| InvalidSignature)?;
    if record.account == *account { Ok(record) } else { Err(InvalidSignature) }
}

/// Opens a rotation: signed by the root key that it replaces, or by the recovery key which that root key named.
///
/// # Errors
/// [`InvalidSignature`] for any other signer or account.
pub fn open_rotation(signed: &Signed, account: &AccountId) -> Result<RootRotation, InvalidSignature> {
    // Read before it is checked: it says which key must have signed it.
    let claimed = RootRotation::decode(signed.payload.as_slice()).map_err(|_| InvalidSignature)?;
    let signer = match &claimed.recovery {
        None => claimed.from_pk,
        Some(recovery) => open_recovery(recovery, &claimed.from_pk, account)?.recovery_pk,
    };
    signed.open(&signer, SigningContext::RootRotate)?;
    if claimed.account == *account { Ok(claimed) } else { Err(InvalidSignature) }
}

/// Checks that the rotations lead from the key that named the account to `root_pk`.
///
/// # Errors
/// [`InvalidSignature`] when one does not follow from the one before.
pub fn check_path(account: &AccountId, roots: &[Signed], root_pk: &[u8; 32]) -> Result<(), InvalidSignature> {
    let mut reached: Option<[u8; 32]> = None;
    for signed in roots {
        let rotation = open_rotation(signed, account)?;
        let follows = match reached {
            None => AccountId::of(&rotation.from_pk) == *account,
            Some(before) => before == rotation.from_pk,
        };
        if !follows {
            return Err(InvalidSignature);
        }
        reached = Some(rotation.to_pk);
    }
    let arrives = match reached {
        None => AccountId::of(root_pk) == *account,
        Some(last) => last == *root_pk,
    };
    if arrives { Ok(()) } else { Err(InvalidSignature) }
}

/// The root keys before the present one, newest first.
#[must_use]
pub fn former_roots(roots: &[Signed]) -> Vec<[u8; 32]> {
    let rotations = roots.iter().rev().filter_map(|signed| RootRotation::decode(signed.payload.as_slice()).ok());
    rotations.map(|rotation| rotation.from_pk).collect()
}
