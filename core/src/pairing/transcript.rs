//! Everything said so far, as hashes. Each later message is bound to all earlier ones, so that neither side can be
//! shown another history.

use pairlight_wire::hash::sha256;

use zeroize::Zeroizing;

use crate::crypto::kdf::{KdfLabel, derive};
use crate::trust::TapWord;
use crate::trust::ble::BleNonce;
use crate::trust::lan::LanKey;

/// `th0 = H("pairlight/v1/th0\0" || H(qr) || H(offer) || H(ctx))`.
pub(crate) fn th0(qr_payload: &[u8], offer: &[u8], context: &[u8]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/th0\0", &sha256(&[qr_payload]), &sha256(&[offer]), &sha256(&[context])])
}

/// `th1 = H("pairlight/v1/th1\0" || th0 || H(M1))`.
pub(crate) fn th1(th0: &[u8; 32], m1: &[u8]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/th1\0", th0, &sha256(&[m1])])
}

/// `th2 = H("pairlight/v1/th2\0" || th0 || H(M1) || H(M2))`.
pub(crate) fn th2(th0: &[u8; 32], m1: &[u8], m2: &[u8]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/th2\0", th0, &sha256(&[m1]), &sha256(&[m2])])
}

/// What was said about evidence: `H(M2b)`, and after a Need `H("pairlight/v1/evidence\0" || H(M2b) || H(Need) || H(M2b'))`.
pub(crate) fn evidence_said(m2b: &[u8]) -> [u8; 32] {
    sha256(&[m2b])
}

/// See [`evidence_said`].
pub(crate) fn more_evidence_said(said: &[u8; 32], need: &[u8], m2b: &[u8]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/evidence\0", said, &sha256(&[need]), &sha256(&[m2b])])
}

/// `th3 = H("pairlight/v1/th3\0" || th2 || evidence said || H(M3))`.
pub(crate) fn th3(th2: &[u8; 32], said: &[u8; 32], m3: &[u8]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/th3\0", th2, said, &sha256(&[m3])])
}

/// The HPKE info: `"pairlight/v1/hpke\0" || th0`.
pub(crate) fn hpke_info(th0: &[u8; 32]) -> Vec<u8> {
    [b"pairlight/v1/hpke\0".as_slice(), th0].concat()
}

/// Associated data: a message name and the hash of what came before.
pub(crate) fn aad(name: &str, th: &[u8; 32]) -> Vec<u8> {
    [name.as_bytes(), th].concat()
}

/// `k3 = HKDF(salt = th2, ikm = Export(m3) || ble nonce or nothing, "pairlight/v1/m3")`.
pub(crate) fn k3(th2: &[u8; 32], exported: &[u8; 32], nonce: Option<&BleNonce>) -> Zeroizing<[u8; 32]> {
    let mut ikm = Zeroizing::new(exported.to_vec());
    ikm.extend(nonce.into_iter().flatten());
    derive(th2, &ikm, KdfLabel::M3, &[])
}

/// `k_lan = HKDF(salt = th2, ikm = Export(lan), "pairlight/v1/lan")`.
pub(crate) fn lan_key(th2: &[u8; 32], exported: &[u8; 32]) -> LanKey {
    LanKey { key: derive(th2, exported, KdfLabel::Lan, &[]), th2: *th2 }
}

/// `tap word = HKDF(salt = th2, ikm = Export(tap), "pairlight/v1/tap", 16)`.
pub(crate) fn tap_word(th2: &[u8; 32], exported: &[u8; 32]) -> TapWord {
    TapWord::new(derive(th2, exported, KdfLabel::Tap, &[]))
}
