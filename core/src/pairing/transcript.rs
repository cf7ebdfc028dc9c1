//! Everything said so far, as hashes. Each later message is bound to all earlier ones, so that neither side can be
//! shown another history.

use pairlight_wire::hash::sha256;

use crate::crypto::CryptoError;
use crate::crypto::hpke::ExportLabel;
use crate::crypto::kdf::{KdfLabel, derive};

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

/// `th3 = H("pairlight/v1/th3\0" || th2 || H(M2b) || H(M3))`.
pub(crate) fn th3(th2: &[u8; 32], m2b: &[u8], m3: &[u8]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/th3\0", th2, &sha256(&[m2b]), &sha256(&[m3])])
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
pub(crate) fn k3<E>(th2: &[u8; 32], export: E) -> Result<zeroize::Zeroizing<[u8; 32]>, CryptoError>
where
    E: FnOnce(ExportLabel) -> Result<zeroize::Zeroizing<[u8; 32]>, CryptoError>,
{
    Ok(derive(th2, export(ExportLabel::M3)?.as_slice(), KdfLabel::M3, &[]))
}
