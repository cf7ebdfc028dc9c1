//! Ed25519 keys that sign only with a context (`pairlight_wire::sign`).

use ed25519_dalek::{Signature, Signer, SigningKey as DalekKey, VerifyingKey};
use pairlight_wire::Bytes;
use pairlight_wire::sign::{Signed, SigningContext, key_id};
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{CryptoError, random};

/// An Ed25519 signing key; zeroized on drop, redacted in `Debug`.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SigningKey(DalekKey);

impl SigningKey {
    /// A new random key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_seed(&Zeroizing::new(random(rng)))
    }

    /// The key of a 32 byte seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(DalekKey::from_bytes(seed))
    }

    /// The seed, for the sealed store.
    #[must_use]
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `message` under a context.
    #[must_use]
    pub fn sign(&self, context: SigningContext, message: &[u8]) -> [u8; 64] {
        self.0.sign(&context.input(message)).to_bytes()
    }

    /// Signs a payload and keeps both together.
    ///
    /// # Errors
    /// [`CryptoError`] when the payload is over the wire's limit.
    pub fn sign_payload(&self, context: SigningContext, payload: Vec<u8>) -> Result<Signed, CryptoError> {
        let sig = self.sign(context, &payload);
        let payload = Bytes::new(payload).map_err(|_| CryptoError)?;
        Ok(Signed { kid: key_id(&self.public()), payload, sig })
    }
}

/// The signing key of a device: in this memory, or guarded by the platform, which signs and gives it to nobody.
#[derive(Clone)]
pub enum DeviceKey {
    /// Here.
    Own(SigningKey),
    /// With the platform. Its public key is all that is known of it here.
    Guarded([u8; 32]),
}

impl DeviceKey {
    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        match self {
            Self::Own(key) => key.public(),
            Self::Guarded(public) => *public,
        }
    }

    /// The key itself, when it is here.
    #[must_use]
    pub fn own(&self) -> Option<&SigningKey> {
        match self {
            Self::Own(key) => Some(key),
            Self::Guarded(_) => None,
        }
    }
}

impl core::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Own(_) => "DeviceKey::Own(..)",
            Self::Guarded(_) => "DeviceKey::Guarded(..)",
        })
    }
}

/// Checks an Ed25519 signature that another standard defines, so without a context of ours; strictly, as everywhere.
///
/// # Errors
/// [`CryptoError`] for a key that is no point, or a signature that does not verify.
pub fn verify_foreign(public: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| CryptoError)?;
    let signature = Signature::from_slice(signature).map_err(|_| CryptoError)?;
    key.verify_strict(message, &signature).map_err(|_| CryptoError)
}

impl core::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}
