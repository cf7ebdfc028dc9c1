//! What the tests of the bindings share.

use pairlight_bindings::{KeyWrap, PairlightError, RelayAddress};
use pairlight_relay::{Limits, Relay, RelayConfig, RelayHandle};

/// A key store in memory: turns each bit, so that what is stored is not the key itself.
#[derive(Debug)]
pub(crate) struct SoftKey;

impl KeyWrap for SoftKey {
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, PairlightError> {
        Ok(key.into_iter().map(|byte| !byte).collect())
    }
    fn unwrap_key(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, PairlightError> {
        self.wrap(wrapped)
    }
}

pub(crate) async fn start_relay() -> (RelayHandle, RelayAddress) {
    let config = RelayConfig { limits: Limits::generous(), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.unwrap();
    let key = pairlight_wire::id::to_hex(&relay.attestation_pk());
    let address = RelayAddress { url: relay.url(), key };
    (relay, address)
}
