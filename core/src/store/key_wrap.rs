//! Who guards the data key: the hook for the platform's key store.

use zeroize::Zeroizing;

use super::KeyWrapError;

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
