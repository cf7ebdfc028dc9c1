//! The lock of a browser: the secret that guards the store's key, sealed under a passphrase.

use pairlight_core::net::system_rng;
use pairlight_core::store::{KEY_LEN, KeyWrap, KeyWrapError, Passphrase, PassphraseCost};
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use crate::device::Device;
use crate::fault::{fault, misuse};

/// 19 MiB and two passes of Argon2id, the first choice of OWASP's cheat sheet on storing passwords: a worker has little memory
/// on a small machine, and gives none back before it ends.
const COST: PassphraseCost = PassphraseCost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

fn failed(error: &KeyWrapError) -> JsValue {
    let kind = match error {
        KeyWrapError::WrongPassphrase => "WrongPassphrase",
        KeyWrapError::EmptyPassphrase => "Misuse",
        _ => "Storage",
    };
    fault(kind, &error.to_string())
}

fn under(passphrase: String) -> Result<Passphrase, JsValue> {
    let passphrase = Zeroizing::new(passphrase);
    Passphrase::new(&passphrase, COST, Box::new(system_rng())).map_err(|error| failed(&error))
}

#[wasm_bindgen]
impl Device {
    /// Seals 32 bytes under a passphrase.
    #[wasm_bindgen(js_name = sealSecret)]
    pub fn seal_secret(passphrase: String, secret: Vec<u8>) -> Result<Vec<u8>, JsValue> {
        let secret = Zeroizing::new(secret);
        let key: &[u8; KEY_LEN] = secret.as_slice().try_into().map_err(|_| misuse("the secret is 32 bytes"))?;
        under(passphrase)?.wrap(key).map_err(|error| failed(&error))
    }

    /// Opens what `sealSecret` made.
    #[wasm_bindgen(js_name = openSecret)]
    pub fn open_secret(passphrase: String, sealed: &[u8]) -> Result<Vec<u8>, JsValue> {
        let key = under(passphrase)?.unwrap_key(sealed).map_err(|error| failed(&error))?;
        Ok(key.to_vec())
    }
}
