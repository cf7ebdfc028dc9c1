//! Who guards the data key: the hook for the platform's key store.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::KeyWrapError;
use crate::crypto::aead::RecordKey;

/// Length of every symmetric key in the store, bytes.
pub const KEY_LEN: usize = 32;

/// Wraps the store's data key with a key that lives elsewhere: Android Keystore, Secure Enclave, a key file, a passphrase.
///
/// Contract for implementors: `unwrap_key(wrap(k)) == k`; the wrapped form is authenticated, so that an altered one is refused; the
/// calls may block (a biometric prompt), they are made once when a store is opened, created or rekeyed.
pub trait KeyWrap: Send + Sync {
    /// Seals the data key. The result is stored in clear beside the rows.
    ///
    /// # Errors
    /// Whatever kept the wrapping key from being used.
    fn wrap(&self, dek: &[u8; KEY_LEN]) -> Result<Vec<u8>, KeyWrapError>;

    /// Opens what [`wrap`](Self::wrap) made. The bytes come from the disk and may be hostile.
    ///
    /// # Errors
    /// [`KeyWrapError::WrongKey`] and the like; never a panic on any input.
    fn unwrap_key(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError>;
}

/// Wraps a data key under a key that the caller holds, for implementors of [`KeyWrap`]: one byte that says of which `kind` the
/// wrapping is, then AES-256-GCM with `aad` as associated data.
///
/// # Errors
/// None that can be caused.
pub fn wrap_under(
    kind: u8,
    aad: &[u8],
    key: &[u8; KEY_LEN],
    dek: &[u8; KEY_LEN],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, KeyWrapError> {
    let mut wrapped = vec![kind];
    wrapped.extend(RecordKey::new(*key).seal(rng, aad, dek).map_err(|_| KeyWrapError::WrongKey)?);
    Ok(wrapped)
}

/// Opens what [`wrap_under`] made with the same `kind`, `aad` and `key`.
///
/// # Errors
/// [`KeyWrapError::OtherKind`] for another first byte; [`KeyWrapError::WrongKey`] for another key, another `aad`, or bytes
/// that were altered.
pub fn unwrap_under(
    kind: u8,
    aad: &[u8],
    key: &[u8; KEY_LEN],
    wrapped: &[u8],
) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
    let sealed = match wrapped.split_first() {
        Some((first, sealed)) if *first == kind => sealed,
        _ => return Err(KeyWrapError::OtherKind),
    };
    let opened = RecordKey::new(*key).open(aad, sealed).map(Zeroizing::new).map_err(|_| KeyWrapError::WrongKey)?;
    Ok(Zeroizing::new(opened.as_slice().try_into().map_err(|_| KeyWrapError::WrongKey)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_key_opens_under_the_same_kind_place_and_key_only() {
        let (aad, key) = (b"here".as_slice(), [1; KEY_LEN]);
        let wrapped = wrap_under(9, aad, &key, &[7; KEY_LEN], &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        assert_eq!(*unwrap_under(9, aad, &key, &wrapped).unwrap(), [7; KEY_LEN]);
        assert!(matches!(unwrap_under(8, aad, &key, &wrapped), Err(KeyWrapError::OtherKind)));
        assert!(matches!(unwrap_under(9, b"there", &key, &wrapped), Err(KeyWrapError::WrongKey)));
        assert!(matches!(unwrap_under(9, aad, &[2; KEY_LEN], &wrapped), Err(KeyWrapError::WrongKey)));
        assert!(matches!(unwrap_under(9, aad, &key, &[]), Err(KeyWrapError::OtherKind)));
    }
}
