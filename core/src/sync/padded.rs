//! The frame of what waits sealed at the relay: a length, the content, zeros. What lies there says its size to 16 KiB.

use zeroize::Zeroizing;

use super::SyncError;
use crate::crypto::CryptoError;
use crate::crypto::aead::OneShotKey;

/// The length of what is sealed is a multiple of this, bytes.
pub(super) const PADDING: usize = 16 * 1024;

/// Seals `u32(length) || content || 0^n`.
pub(super) fn seal(key: OneShotKey, aad: &[u8], content: &[u8]) -> Result<Vec<u8>, SyncError> {
    let length = u32::try_from(content.len()).map_err(|_| SyncError::Damaged)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(content.len().saturating_add(PADDING)));
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(content);
    let padded = plain.len().next_multiple_of(PADDING);
    plain.resize(padded, 0);
    key.seal(aad, &plain).map_err(|CryptoError| SyncError::Damaged)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`SyncError::Protocol`] for anything else.
pub(super) fn open(key: OneShotKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SyncError> {
    let plain = Zeroizing::new(key.open(aad, sealed).map_err(|CryptoError| SyncError::Protocol)?);
    let (length, rest) = plain.split_first_chunk::<4>().ok_or(SyncError::Protocol)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SyncError::Protocol)?;
    Ok(Zeroizing::new(rest.get(..length).ok_or(SyncError::Protocol)?.to_vec()))
}
