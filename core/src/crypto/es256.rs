//! ECDSA with P-256 and SHA-256 (FIPS 186-5; ES256 of RFC 9053), verification only: passkeys sign with it.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};

use super::CryptoError;

/// A P-256 public key that is a point of the curve.
#[derive(Clone, PartialEq, Eq)]
pub struct Es256Key(VerifyingKey);

impl Es256Key {
    /// From the affine coordinates, 32 bytes each, big-endian.
    ///
    /// # Errors
    /// [`CryptoError`] when they are not a point of the curve.
    pub fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, CryptoError> {
        let sec1 = [[4].as_slice(), x, y].concat();
        VerifyingKey::from_sec1_bytes(&sec1).map(Self).map_err(|_| CryptoError)
    }

    /// Checks an ASN.1 DER signature over `message`.
    ///
    /// # Errors
    /// [`CryptoError`] for another encoding, or a signature that does not verify.
    pub fn verify(&self, message: &[u8], der: &[u8]) -> Result<(), CryptoError> {
        let signature = Signature::from_der(der).map_err(|_| CryptoError)?;
        self.0.verify(message, &signature).map_err(|_| CryptoError)
    }
}

impl core::fmt::Debug for Es256Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Es256Key(..)")
    }
}
