//! The public key of a passkey, as COSE (RFC 9052) gives it.

use coset::iana::{Algorithm, Ec2KeyParameter, EllipticCurve, EnumI64, KeyType, OkpKeyParameter};
use coset::{CborSerializable, CoseKey, Label};

use crate::crypto::CryptoError;
use crate::crypto::es256::Es256Key;
use crate::crypto::sign::verify_foreign;

/// A verification key: ES256, or EdDSA with Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Es256(Es256Key),
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// Reads a COSE_Key. `None` for another algorithm, or a key that is none.
    pub(super) fn from_cose(bytes: &[u8]) -> Option<Self> {
        let key = CoseKey::from_slice(bytes).ok()?;
        let is = |algorithm: Algorithm| key.alg == Some(coset::Algorithm::Assigned(algorithm));
        let kty = |kind: KeyType| key.kty == coset::KeyType::Assigned(kind);
        let parameter =
            |wanted: i64| key.params.iter().find(|(label, _)| *label == Label::Int(wanted)).map(|(_, value)| value);
        let curve = |wanted: EllipticCurve, label: i64| {
            parameter(label).and_then(|value| value.as_integer()).is_some_and(|curve| curve == wanted.to_i64().into())
        };
        let bytes = |label: i64| <[u8; 32]>::try_from(parameter(label)?.as_bytes()?.as_slice()).ok();
        if is(Algorithm::ES256) && kty(KeyType::EC2) && curve(EllipticCurve::P_256, Ec2KeyParameter::Crv.to_i64()) {
            let (x, y) = (bytes(Ec2KeyParameter::X.to_i64())?, bytes(Ec2KeyParameter::Y.to_i64())?);
            Es256Key::from_coordinates(&x, &y).ok().map(Self::Es256)
        } else if is(Algorithm::EdDSA)
            && kty(KeyType::OKP)
            && curve(EllipticCurve::Ed25519, OkpKeyParameter::Crv.to_i64())
        {
            bytes(OkpKeyParameter::X.to_i64()).map(Self::Ed25519)
        } else {
            None
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        match self {
            Self::Es256(key) => key.verify(message, signature),
            Self::Ed25519(key) => verify_foreign(key, message, signature),
        }
    }
}
