//! Bit 6: a device that was linked before comes back with its own key.

use pairlight_wire::sign::{SigningContext, verify};

use crate::crypto::sign::SigningKey;

/// Why a device does not count as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// It is not on the account's list.
    #[error("the device is not on the account's list")]
    NotListed,
    /// It is on the list and has not lapsed: two programs may hold its key.
    #[error("the device is still linked")]
    NotLapsed,
    /// It did not sign with its key.
    #[error("the device did not sign with its key")]
    Signature,
}

/// `Sign(device key, "pairlight/v1/known-device", th2)`.
pub(crate) fn prove_known(device: &SigningKey, th2: &[u8; 32]) -> [u8; 64] {
    device.sign(SigningContext::KnownDevice, th2)
}

/// Checks the signature; whether the device lapsed is the list's business.
pub(crate) fn verify_known(device_pk: &[u8; 32], proof: &[u8], th2: &[u8; 32]) -> Result<(), KnownError> {
    let signature = proof.try_into().map_err(|_| KnownError::Signature)?;
    verify(device_pk, SigningContext::KnownDevice, th2, signature).map_err(|_| KnownError::Signature)
}
