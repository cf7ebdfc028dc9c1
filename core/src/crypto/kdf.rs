//! HKDF-SHA256 (RFC 5869) and HMAC-SHA256 (RFC 2104), each call with a label from one list.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::CryptoError;

/// Everything that is derived, with the purpose of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KdfLabel {
    /// Slot id of the QR secret. Public: the relay sees it.
    SlotId,
    /// Key of the sealed offer. Separate from the PSK, so that what the relay stores says nothing about it.
    Offer,
    /// Pre-shared key of the HPKE channel.
    Psk,
    /// Key of the Bluetooth advertisement.
    Ble,
    /// The six digits.
    CheckCode,
    /// Key of M3: also needs the transcript and, with Bluetooth, the nonce from the air.
    M3,
    /// Key of the challenge on the local network.
    Lan,
    /// The word that a cable or a tap carries.
    Tap,
    /// Response key of the linked device's direction (RFC 9458 section 4.4).
    ResponseKey,
    /// Response nonce of the same.
    ResponseNonce,
    /// A storage subkey; the table name follows.
    AtRest,
    /// A chunk of history; the index follows.
    HistoryChunk,
    /// A piece of a file; the index follows.
    FilePiece,
    /// Key that seals the key of the device names for whoever has the recovery words.
    RecoveryLabel,
    /// Key that seals a device's report for the primary device: only devices of the account have it.
    Report,
    /// Pre-shared key of a session reset: only devices of the account have it.
    ResetPsk,
    /// Key of the last record of a session reset.
    ResetFinish,
}

impl KdfLabel {
    fn info(self) -> &'static [u8] {
        match self {
            Self::SlotId => b"rid",
            Self::Offer => b"offer",
            Self::Psk => b"psk",
            Self::Ble => b"ble",
            Self::CheckCode => b"pairlight/v1/sas",
            Self::M3 => b"pairlight/v1/m3",
            Self::Lan => b"pairlight/v1/lan",
            Self::Tap => b"pairlight/v1/tap",
            Self::ResponseKey => b"key",
            Self::ResponseNonce => b"nonce",
            Self::AtRest => b"pairlight/v1/at-rest",
            Self::HistoryChunk => b"pairlight/v1/hist-chunk",
            Self::FilePiece => b"pairlight/v1/file-piece",
            Self::RecoveryLabel => b"pairlight/v1/recovery-label",
            Self::Report => b"pairlight/v1/report",
            Self::ResetPsk => b"pairlight/v1/reset-psk",
            Self::ResetFinish => b"pairlight/v1/reset-finish",
        }
    }
}

/// HKDF extract-and-expand: `HKDF(salt, ikm, label || suffix)`.
#[must_use]
pub fn derive<const N: usize>(salt: &[u8], ikm: &[u8], label: KdfLabel, suffix: &[u8]) -> Zeroizing<[u8; N]> {
    let mut okm = Zeroizing::new([0; N]);
    // Expansion fails only beyond 255 hash lengths (8,160 bytes); every N here is at most 32, and a test pins that.
    let expanded = Hkdf::<Sha256>::new(Some(salt), ikm).expand_multi_info(&[label.info(), suffix], okm.as_mut());
    debug_assert!(expanded.is_ok(), "an HKDF output is at most 255 hashes long");
    okm
}

/// HMAC-SHA256 over the concatenation of `parts`.
#[must_use]
pub fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // RFC 2104 pads a short key with zeros to one block; a whole block makes the constructor infallible.
    let mut block = Zeroizing::new([0u8; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Checks an HMAC tag, whole or truncated to its first bytes, in constant time.
///
/// # Errors
/// [`CryptoError`] when it differs or is shorter than 16 bytes.
pub fn verify_hmac(key: &[u8; 32], parts: &[&[u8]], tag: &[u8]) -> Result<(), CryptoError> {
    let expected = hmac_sha256(key, parts);
    let expected = expected.get(..tag.len()).filter(|_| tag.len() >= 16).ok_or(CryptoError)?;
    if super::constant_time_eq(expected, tag) { Ok(()) } else { Err(CryptoError) }
}
