//! Bit 3: the linked device heard the primary device's radio. The primary device advertises one 128-bit service UUID over
//! Bluetooth Low Energy, `AES-256(ble_key, nonce || 0^6)`; only who scanned or showed the code can read it, and the 80
//! bits of the nonce exist nowhere but on the air. The linked device proves that it heard them, and the key of M3 depends
//! on them.
//!
//! The radio itself is the host's: see [`Radio`]. No real radio was used to test this.

use zeroize::Zeroizing;

use crate::crypto::block::{decrypt_block, encrypt_block};
use crate::crypto::kdf::{hmac_sha256, verify_hmac};

/// Bytes of the nonce on the air.
pub const BLE_NONCE_BYTES: usize = 10;
/// Nonces that a linked device keeps: somebody who saw the code can advertise others.
pub const BLE_HEARD: usize = 4;
/// Bytes of one proof.
pub const BLE_PROOF_BYTES: usize = 16;

/// The nonce from the air.
pub type BleNonce = [u8; BLE_NONCE_BYTES];

/// What a machine asks of the host's radio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RadioOrder {
    /// Advertise this service UUID (16 bytes, big-endian as a UUID is written) until told otherwise.
    Advertise([u8; 16]),
    /// Listen for advertisements and report every 128-bit service UUID.
    Listen,
    /// Be silent and deaf again.
    Stop,
}

/// A Bluetooth Low Energy radio. The host implements it with the platform's interface: advertising one service UUID and
/// listening for them need no more than the public interfaces of iOS and Android.
pub trait Radio: Send + Sync {
    /// Does what the machine asks. Must not block. A radio that is off, or not allowed, does nothing: then there is no
    /// such evidence.
    fn perform(&self, order: RadioOrder);
}

/// The service UUID that carries `nonce`.
#[must_use]
pub fn advertised_uuid(ble_key: &[u8; 32], nonce: &BleNonce) -> [u8; 16] {
    let mut block = [0; 16];
    block.iter_mut().zip(nonce).for_each(|(to, from)| *to = *from);
    encrypt_block(ble_key, block)
}

/// The nonce in a service UUID; `None` for somebody else's UUID (a foreign one passes with probability 2^-48).
#[must_use]
pub fn heard_nonce(ble_key: &[u8; 32], uuid: [u8; 16]) -> Option<BleNonce> {
    let block = decrypt_block(ble_key, uuid);
    let (nonce, zeros) = block.split_first_chunk::<BLE_NONCE_BYTES>()?;
    zeros.iter().all(|byte| *byte == 0).then_some(*nonce)
}

fn parts<'a>(nonce: &'a BleNonce, th2: &'a [u8; 32]) -> [&'a [u8]; 3] {
    [b"heard", nonce, th2]
}

/// What a linked device heard since its code was scanned.
pub(crate) struct Ears {
    key: Zeroizing<[u8; 32]>,
    heard: Vec<BleNonce>,
}

impl Ears {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key, heard: Vec::new() }
    }

    pub(crate) fn hear(&mut self, uuid: [u8; 16]) {
        let Some(nonce) = heard_nonce(&self.key, uuid) else { return };
        if !self.heard.contains(&nonce) && self.heard.len() < BLE_HEARD {
            self.heard.push(nonce);
        }
    }

    pub(crate) fn heard(&self) -> &[BleNonce] {
        &self.heard
    }

    /// One proof a nonce, one after the other: `HMAC(ble_key, "heard" || nonce || th2)[0..16]`.
    pub(crate) fn proof(&self, th2: &[u8; 32]) -> Vec<u8> {
        let tags = self.heard.iter().map(|nonce| hmac_sha256(&self.key, &parts(nonce, th2)));
        tags.flat_map(|tag| tag.into_iter().take(BLE_PROOF_BYTES)).collect()
    }
}

/// Whether one of the proofs is for `nonce`, in time that does not depend on the proof.
pub(crate) fn verify_heard(ble_key: &[u8; 32], nonce: &BleNonce, proof: &[u8], th2: &[u8; 32]) -> bool {
    let whole = !proof.is_empty() && proof.len().is_multiple_of(BLE_PROOF_BYTES);
    let proofs = proof.chunks(BLE_PROOF_BYTES).take(BLE_HEARD);
    whole && proofs.map(|tag| verify_hmac(ble_key, &parts(nonce, th2), tag).is_ok()).fold(false, |any, ok| any | ok)
}

impl core::fmt::Debug for Ears {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ears(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0x42; 32];

    #[test]
    fn what_is_advertised_is_heard_and_nothing_else() {
        let nonce = *b"0123456789";
        let uuid = advertised_uuid(&KEY, &nonce);
        assert_eq!(heard_nonce(&KEY, uuid), Some(nonce));
        assert_eq!(heard_nonce(&[0x43; 32], uuid), None);
        for bit in 0..128 {
            let mut bent = uuid;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(heard_nonce(&KEY, bent), None, "bit {bit}");
        }
    }

    #[test]
    fn the_codec_gives_the_values_of_another_implementation() {
        // openssl: printf '%s' 30313233343536373839000000000000 | xxd -r -p | openssl enc -aes-256-ecb -nopad -K 42..42
        let uuid = advertised_uuid(&KEY, b"0123456789");
        assert_eq!(hex::encode(uuid), UUID);
        let mut ears = Ears::new(Zeroizing::new(KEY));
        ears.hear(uuid);
        // openssl dgst -sha256 -mac HMAC -macopt hexkey:42..42 over "heard" || nonce || th2, first 16 bytes
        assert_eq!(hex::encode(ears.proof(&[7; 32])), PROOF);
    }
    const UUID: &str = "5d45a9de848a0f73d88b7eca186defec";
    const PROOF: &str = "b297a508e8afcc7c6828942a2a142d7b";

    #[test]
    fn a_proof_is_for_its_nonce_key_and_link() {
        let (nonce, th2) = ([1; 10], [2; 32]);
        let mut ears = Ears::new(Zeroizing::new(KEY));
        assert!(ears.proof(&th2).is_empty());
        // A stranger who photographed the code advertises first; then the real one; then more than are kept.
        for n in [9, 1, 1, 3, 4, 5] {
            ears.hear(advertised_uuid(&KEY, &[n; 10]));
        }
        ears.hear([0; 16]);
        assert_eq!(ears.heard(), [[9; 10], [1; 10], [3; 10], [4; 10]]);
        let proof = ears.proof(&th2);
        assert!(verify_heard(&KEY, &nonce, &proof, &th2));
        assert!(!verify_heard(&KEY, &[5; 10], &proof, &th2));
        assert!(!verify_heard(&[0; 32], &nonce, &proof, &th2));
        assert!(!verify_heard(&KEY, &nonce, &proof, &[3; 32]));
        for bad in [&proof[..0], &proof[..15], &proof[..16], &proof[16..31]] {
            assert!(!verify_heard(&KEY, &nonce, bad, &th2));
        }
        assert!(verify_heard(&KEY, &nonce, &proof[16..32], &th2));
        let fifth = [proof.as_slice(), &proof[16..32]].concat();
        assert!(!verify_heard(&KEY, &nonce, &[&proof[..16], &proof[32..], &proof[..16], &fifth[64..]].concat(), &th2));
    }
}
