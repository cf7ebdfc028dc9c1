//! What the QR code carries: 51 bytes, shown as `PAIRLIGHT:/` and 124 digits.
//!
//! ```text
//! off len field
//! 0   1   version = 1
//! 1   1   suite = 1 (HPKE mode_psk, KEM X-Wing 0x647a, KDF HKDF-SHA256, AEAD AES-256-GCM)
//! 2   1   relay index: 0 = the app's default relay, others = index in the app's pinned list; never a URL
//! 3   32  qr_secret
//! 35  16  commit = SHA-256("pairlight/v1/offer\0" || offer)[0..16]
//! ```

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::base10;

/// Scheme of the text form, in the case that QR alphanumeric mode can hold.
pub const SCHEME: &str = "PAIRLIGHT:/";
/// Version byte of this protocol.
pub const VERSION: u8 = 1;
/// The one cipher suite of version 1.
pub const SUITE: u8 = 1;
/// Length of the payload in bytes.
pub const PAYLOAD_BYTES: usize = 51;
/// Length of its text form without the scheme, in digits.
pub const PAYLOAD_DIGITS: usize = 124;

/// Why a text that begins with our scheme is not an offer that this version can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// The text does not begin with our scheme. Not ours: look for another meaning.
    #[error("the text does not begin with {SCHEME}")]
    NotOurs,
    /// The digits are damaged or cut off. Scan again.
    #[error("the digits of the code are damaged: {0}")]
    Digits(#[from] base10::Base10Error),
    /// An offer of another protocol version. One of the two apps needs an update.
    #[error("the code is of protocol version {version}, this is version {VERSION}")]
    OtherVersion {
        /// The version that the code names.
        version: u8,
    },
    /// Our version, but a cipher suite that is not known here. One of the two apps needs an update.
    #[error("the code asks for cipher suite {suite}, which is not known here")]
    OtherSuite {
        /// The suite that the code names.
        suite: u8,
    },
    /// The right version with the wrong length. Damaged, or forged.
    #[error("the code carries {bytes} bytes, expected {PAYLOAD_BYTES}")]
    Length {
        /// How many bytes there were.
        bytes: usize,
    },
}

/// The decoded content of one of our QR codes. Holds the pairing secret: zeroized on drop, redacted in `Debug`.
#[derive(Clone, Eq, Zeroize, ZeroizeOnDrop)]
pub struct QrPayload {
    relay_index: u8,
    qr_secret: [u8; 32],
    commit: [u8; 16],
}

impl QrPayload {
    /// Builds a payload from the relay's index, the fresh pairing secret and the commitment to the offer.
    #[must_use]
    pub fn new(relay_index: u8, qr_secret: [u8; 32], commit: [u8; 16]) -> Self {
        Self { relay_index, qr_secret, commit }
    }

    /// Index of the relay in the app's pinned list.
    #[must_use]
    pub fn relay_index(&self) -> u8 {
        self.relay_index
    }

    /// The 32 byte secret from which the slot id and the pre-shared key are derived.
    #[must_use]
    pub fn qr_secret(&self) -> &[u8; 32] {
        &self.qr_secret
    }

    /// The commitment to the offer.
    #[must_use]
    pub fn commit(&self) -> &[u8; 16] {
        &self.commit
    }

    /// The 51 bytes, in wire order. The transcript hashes them.
    #[must_use]
    pub fn encode(&self) -> [u8; PAYLOAD_BYTES] {
        let mut bytes = [0; PAYLOAD_BYTES];
        let head = [VERSION, SUITE, self.relay_index];
        let fields = head.iter().chain(&self.qr_secret).chain(&self.commit);
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Decodes the 51 bytes.
    ///
    /// # Errors
    /// [`QrError`] names a foreign version or suite before it complains about the length.
    pub fn decode(bytes: &[u8]) -> Result<Self, QrError> {
        let wrong_length = QrError::Length { bytes: bytes.len() };
        let (&[version, suite, relay_index], rest) = bytes.split_first_chunk().ok_or(wrong_length)?;
        if version != VERSION {
            return Err(QrError::OtherVersion { version });
        }
        if suite != SUITE {
            return Err(QrError::OtherSuite { suite });
        }
        let (qr_secret, rest) = rest.split_first_chunk().ok_or(wrong_length)?;
        let commit = rest.try_into().map_err(|_| wrong_length)?;
        Ok(Self { relay_index, qr_secret: *qr_secret, commit })
    }

    /// The text that the QR code shows: scheme and 124 digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = SCHEME.to_owned();
        text.push_str(&base10::encode(&self.encode()));
        text
    }

    /// Parses the text form; the scheme may be in any case.
    ///
    /// # Errors
    /// [`QrError::NotOurs`] when the scheme is another, else what is wrong with the rest.
    pub fn parse(text: &str) -> Result<Self, QrError> {
        let (scheme, digits) = text.split_at_checked(SCHEME.len()).ok_or(QrError::NotOurs)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(QrError::NotOurs);
        }
        Self::parse_digits(digits)
    }

    /// Parses the digits alone, as they stand in the fragment of a universal link.
    ///
    /// # Errors
    /// As [`QrPayload::parse`], never [`QrError::NotOurs`].
    pub fn parse_digits(digits: &str) -> Result<Self, QrError> {
        Self::decode(&base10::decode(digits)?)
    }
}

impl PartialEq for QrPayload {
    /// In time that does not depend on where the secrets differ.
    fn eq(&self, other: &Self) -> bool {
        let secrets = self.qr_secret.ct_eq(&other.qr_secret);
        bool::from(secrets) && self.relay_index == other.relay_index && self.commit == other.commit
    }
}

impl fmt::Debug for QrPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QrPayload").field("relay_index", &self.relay_index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> QrPayload {
        QrPayload::new(3, [0xa5; 32], [0x5a; 16])
    }

    #[test]
    fn text_has_124_digits_and_parses_back_in_any_case() {
        let text = sample().to_text();
        assert_eq!(text.len(), SCHEME.len() + PAYLOAD_DIGITS);
        assert_eq!(QrPayload::parse(&text), Ok(sample()));
        assert_eq!(QrPayload::parse(&text.to_lowercase()), Ok(sample()));
    }

    #[test]
    fn foreign_versions_and_suites_are_named() {
        let mut bytes = sample().encode();
        bytes[0] = 2;
        assert_eq!(QrPayload::decode(&bytes), Err(QrError::OtherVersion { version: 2 }));
        bytes[0] = 1;
        bytes[1] = 9;
        assert_eq!(QrPayload::decode(&bytes), Err(QrError::OtherSuite { suite: 9 }));
        assert_eq!(QrPayload::decode(&sample().encode()[..50]), Err(QrError::Length { bytes: 50 }));
        assert_eq!(QrPayload::parse("https://example.org"), Err(QrError::NotOurs));
        assert_eq!(QrPayload::parse("PAIRLIGHT:/"), Err(QrError::Length { bytes: 0 }));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", sample()), "QrPayload { relay_index: 3, .. }");
    }
}
