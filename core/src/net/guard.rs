//! Signing as a device: with the key itself, or by whoever guards it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pairlight_wire::Bytes;
use pairlight_wire::sign::{Signed, SigningContext, key_id, verify};

use super::error::NetError;
use super::host::timeout;
use crate::crypto::sign::{DeviceKey, SigningKey};

/// No signature takes longer. A link gives up sooner, by its own timer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a guard did not sign: the key is not there, or the platform failed. For a log; without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyGuardError(pub String);

/// A signature that is being made.
#[cfg(not(target_arch = "wasm32"))]
pub type GuardSigning = Pin<Box<dyn Future<Output = Result<[u8; 64], KeyGuardError>> + Send>>;
/// A signature that is being made.
#[cfg(target_arch = "wasm32")]
pub type GuardSigning = Pin<Box<dyn Future<Output = Result<[u8; 64], KeyGuardError>>>>;

/// What a guard must be to be asked from any task: in a browser there is one thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait AnyTask: Send + Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + Sync> AnyTask for T {}
/// What a guard must be to be asked from any task: in a browser there is one thread.
#[cfg(target_arch = "wasm32")]
pub trait AnyTask {}
#[cfg(target_arch = "wasm32")]
impl<T> AnyTask for T {}

/// The platform's place for keys that sign and never leave it: WebCrypto, with keys that cannot be extracted.
pub trait KeyGuard: AnyTask {
    /// Signs `message` as it is (Ed25519, RFC 8032) with the key whose public key is `public`. What comes is verified.
    fn sign(&self, public: [u8; 32], message: Vec<u8>) -> GuardSigning;
}

/// A guard that several tasks ask.
#[derive(Clone)]
pub(super) struct SharedGuard(Arc<dyn KeyGuard>);

impl SharedGuard {
    pub(super) fn new(guard: impl KeyGuard + 'static) -> Self {
        Self(Arc::new(guard))
    }

    /// The guard's signature, in time and verified.
    pub(super) async fn sign(
        &self,
        public: &[u8; 32],
        context: SigningContext,
        message: &[u8],
    ) -> Result<[u8; 64], NetError> {
        let signed = timeout(PATIENCE, self.0.sign(*public, context.input(message))).await;
        let signature = match signed {
            Ok(Ok(signature)) => signature,
            Ok(Err(error)) => return Err(NetError::KeyGuard(error.to_string())),
            Err(elapsed) => return Err(NetError::KeyGuard(elapsed.to_string())),
        };
        match verify(public, context, message, &signature) {
            Ok(()) => Ok(signature),
            Err(error) => Err(NetError::KeyGuard(error.to_string())),
        }
    }
}

impl fmt::Debug for SharedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedGuard(..)")
    }
}

/// Whose signature it is, and who makes it.
#[derive(Clone, Copy)]
pub(super) enum Signer<'a> {
    Own(&'a SigningKey),
    Guarded { public: &'a [u8; 32], guard: Option<&'a SharedGuard> },
}

impl<'a> Signer<'a> {
    pub(super) fn new(key: &'a DeviceKey, guard: Option<&'a SharedGuard>) -> Self {
        match key {
            DeviceKey::Own(key) => Self::Own(key),
            DeviceKey::Guarded(public) => Self::Guarded { public, guard },
        }
    }

    pub(super) async fn sign(self, context: SigningContext, message: &[u8]) -> Result<[u8; 64], NetError> {
        match self {
            Self::Own(key) => Ok(key.sign(context, message)),
            Self::Guarded { public, guard: Some(guard) } => guard.sign(public, context, message).await,
            Self::Guarded { guard: None, .. } => Err(NetError::KeyGuard("nobody guards keys here".to_owned())),
        }
    }

    /// Signs a payload and keeps both together.
    pub(super) async fn sign_payload(self, context: SigningContext, payload: Vec<u8>) -> Result<Signed, NetError> {
        let sig = self.sign(context, &payload).await?;
        let kid = match self {
            Self::Own(key) => key_id(&key.public()),
            Self::Guarded { public, .. } => key_id(public),
        };
        let payload = Bytes::new(payload).map_err(|_| NetError::Protocol)?;
        Ok(Signed { kid, payload, sig })
    }
}
