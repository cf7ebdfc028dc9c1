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

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_name_is_sealed_and_opens_under_its_key_and_for_its_device_only() {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let (key, device) = ([3; 32], DeviceId([1; 16]));
        let label = seal_label(&key, &device, "Kim's laptop", &mut rng).unwrap();
        assert!(!label.as_slice().windows(6).any(|part| part == b"laptop"));
        assert_ne!(label, seal_label(&key, &device, "Kim's laptop", &mut rng).unwrap(), "equal names look different");
        assert_eq!(open_label(&key, &device, &label).unwrap(), "Kim's laptop");
        assert!(open_label(&[4; 32], &device, &label).is_err());
        assert!(open_label(&key, &DeviceId([2; 16]), &label).is_err());
    }
}
