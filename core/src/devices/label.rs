//! Device names in the list, sealed so that the relay cannot read them.

use pairlight_wire::device::LabelCt;
use pairlight_wire::id::DeviceId;
use rand_core::CryptoRng;

use crate::crypto::CryptoError;
use crate::crypto::aead::RecordKey;

/// Longest name of a device, bytes.
const NAME_BYTES: usize = 64;

/// The account's key for device names: every linked device has it, the relay does not.
pub type LabelKey = [u8; 32];

/// Seals a device's name; bound to the device, so that names cannot be swapped.
pub(super) fn seal_label(
    key: &LabelKey,
    device: &DeviceId,
    name: &str,
    rng: &mut impl CryptoRng,
) -> Result<LabelCt, CryptoError> {
    let name = pairlight_wire::Text::<NAME_BYTES>::truncated(name);
    let sealed = RecordKey::new(*key).seal(rng, device.as_bytes(), name.as_str().as_bytes())?;
    LabelCt::new(sealed).map_err(|_| CryptoError)
}

/// Whether a person can tell a device by this name: 1 to 64 bytes, not blank, no control characters.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES && !name.trim().is_empty() && !name.chars().any(char::is_control)
}

/// Opens a device's name.
///
/// # Errors
/// [`CryptoError`] for another account's key or a label of another device.
pub fn open_label(key: &LabelKey, device: &DeviceId, label: &LabelCt) -> Result<String, CryptoError> {
    let name = RecordKey::new(*key).open(device.as_bytes(), label.as_slice())?;
    String::from_utf8(name).map_err(|_| CryptoError)
}
