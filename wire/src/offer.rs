//! What the linked device offers: its fresh keys and how it calls itself.

use crate::codec::{Text, coded, record};
use crate::hash::{OFFER_COMMIT_PREFIX, sha256_16};

/// Length of an X-Wing public key in bytes.
pub const KEM_PK_BYTES: usize = 1216;

coded! {
    /// Where the linked device runs. Decides which evidence it can give.
    pub enum ClientKind {
        /// A page in a browser: no LAN or BLE evidence.
        Web = 0,
        /// A program with sockets and, maybe, a radio.
        Native = 1,
    }
}

record! {
    /// The offer: sealed under a key from the QR code, committed to by the QR code.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Offer [1] {
        /// X-Wing public key of this one code.
        pub kem_pk: [u8; KEM_PK_BYTES],
        /// Ed25519 public key of the device.
        pub device_pk: [u8; 32],
        /// Fresh randomness.
        pub nonce_o: [u8; 32],
        /// Browser or program.
        pub client_kind: ClientKind,
        /// The device's name, chosen by its owner. Shown for review; not proof of anything.
        pub name: Text<64>,
        /// Operating system.
        pub os: Text<32>,
        /// Program or browser.
        pub app: Text<32>,
        /// Capability bits; 0 in version 1.
        pub caps: u64,
    }
}

/// The commitment of the QR code to the encoded offer.
#[must_use]
pub fn commit(offer: &[u8]) -> [u8; 16] {
    sha256_16(&[OFFER_COMMIT_PREFIX, offer])
}
