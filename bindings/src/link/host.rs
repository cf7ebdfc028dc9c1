//! What the app gives: few functions, called synchronously on threads of this library.

use std::sync::Arc;

use pairlight_core::Timestamp;
use pairlight_core::net::{RelayClient, RelayEndpoint, SharedStore, system_clock, system_rng, system_time};
use pairlight_core::store::{KEY_LEN, KeyWrapError, Store};
use pairlight_wire::id::parse_hex;
use zeroize::Zeroizing;

use super::task::blocking;
use crate::error::PairlightError;

/// Wraps the store's data key with a key that never leaves the platform's key store. Called once when a store is opened,
/// on a thread where it may block, for a fingerprint too.
#[uniffi::export(with_foreign)]
pub trait KeyWrap: Send + Sync {
    /// Wraps 32 bytes. What comes out is authenticated and is stored in clear.
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, PairlightError>;
    /// Unwraps what [`KeyWrap::wrap`] gave, or refuses.
    fn unwrap_key(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, PairlightError>;
}

/// Asks whoever holds the device to unlock it, by biometry or the lock of the screen. Called each time before an approval
/// takes effect; may block until the person has answered.
#[uniffi::export(with_foreign)]
pub trait Approver: Send + Sync {
    /// Whether the person proved presence. `device_name` is what the other device calls itself: data, not a sentence.
    fn confirms(&self, device_name: String) -> Result<bool, PairlightError>;
}

/// A clock in place of the system's, for tests. Called often: it must not block.
#[uniffi::export(with_foreign)]
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970. Where it fails the system's clock is asked.
    fn now_ms(&self) -> Result<u64, PairlightError>;
}

/// Where the relay is, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RelayAddress {
    /// `https://host[:port]`; `http` for a relay on this machine.
    pub url: String,
    /// Its pinned attestation key, 64 hexadecimal digits.
    pub key: String,
}

impl RelayAddress {
    pub(crate) fn client(&self) -> Result<RelayClient, PairlightError> {
        let key = parse_hex::<32>(&self.key)
            .ok_or_else(|| PairlightError::misuse("the relay's key is 64 hexadecimal digits"))?;
        Ok(RelayClient::new(RelayEndpoint::new(&self.url, key)?)?)
    }
}

struct Foreign(Arc<dyn KeyWrap>);

impl pairlight_core::store::KeyWrap for Foreign {
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

/// Opens the store in `path` under the app's key.
pub(crate) async fn open_store(path: String, key: Arc<dyn KeyWrap>) -> Result<SharedStore, PairlightError> {
    blocking(move || {
        let store = Store::open(std::path::Path::new(&path), &Foreign(key), Box::new(system_rng()))?;
        Ok(SharedStore::new(store))
    })
    .await
}

/// The app's clock, or the system's.
pub(crate) fn clock_or_system(clock: Option<Arc<dyn Clock>>) -> pairlight_core::net::Clock {
    match clock {
        Some(clock) => Arc::new(move || clock.now_ms().map_or_else(|_| system_time(), Timestamp::from_unix_ms)),
        None => system_clock(),
    }
}
