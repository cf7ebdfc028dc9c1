//! A wrapping key derived from what the user types.

use std::sync::Mutex;

use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::KeyWrapError;
use super::key_wrap::{KEY_LEN, KeyWrap};
use crate::crypto::aead::{NONCE_BYTES, RecordKey, TAG_BYTES};

/// First byte of a data key that was wrapped with a passphrase.
const KIND: u8 = 2;
const SALT_LEN: usize = 16;
/// Kind, memory, passes, lanes (three big-endian u32), salt. In clear, and the associated data of the rest.
const HEADER_LEN: usize = 29;
const SEALED_LEN: usize = NONCE_BYTES + KEY_LEN + TAG_BYTES;

/// How much work one guess at the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes; computed one after the other here, so more than one only helps an attacker.
    pub lanes: u32,
}

impl PassphraseCost {
    /// 64 MiB and three passes: the second recommended option of RFC 9106, on one lane.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// The most that is accepted from a file: a hostile one must not freeze the machine before the passphrase is even checked.
    pub const MAX: Self = Self { memory_kib: 512 * 1024, passes: 16, lanes: 8 };

    fn params(self) -> Result<Params, KeyWrapError> {
        let refused = KeyWrapError::CostRefused { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes };
        let max = Self::MAX;
        if self.memory_kib > max.memory_kib || self.passes > max.passes || self.lanes > max.lanes {
            return Err(refused);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_LEN)).map_err(|_| refused)
    }
}

/// Argon2id over a passphrase and a random salt; the result wraps with AES-256-GCM. Salt and cost travel in the wrapped key.
///
/// The passphrase is taken as the bytes given: a caller who accepts it from several keyboards normalises it first.
pub struct Passphrase {
    passphrase: Zeroizing<Vec<u8>>,
    cost: PassphraseCost,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
}

impl Passphrase {
    /// Takes a passphrase and the cost for keys that it wraps from now on; unwrapping uses the cost that the wrapped key names.
    ///
    /// # Errors
    /// [`KeyWrapError::EmptyPassphrase`]; [`KeyWrapError::CostRefused`] when the cost is outside what unwrapping would accept.
    pub fn new(passphrase: &str, cost: PassphraseCost, rng: Box<dyn CryptoRng + Send>) -> Result<Self, KeyWrapError> {
        if passphrase.is_empty() {
            return Err(KeyWrapError::EmptyPassphrase);
        }
        cost.params()?;
        Ok(Self { passphrase: Zeroizing::new(passphrase.as_bytes().to_vec()), cost, rng: Mutex::new(rng) })
    }

    fn derive_key(&self, cost: PassphraseCost, salt: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
        let mut key = Zeroizing::new([0; KEY_LEN]);
        argon2.hash_password_into(&self.passphrase, salt, key.as_mut_slice()).map_err(|_| KeyWrapError::OutOfMemory)?;
        Ok(key)
    }
}

impl KeyWrap for Passphrase {
    fn wrap(&self, dek: &[u8; KEY_LEN]) -> Result<Vec<u8>, KeyWrapError> {
        // A poisoned lock only means that another thread panicked; a random source has no half state.
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        let mut wrapped = Vec::with_capacity(HEADER_LEN);
        wrapped.push(KIND);
        for number in [self.cost.memory_kib, self.cost.passes, self.cost.lanes] {
            wrapped.extend_from_slice(&number.to_be_bytes());
        }
        wrapped.extend_from_slice(&salt);
        let key = self.derive_key(self.cost, &salt)?;
        let sealed = RecordKey::new(*key).seal(&mut *rng, &wrapped, dek).map_err(|_| KeyWrapError::WrongPassphrase)?;
        wrapped.extend(sealed);
        Ok(wrapped)
    }

