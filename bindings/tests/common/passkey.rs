//! A passkey as an app registers it.

use pairlight_bindings::Passkey;

pub(crate) const RP_ID: &str = "example.com";
pub(crate) const ORIGIN: &str = "https://link.example.com";

/// An Ed25519 key as a platform gives it: COSE, EdDSA.
pub(crate) fn registration(public_key: &[u8; 32]) -> Passkey {
    let cose = [[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20].as_slice(), public_key].concat();
    Passkey { credential: b"id".to_vec(), public_key: cose, rp_id: RP_ID.into(), origins: vec![ORIGIN.into()] }
}
