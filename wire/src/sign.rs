//! Ed25519 signatures with a context each, and the container that keeps the exact signed bytes.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::codec::{Bytes, coded, record};
use crate::hash::sha256;
use crate::limits::SIGNED_PAYLOAD_BYTES;

coded! {
    /// What a signature is for. `Sign(key, context, message) = Ed25519(key, context || 0x00 || message)`, so a signature
    /// made for one purpose is worthless for every other.
    pub enum SigningContext {
        /// The relay's statement about who opened a slot. Stops a linked device from forging its place.
        RelayContext = 0,
        /// The root key certifies the operations key. Stops a stolen ops key from certifying another.
        OpsCert = 1,
        /// The root key certifies a device. Stops the relay and the ops key from adding devices.
        DeviceCert = 2,
        /// The device accepts its certificate. Stops an account from claiming a device that did not agree.
        DeviceAccept = 3,
        /// The device list. Stops the relay from adding, dropping or reordering devices.
        DeviceList = 4,
        /// A lease. Stops a device from prolonging its own stay.
        Lease = 5,
        /// A check-in of a linked device. Stops a clone from passing for the original in silence.
        CheckIn = 6,
        /// Login at the relay. Bound to a fresh nonce and the relay's host, so a relay cannot use it elsewhere.
        RelayAuth = 7,
        /// The old root key names the new one.
        RootRotate = 8,
        /// The root key names the recovery key. Stops everybody else from naming one.
        Recovery = 9,
        /// A step towards a new session. Stops the relay from replacing a session with its own.
        SessionReset = 10,
        /// The recovery key asks the relay for its account. Bound to a fresh nonce and the relay's host.
        RecoveryAuth = 11,
        /// The answer to a challenge on the local network. Stops somebody near from answering for a device far away.
        LanAnswer = 12,
        /// A device that was linked before comes back. Stops who only knows its public key from taking its place.
        KnownDevice = 13,
    }
}

impl SigningContext {
    /// The ASCII string that is signed in front of the message.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::RelayContext => "pairlight/v1/relay-ctx",
            Self::OpsCert => "pairlight/v1/ops-cert",
            Self::DeviceCert => "pairlight/v1/device-cert",
            Self::DeviceAccept => "pairlight/v1/device-accept",
            Self::DeviceList => "pairlight/v1/device-list",
            Self::Lease => "pairlight/v1/lease",
            Self::CheckIn => "pairlight/v1/checkin",
            Self::RelayAuth => "pairlight/v1/ws-auth",
            Self::RootRotate => "pairlight/v1/root-rotate",
            Self::Recovery => "pairlight/v1/recovery",
            Self::SessionReset => "pairlight/v1/session-reset",
            Self::RecoveryAuth => "pairlight/v1/recovery-auth",
            Self::LanAnswer => "pairlight/v1/lan-answer",
            Self::KnownDevice => "pairlight/v1/known-device",
        }
    }

    /// The bytes that Ed25519 signs for `message`.
    #[must_use]
    pub fn input(self, message: &[u8]) -> Vec<u8> {
        [self.label().as_bytes(), &[0], message].concat()
    }
}

/// The signature does not belong to this key, context and message. Deliberately without detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid")]
pub struct InvalidSignature;

/// Checks `signature` strictly: refuses small-order keys and non-canonical encodings (RFC 8032 section 5.1.7).
///
/// # Errors
/// [`InvalidSignature`] for a key that is no point, or a signature that does not verify.
pub fn verify(
    public_key: &[u8; 32],
    context: SigningContext,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), InvalidSignature> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| InvalidSignature)?;
    key.verify_strict(&context.input(message), &Signature::from_bytes(signature)).map_err(|_| InvalidSignature)
}

/// First 8 bytes of the SHA-256 of a public key: a hint which key signed.
#[must_use]
pub fn key_id(public_key: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[public_key]);
    [a, b, c, d, e, f, g, h]
}

record! {
    /// A payload with its signature, `[kid, payload, sig]`. The payload is kept as received and never encoded again.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Signed [] {
        /// [`key_id`] of the signing key.
        pub kid: [u8; 8],
        /// The signed bytes.
        pub payload: Bytes<SIGNED_PAYLOAD_BYTES>,
        /// Ed25519 signature over `context || 0x00 || payload`.
        pub sig: [u8; 64],
    }
}

impl Signed {
    /// Checks key id and signature, and only then gives the payload out.
    ///
    /// # Errors
    /// [`InvalidSignature`] when either is wrong.
    pub fn open(&self, public_key: &[u8; 32], context: SigningContext) -> Result<&[u8], InvalidSignature> {
        if self.kid != key_id(public_key) {
            return Err(InvalidSignature);
        }
        verify(public_key, context, self.payload.as_slice(), &self.sig)?;
        Ok(self.payload.as_slice())
    }

    /// `H(payload || sig)`: what certificates and check-ins are referred to by.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[self.payload.as_slice(), &self.sig])
    }
}
