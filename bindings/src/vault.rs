//! The platform's key store, as the core's store wants it.

use std::sync::Arc;

use pairlight_core::net::{SharedStore, system_rng};
use pairlight_core::store::{KEY_LEN, KeyWrap, KeyWrapError, Store};
use zeroize::Zeroizing;

use crate::error::PairlightError;

/// Wraps the store's data key with a key that never leaves the platform's key store. Called once when a store is opened;
/// may wait for a fingerprint.
#[uniffi::export(with_foreign)]
pub trait KeyVault: Send + Sync {
    /// Wraps 32 bytes.
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, PairlightError>;
    /// Unwraps what [`KeyVault::wrap`] gave.
    fn unwrap_key(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, PairlightError>;
}

struct Foreign(Arc<dyn KeyVault>);

impl KeyWrap for Foreign {
    fn wrap(&self, key: &[u8; KEY_LEN]) -> Result<Vec<u8>, KeyWrapError> {
        self.0.wrap(key.to_vec()).map_err(refused)
    }

    fn unwrap_key(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
        let key = Zeroizing::new(self.0.unwrap_key(wrapped.to_vec()).map_err(refused)?);
        let key = key.as_slice().try_into().map_err(|_| KeyWrapError::WrongKey)?;
        Ok(Zeroizing::new(key))
    }
}

fn refused(error: PairlightError) -> KeyWrapError {
    KeyWrapError::Unavailable { reason: error.to_string() }
}

/// Opens the store in `path` under the platform's key. Blocks: the caller runs it where that is allowed.
pub(crate) fn open(path: &str, vault: Arc<dyn KeyVault>) -> Result<SharedStore, PairlightError> {
    let store = Store::open(std::path::Path::new(path), &Foreign(vault), Box::new(system_rng()))?;
    Ok(SharedStore::new(store))
}
