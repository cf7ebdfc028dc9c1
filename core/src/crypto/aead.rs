//! AES-256-GCM (NIST SP 800-38D). The nonce belongs to the key.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Nonce, Payload};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{CryptoError, random};

/// Length of the authentication tag in bytes.
pub const TAG_BYTES: usize = 16;
/// Length of a nonce in bytes.
pub const NONCE_BYTES: usize = 12;

fn seal_with(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let nonce: Nonce<Aes256Gcm> = nonce.into();
    Aes256Gcm::new(key.into()).encrypt(&nonce, Payload { msg: plaintext, aad }).map_err(|_| CryptoError)
}

fn open_with(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let nonce: Nonce<Aes256Gcm> = nonce.into();
    Aes256Gcm::new(key.into()).decrypt(&nonce, Payload { msg: ciphertext, aad }).map_err(|_| CryptoError)
}

/// A key that seals exactly one message, so its nonce is zero. Sealing and opening consume it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct OneShotKey([u8; 32]);

impl OneShotKey {
    /// Takes a key that was derived for one message.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Seals the one message.
    ///
    /// # Errors
    /// [`CryptoError`] only for plaintexts beyond the limit of GCM (64 GiB).
    pub fn seal(self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        seal_with(&self.0, [0; 12], aad, plaintext)
    }

    /// Opens the one message.
    ///
    /// # Errors
    /// [`CryptoError`] when key, `aad` or ciphertext are not the ones that were sealed.
    pub fn open(self, aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        open_with(&self.0, [0; 12], aad, ciphertext)
    }
}

/// A key for a numbered run of messages in one direction: nonce `i` is `base XOR i` (RFC 9458 section 4.4, RFC 9180
/// section 5.2). Both ends count.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SequenceKey {
    key: [u8; 32],
    base: [u8; 12],
    next: u64,
}

impl SequenceKey {
    /// Starts counting at 0.
    #[must_use]
    pub fn new(key: [u8; 32], base: [u8; 12]) -> Self {
        Self { key, base, next: 0 }
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.base;
        for (byte, counter) in nonce.iter_mut().rev().zip(self.next.to_be_bytes().iter().rev()) {
            *byte ^= counter;
        }
        nonce
    }

    /// Seals the next message.
    ///
    /// # Errors
    /// [`CryptoError`] when the counter is used up.
    pub fn seal(&mut self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let following = self.next.checked_add(1).ok_or(CryptoError)?;
        let sealed = seal_with(&self.key, self.nonce(), aad, plaintext)?;
        self.next = following;
        Ok(sealed)
    }

    /// Opens the next message; a message that fails does not move the counter.
    ///
    /// # Errors
    /// [`CryptoError`] when it is not the next message.
    pub fn open(&mut self, aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let following = self.next.checked_add(1).ok_or(CryptoError)?;
        let plaintext = open_with(&self.key, self.nonce(), aad, ciphertext)?;
        self.next = following;
        Ok(plaintext)
    }
}

/// A key for many records at rest, each under a random 96-bit nonce in front of the ciphertext. Good for 2^32 records.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// Takes a 32 byte key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Seals a record: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`CryptoError`] only for plaintexts beyond the limit of GCM.
    pub fn seal(&self, rng: &mut impl CryptoRng, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let nonce: [u8; NONCE_BYTES] = random(rng);
        let mut sealed = nonce.to_vec();
        sealed.append(&mut seal_with(&self.0, nonce, aad, plaintext)?);
        Ok(sealed)
    }

    /// Opens a record.
    ///
    /// # Errors
    /// [`CryptoError`] when it is too short, altered, or was sealed for another `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (nonce, ciphertext) = sealed.split_first_chunk().ok_or(CryptoError)?;
        open_with(&self.0, *nonce, aad, ciphertext)
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
redacted!(OneShotKey, SequenceKey, RecordKey);
