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

/// SHA-256 of what comes bit by bit.
#[derive(Default, Clone)]
pub struct Sha256Stream(Sha256);

impl Sha256Stream {
    /// Takes more.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of it.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The first 16 bytes of [`sha256`].
#[must_use]
pub fn sha256_16(parts: &[&[u8]]) -> [u8; 16] {
    let mut short = [0; 16];
    short.iter_mut().zip(sha256(parts)).for_each(|(to, from)| *to = from);
    short
}
