//! SHA-256, the one hash of the protocol.

use sha2::{Digest, Sha256};

/// Prefix of the hash that commits the QR code to the offer (stops a relay from swapping the offer).
pub const OFFER_COMMIT_PREFIX: &[u8] = b"pairlight/v1/offer\0";

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// The first 16 bytes of [`sha256`].
#[must_use]
pub fn sha256_16(parts: &[&[u8]]) -> [u8; 16] {
    let mut short = [0; 16];
    short.iter_mut().zip(sha256(parts)).for_each(|(to, from)| *to = from);
    short
}