    fn unwrap_key(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
        let (header, sealed) = wrapped.split_at_checked(HEADER_LEN).ok_or(KeyWrapError::OtherKind)?;
        let (cost, salt) = read_header(header).ok_or(KeyWrapError::OtherKind)?;
        if sealed.len() != SEALED_LEN {
            return Err(KeyWrapError::OtherKind);
        }
        let key = self.derive_key(cost, salt)?;
        let opened = RecordKey::new(*key).open(header, sealed).map(Zeroizing::new);
        let opened = opened.map_err(|_| KeyWrapError::WrongPassphrase)?;
        Ok(Zeroizing::new(opened.as_slice().try_into().map_err(|_| KeyWrapError::WrongPassphrase)?))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passphrase").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// Splits the clear part of a wrapped key; `None` when it was not made here.
fn read_header(header: &[u8]) -> Option<(PassphraseCost, &[u8])> {
    let (&KIND, rest) = header.split_first()? else { return None };
    let (memory, rest) = rest.split_first_chunk::<4>()?;
    let (passes, rest) = rest.split_first_chunk::<4>()?;
    let (lanes, salt) = rest.split_first_chunk::<4>()?;
    let cost = PassphraseCost {
        memory_kib: u32::from_be_bytes(*memory),
        passes: u32::from_be_bytes(*passes),
        lanes: u32::from_be_bytes(*lanes),
    };
    Some((cost, salt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };

    fn with(passphrase: &str, cost: PassphraseCost) -> Passphrase {
        Passphrase::new(passphrase, cost, Box::new(ChaCha20Rng::seed_from_u64(5))).unwrap()
    }

    #[test]
    fn the_right_passphrase_opens_and_a_wrong_one_is_named() {
        let wrapped = with("correct horse", CHEAP).wrap(&[7; 32]).unwrap();
        // The cost of the file counts, not that of the opener.
        let same = with("correct horse", PassphraseCost { passes: 2, ..CHEAP });
        assert_eq!(*same.unwrap_key(&wrapped).unwrap(), [7; 32]);
        for wrong in ["correct horse ", "Correct horse", "x"] {
            assert!(matches!(with(wrong, CHEAP).unwrap_key(&wrapped), Err(KeyWrapError::WrongPassphrase)));
        }
        let rng = Box::new(ChaCha20Rng::seed_from_u64(5));
        assert!(matches!(Passphrase::new("", CHEAP, rng), Err(KeyWrapError::EmptyPassphrase)));
    }

    #[test]
    fn the_default_cost_works_and_wraps_differently_each_time() {
        let one = with("correct horse", PassphraseCost::DEFAULT);
        let (first, second) = (one.wrap(&[7; 32]).unwrap(), one.wrap(&[7; 32]).unwrap());
        assert_ne!(first[HEADER_LEN - SALT_LEN..HEADER_LEN], second[HEADER_LEN - SALT_LEN..HEADER_LEN]);
        assert_eq!(*one.unwrap_key(&second).unwrap(), [7; 32]);
    }

    #[test]
    fn absurd_costs_from_a_hostile_file_are_refused_before_any_work() {
        let wrapped = with("correct horse", CHEAP).wrap(&[7; 32]).unwrap();
        for (at, number) in [(1, u32::MAX), (1, 512 * 1024 + 1), (1, 0), (5, u32::MAX), (5, 17), (5, 0), (9, 9), (9, 0)]
        {
            let mut bad = wrapped.clone();
            bad[at..at + 4].copy_from_slice(&number.to_be_bytes());
            let refused = with("correct horse", CHEAP).unwrap_key(&bad);
            assert!(matches!(refused, Err(KeyWrapError::CostRefused { .. })), "{at} {number}");
        }
        let rng = Box::new(ChaCha20Rng::seed_from_u64(5));
        let absurd = PassphraseCost { memory_kib: u32::MAX, ..CHEAP };
        assert!(matches!(Passphrase::new("x", absurd, rng), Err(KeyWrapError::CostRefused { .. })));
    }

    #[test]
    fn a_flipped_or_missing_byte_is_refused() {
        let one = with("correct horse", CHEAP);
        let wrapped = one.wrap(&[7; 32]).unwrap();
        for at in 0..wrapped.len() {
            let mut bad = wrapped.clone();
            bad[at] ^= 1;
            // A flip in the high bytes of the cost is refused as absurd, one in the low bytes derives another key.
            assert!(one.unwrap_key(&bad).is_err(), "byte {at}");
            assert!(matches!(one.unwrap_key(&wrapped[..at]), Err(KeyWrapError::OtherKind)), "cut at {at}");
        }
    }
}
