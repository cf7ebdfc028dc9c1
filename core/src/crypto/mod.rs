//! The primitives, one file each, each the only file that names its crate. No protocol here, only keys that cannot be
//! confused and contexts that cannot be forgotten.

pub mod aead;
pub mod block;
pub mod es256;
pub mod hpke;
pub mod kdf;
pub mod olm;
pub mod sign;

/// Authentication failed. Deliberately without detail: the difference would help only an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed")]
pub struct CryptoError;

/// Compares two secrets in time that does not depend on where they differ.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    bool::from(subtle::ConstantTimeEq::ct_eq(a, b))
}

/// Fills an array with randomness from the caller's generator.
pub(crate) fn random<const N: usize>(rng: &mut impl rand_core::CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}
