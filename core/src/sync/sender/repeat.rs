//! The history under another session than the one before.

use pairlight_wire::id::DeviceId;
use rand_core::CryptoRng;

use super::{begin, is_over, load, save};
use crate::store::{Batch, Store};
use crate::sync::SyncError;

/// What was said to a device may be lost: a history that is under way begins anew; that one is over, or was stopped, is said
/// again.
pub(in crate::sync) fn repeat(
    store: &Store,
    batch: &mut Batch,
    device: &DeviceId,
    rng: &mut impl CryptoRng,
) -> Result<(), SyncError> {
    let Some(mut known) = load(store, device)? else { return Ok(()) };
    if known.told && !known.cancelled && !is_over(store, device)? {
        return begin(store, batch, &known.listed(device), known.snapshot, Some(known.history), rng);
    }
    known.phase_told = u8::MAX;
    save(batch, device, &known);
    Ok(())
}
