//! What is derived from the QR secret: `HKDF(salt = "pairlight/v1/qr", ikm = qr_secret, info)`.

use pairlight_wire::id::SlotId;
use zeroize::Zeroizing;

use crate::crypto::aead::OneShotKey;
use crate::crypto::kdf::{KdfLabel, derive};

const SALT: &[u8] = b"pairlight/v1/qr";

/// The keys that a scanned or shown code gives. Zeroized on drop.
#[derive(Clone)]
pub(crate) struct CodeKeys {
    /// The slot at the relay.
    pub(crate) slot: SlotId,
    offer: Zeroizing<[u8; 32]>,
    /// Pre-shared key of the HPKE channel.
    pub(crate) psk: Zeroizing<[u8; 32]>,
    /// Key of the Bluetooth advertisement.
    pub(crate) ble: Zeroizing<[u8; 32]>,
}

impl CodeKeys {
    pub(crate) fn derive(qr_secret: &[u8; 32]) -> Self {
        Self {
            slot: SlotId(*derive::<16>(SALT, qr_secret, KdfLabel::SlotId, &[])),
            offer: derive(SALT, qr_secret, KdfLabel::Offer, &[]),
            psk: derive(SALT, qr_secret, KdfLabel::Psk, &[]),
            ble: derive(SALT, qr_secret, KdfLabel::Ble, &[]),
        }
    }

    /// The key of the sealed offer: one message, one nonce.
    pub(crate) fn offer_key(&self) -> OneShotKey {
        OneShotKey::new(*self.offer)
    }
}
