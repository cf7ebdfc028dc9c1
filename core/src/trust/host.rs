//! Bits 5 and 7: evidence that only the host app can gather. It reports in types of ours, bound to the pairing.

use pairlight_wire::hash::sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// What carried the word from the linked to the primary device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapMedium {
    /// A cable between the two.
    Cable,
    /// Near-field communication.
    Nfc,
}

/// 16 bytes that both devices derive from the channel. The linked device's app sends them over the cable or the tap; the
/// primary device's app hands in what arrived. Redacted in `Debug`.
#[derive(Clone, Eq, ZeroizeOnDrop)]
pub struct TapWord(Zeroizing<[u8; 16]>);

impl PartialEq for TapWord {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.as_bytes())
    }
}

impl TapWord {
    pub(crate) fn new(word: Zeroizing<[u8; 16]>) -> Self {
        Self(word)
    }

    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether `arrived` is this word, in constant time.
    #[must_use]
    pub fn matches(&self, arrived: &[u8]) -> bool {
        crate::crypto::constant_time_eq(self.0.as_slice(), arrived)
    }
}

impl core::fmt::Debug for TapWord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TapWord(..)")
    }
}

/// An organisation's attestation that the host app must judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedRequest {
    /// What the attestation must be bound to, see [`managed_challenge`].
    pub challenge: [u8; 32],
    /// Public key of the device that is attested.
    pub device_pk: [u8; 32],
    /// The attestation, as the linked device's app gave it.
    pub proof: Vec<u8>,
}

/// The host app's judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagedVerdict {
    /// The organisation vouches for this device in this link.
    Attested,
    /// It does not, or not for this link.
    NotAttested,
}

/// What an attestation is bound to: `H("pairlight/v1/managed\0" || th2)`.
#[must_use]
pub fn managed_challenge(th2: &[u8; 32]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/managed\0", th2])
}
